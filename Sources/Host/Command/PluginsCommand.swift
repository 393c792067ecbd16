import ArgumentParser
import JSON
import SignalKit

struct PluginsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plugins", abstract: "List the plugins of this build with their keys.",
        discussion: """
            For a policy it also says what its failure means: closed refuses the signal with a 503, open goes on \
            without it. What every adapter, policy and sink has besides is in docs/configuration.md.

            With --acl it prints the command that makes the user of Redis whom a configuration needs; behind Sentinel a
            second one, for the Sentinels. Put the password in place of PASSWORD.
            """)

    @Flag(help: "Print the rights that the configuration needs in Redis's ACL.")
    var acl = false

    @OptionGroup var config: ConfigurationOption
    @OptionGroup var form: OutputOption

    func validate() throws {
        guard acl || config.given == nil else { throw ValidationError("--config goes with --acl.") }
    }

    func run() throws {
        let context = CommandContext.current
        guard !acl else { return try printUsers(context.console) }
        let groups = ConfigurationReference.groups(of: context.plugins)
        guard !form.isJSON else {
            let all = zip(context.plugins.all, groups).map { Self.document($0.kind, $0.type.id, $1) }
            let document: JSONTree = ["plugins": .array(all)]
            return context.console.out(json: String(decoding: try document.text(pretty: true), as: UTF8.self))
        }
        for (place, group) in groups.enumerated() {
            if place > 0 { context.console.out("") }
            context.console.out(group.failureMode.map { "\(group.title) (on error \($0))" } ?? group.title)
            guard !group.keys.isEmpty else {
                context.console.out("  no keys of its own")
                continue
            }
            var table = Table(["KEY", "KIND", "BOUNDS", "DEFAULT"])
            for key in group.keys { table.add(key.path, key.kind, key.bounds, key.fallback ?? "required") }
            for line in table.lines(columns: context.console.columns.map { $0 - 2 }) {
                context.console.out("  " + line)
            }
        }
    }

    private func printUsers(_ console: Console) throws {
        let user = StoreUser(try config.load())
        for note in user.notes { console.err(note) }
        if form.isJSON {
            let document: JSONTree = [
                "redis": .string(Self.command(user.server)),
                "sentinel": user.sentinel.map { .string(Self.command($0)) } ?? .null,
            ]
            return console.out(json: String(decoding: try document.text(pretty: true), as: UTF8.self))
        }
        console.out(Self.command(user.server))
        if let sentinel = user.sentinel { console.out(Self.command(sentinel)) }
    }

    private static func command(_ user: String) -> String { "ACL SETUSER \(user)" }

    private static func document(
        _ kind: Plugins.Kind, _ id: PluginID, _ group: ConfigurationReference.Group
    ) -> JSONTree {
        let keys = group.keys.map { key -> JSONTree in
            [
                "path": .string(key.path), "kind": .string(key.kind), "bounds": .string(key.bounds),
                "default": key.fallback.map { .string($0) } ?? .null, "required": .boolean(key.fallback == nil),
            ]
        }
        var members: [String: JSONTree] = [
            "kind": .string(kind.rawValue), "id": .string(id.description), "keys": .array(keys),
        ]
        if let mode = group.failureMode { members["failure_mode"] = .string(mode) }
        return .object(members)
    }
}
