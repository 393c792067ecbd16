internal import NIOCore

/// What is to be sent again after the server had forgotten a script: the commands that it refused, and every
/// `WAIT` after the first of them, whose answer did not speak of their writes.
struct ScriptRepeat {
    private let scripts: [RedisScript]
    let places: [Int]
    private let commands: [RedisCommand]

    /// Nil when nothing was refused for want of a script.
    init?(of commands: [RedisCommand], _ replies: [RedisValue]) {
        func refused(_ index: Int) -> RedisScript? {
            replies[index].serverError?.code == .noScript ? commands[index].script : nil
        }
        guard let first = commands.indices.first(where: { refused($0) != nil }) else { return nil }
        self.commands = commands
        places = commands.indices.filter { refused($0) != nil || (commands[$0].isBarrier && $0 > first) }
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
