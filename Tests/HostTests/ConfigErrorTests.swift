import Testing

@testable import Host

/// Each change of a fine file brings these complaints, at these places, and no other.
@Suite struct ConfigErrorTests {
    @Test(arguments: serverChanges)
    func whatIsWrongWithTheServerIsSaidAtItsPlace(_ change: Change) {
        #expect(complaints(change.text) == change.complaints)
    }

    @Test(arguments: stateChanges)
    func whatIsWrongWithTheStateIsSaidAtItsPlace(_ change: Change) {
        #expect(complaints(change.text) == change.complaints)
    }

    @Test(arguments: sentinelChanges + tlsChanges + durabilityChanges)
    func whatIsWrongWithASharedStoreIsSaidAtItsPlace(_ change: Change) {
        #expect(complaints(change.text, .standard) == change.complaints)
    }

    @Test(arguments: sourceChanges)
    func whatIsWrongWithASourceIsSaidAtItsPlace(_ change: Change) {
        #expect(complaints(change.text, .standard) == change.complaints)
    }

    @Test(arguments: listsChanges)
    func whatIsWrongWithAnAdapterOrSinkIsSaidAtItsPlace(_ change: Change) {
        #expect(complaints(change.text) == change.complaints)
    }

    @Test(arguments: policiesChanges)
    func whatIsWrongWithThePoliciesIsSaidAtItsPlace(_ change: Change) {
        #expect(complaints(change.text) == change.complaints)
    }

    @Test(arguments: yamlChanges)
    func whatIsNoYAMLIsSaidAtItsPlace(_ change: Change) {
        #expect(complaints(change.text) == change.complaints)
    }
}

let policiesChanges: [Change] = [
    Change(
        "policies:\n  - {use: deduplicate}\n  - {use: persist, durability: fsync}", "policies: []",
        "f:8:11: policies: expected deduplicate and persist at least, found none"),
    Change(
        "  - {use: deduplicate}", "",
        "f:8:1: policies: deduplicate is missing: it must be the first of the gate"),
    Change(
        "  - {use: persist, durability: fsync}", "",
        "f:8:1: policies: persist is missing: without it nothing is stored; it must be the last"),
    Change(
        "  - {use: deduplicate}\n  - {use: persist, durability: fsync}",
        "  - {use: persist, durability: fsync}\n  - {use: deduplicate}",
        "f:9:5: policies[0]: persist must be the last of the gate: move it below deduplicate (line 10)",
        "f:10:5: policies[1]: deduplicate must be the first of the gate, whose policies read its record: move it above persist (line 9)"
    ),
    Change(
        "  - {use: deduplicate}", "  - {use: deduplicate}\n  - {use: filter}",
        "f:10:5: policies[1]: filter decides in the process, before the gate: move it above deduplicate (line 9)"),
    Change(
        "  - {use: deduplicate}", "  - {use: deduplicate}\n  - {use: deduplicate}",
        "f:10:5: policies[1]: deduplicate is in the gate already: remove one of the two"),
    Change(
        "  - {use: deduplicate}", "  - {use: storm}\n  - {use: deduplicate}",
        "f:10:5: policies[1]: deduplicate must be the first of the gate, whose policies read its record: move it above storm (line 9)"
    ),
    Change(
        "  - {use: persist, durability: fsync}", "  - {use: persist, durability: fsync}\n  - {use: storm}",
        "f:10:5: policies[1]: persist must be the last of the gate: move it below storm (line 11)"),
    Change(
        "  - {use: deduplicate}", "  - {use: dedupliacte}",
        "f:9:11: policies[0].use: there is no policy dedupliacte; did you mean deduplicate? known here: filter, enrich, deduplicate, storm, persist"
    ),
    Change(
        "  - {use: deduplicate}", "  - {use: deduplicate, retension: 9h}",
        "f:9:24: policies[0].retension: unknown key retension; did you mean retention?"),
    Change(
        "  - {use: deduplicate}", "  - {use: deduplicate, retention: 9}",
        "f:9:35: policies[0].retention: expected a duration such as 90s, 10m or 8h30m"),
    Change(
        "  - {use: deduplicate}", "  - {use: deduplicate, on_error: open}",
        "f:9:34: policies[0].on_error: deduplicate is in the gate and closed by construction: remove on_error"),
    Change(
        "  - {use: deduplicate}", "  - {use: filter, on_error: open}\n  - {use: deduplicate}",
        "f:9:29: policies[0].on_error: filter is closed, which a file may tighten only: remove on_error"),
    Change(
        "  - {use: deduplicate}", "  - {use: filter, on_error: maybe}\n  - {use: deduplicate}",
        "f:9:29: policies[0].on_error: expected closed"),
    Change(
        "  - {use: persist, durability: fsync}", "  - {use: persist, backlog: 5}",
        "f:10:5: policies[1].durability: durability is required"),
    Change(
        "  - {use: persist, durability: fsync}", "  - {use: persist, backlog: 0, bklog: 1}",
        "f:10:5: policies[1].durability: durability is required",
        "f:10:32: policies[1].bklog: unknown key bklog; did you mean backlog?"),
    Change(
        "  - {use: persist, durability: fsync}",
        "  - {use: storm, rate: {cuont: 1}}\n  - {use: persist, durability: fsync}",
        "f:10:25: policies[1].rate.cuont: unknown key cuont; known here: count"),
]

let yamlChanges: [Change] = [
    Change(
        "server:", "serve:",
        "f:1:1: serve: unknown key serve; did you mean server?",
        "f:1:1: server.listen: listen is required: address, host:port or [v6]:port"),
    Change(
        "server:", "a: &a {b: 1}\nserver:",
        "f:1:1: a: unknown key a; known here: adapters, policies, server, sinks, sources, state"),
    Change(
        "  admin: 127.0.0.1:9090", "\tadmin: x",
        "f:3:1: not YAML: found a tab character that violates indentation, while scanning a plain scalar that begins at 2:11; indent with spaces, not with a tab"
    ),
    Change(
        "  admin: 127.0.0.1:9090", "  admin: 'x",
        "f:13:1: not YAML: found unexpected end of stream, while scanning a quoted scalar that begins at 3:10"),
    Change(
        "  admin: 127.0.0.1:9090", "  admin: 127.0.0.1:9090\n  admin: 127.0.0.1:9090",
        "f:3:3: admin is given twice in one mapping, first here"),
    Change(
        "sinks:", "server: {}\nsinks:",
        "f:1:1: server is given twice in one mapping, first here"),
    Change(
        "sinks:", "---\nsinks:",
        "f:11:1: a second document begins here; a configuration is one"),
    Change(
        "  admin: 127.0.0.1:9090", "  admin: *nowhere",
        "f:3:10: not YAML: found undefined alias"),
    Change(
        "  admin: 127.0.0.1:9090", "  admin: !secret x",
        "f:3:10: tags such as !secret are not read here"),
    Change(
        "  admin: 127.0.0.1:9090", "  [a]: x",
        "f:3:3: a key must be a text"),
]
