internal import NIOCore

/// What is to be sent again after the server had forgotten a script: the commands that it refused, and every
/// `WAIT` after the first of them, whose answer did not speak of their writes.
///
/// But none that a later call of the same script has overtaken, because somebody else loaded the script between the two:
/// repeated, it would come last. It keeps its refusal, and whoever sent it all sends it all again, in its order.
struct ScriptRepeat {
    private let scripts: [RedisScript]
    let places: [Int]
    private let commands: [RedisCommand]

    /// Nil when nothing is to be repeated.
    init?(of commands: [RedisCommand], _ replies: [RedisValue]) {
        func refused(_ index: Int) -> RedisScript? {
            replies[index].serverError?.code == .noScript ? commands[index].script : nil
        }
        let missed = commands.indices.filter { refused($0) != nil }
        let repeated = missed.filter { place in
            commands.indices[(place + 1)...].allSatisfy {
                commands[$0].script?.sha1 != commands[place].script?.sha1 || refused($0) != nil
            }
        }
        guard let first = repeated.first else { return nil }
        self.commands = commands
        places = commands.indices.filter { repeated.contains($0) || (commands[$0].isBarrier && $0 > first) }
        scripts = Array(Set(places.compactMap(refused)))
    }

    func run(
        on connection: RedisConnection, until deadline: NIODeadline, into replies: inout [RedisValue]
    ) async throws(RedisError) {
        let again = try await connection.send(
            scripts.map(RedisCommand.load) + places.map { commands[$0] }, deadline: deadline)
        // A script that can't be loaded says why; its command could only say again that it is missing.
        var faults: [RedisScript: RedisValue] = [:]
        for (script, reply) in zip(scripts, again) where reply.serverError != nil { faults[script] = reply }
        for (place, reply) in zip(places, again.dropFirst(scripts.count)) {
            replies[place] = commands[place].script.flatMap { faults[$0] } ?? reply
        }
    }
}
