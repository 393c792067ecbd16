import SignalKit

/// What is wrong with the Redis commands that a step of the gate names: the canary could not try them, or would not.
enum StepCommands {
    static func faults(of step: GateStep) -> [String] {
        let named = Set(step.commands.map(\.name))
        let unnamed = run(by: step.source).subtracting(named).sorted().map {
            "its step runs \($0), which GateStep.commands does not name: name it, so that the right to it is verified"
        }
        return step.commands.compactMap(fault) + unnamed
    }

    private static func fault(of command: GateStep.Command) -> String? {
        guard isName(command.name) else {
            return "\(command.name.isEmpty ? "an empty text" : command.name) is no name of a Redis command: "
                + "write it as redis.call has it, in upper case"
        }
        if let trial = command.trial {
            return trial.contains { CanaryCalls.key($0) != nil }
                ? nil
                : "the trial of \(command.name) has no key: write @NAME for it, which becomes a key that is deleted again"
        }
        return CanaryCalls.call(of: command) == nil
            ? "the host knows no harmless call of \(command.name): give one, "
                + "GateStep.Command(\"\(command.name)\", trial: [\"@key\", …])"
            : nil
    }

    /// Those of modules have a dot: `JSON.SET`.
    private static func isName(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
                default: "._-".utf8.contains($0)
                }
            }
    }

    /// The commands that a Lua text calls by a literal name. A name that is computed is not seen.
    static func run(by source: String) -> Set<String> {
        var found: Set<String> = []
        for line in source.split(whereSeparator: \.isNewline) {
            let code = line.firstRange(of: "--").map { line[..<$0.lowerBound] } ?? line
            for opening in ["redis.call(", "redis.pcall("] {
                for range in code.ranges(of: opening) {
                    let rest = code[range.upperBound...].drop { $0 == " " }
                    guard let quote = rest.first, quote == "'" || quote == "\"" else { continue }
                    found.insert(rest.dropFirst().prefix { $0 != quote }.uppercased())
                }
            }
        }
        return found
    }
}
