let listsChanges: [Change] = [
    Change(
        "  - {use: alertmanager, path: /hook, authenticate: none}", "",
        "f:6:10: adapters: expected a list, found nothing"),
    Change(
        "adapters:\n  - {use: alertmanager, path: /hook, authenticate: none}", "adapters: []",
        "f:6:11: adapters: expected one adapter or more, found none"),
    Change(
        "adapters:\n  - {use: alertmanager, path: /hook, authenticate: none}", "adapters: {use: alertmanager}",
        "f:6:11: adapters: expected a list, found a mapping"),
    Change(
        "  - {use: alertmanager, path: /hook, authenticate: none}", "  - alertmanager",
        "f:7:5: adapters[0]: expected a mapping of keys, found a value"),
    Change(
        "  - {use: alertmanager, path: /hook, authenticate: none}", "  -",
        "f:7:4: adapters[0]: expected a mapping with use, found nothing"),
    Change(
        "  - {use: alertmanager, path: /hook, authenticate: none}",
        "  - {use: alertmanger, path: /hook, authenticate: none}",
        "f:7:11: adapters[0].use: there is no adapter alertmanger; did you mean alertmanager? known here: alertmanager, prometheus"
    ),
    Change(
        "  - {use: alertmanager, path: /hook, authenticate: none}", "  - {use: kafka, path: /hook, authenticate: none}",
        "f:7:11: adapters[0].use: there is no adapter kafka; known here: alertmanager, prometheus"),
    Change(
        "  - {use: alertmanager, path: /hook, authenticate: none}", "  - {path: /hook, authenticate: none}",
        "f:7:5: adapters[0].use: use is required: text"),
    Change(
        "  - {use: alertmanager, path: /hook, authenticate: none}", "  - {use: alertmanager, authenticate: none}",
        "f:7:5: adapters[0].path: path is required: path, begins with /"),
    Change(
        "  - {use: alertmanager, path: /hook, authenticate: none}",
        "  - {use: alertmanager, path: hook, authenticate: none}",
        "f:7:31: adapters[0].path: expected a path such as /api/v1/signals/x"),
    Change(
        "  - {use: alertmanager, path: /hook, authenticate: none}",
        "  - {use: alertmanager, path: /, authenticate: none}",
        "f:7:31: adapters[0].path: expected a path such as /api/v1/signals/x"),
    Change(
        "  - {use: alertmanager, path: /hook, authenticate: none}",
        "  - {use: alertmanager, path: /a?b, authenticate: none}",
        "f:7:31: adapters[0].path: a path has letters, digits, -, ., _ and ~ between its slashes; no query"),
    Change(
        "  - {use: alertmanager, path: /hook, authenticate: none}",
        "  - {use: alertmanager, path: /-/ready, authenticate: none}",
        "f:7:31: adapters[0].path: /-/ready is what the host answers itself, as an Alertmanager would"),
    Change(
        "  - {use: alertmanager, path: /hook, authenticate: none}",
        "  - {use: alertmanager, path: /hook, authenticate: none}\n  - {use: alertmanager, path: /hook, authenticate: none}",
        "f:8:31: adapters[1].path: /hook is taken by the adapter of line 7"),
    Change(
        "  - {use: alertmanager, path: /hook, authenticate: none}",
        "  - {use: alertmanager, path: /hook, authenticate: none, skw: 1s}",
        "f:7:58: adapters[0].skw: unknown key skw; known here: authenticate, identity, path, resolves, target, use"),
    Change(
        "  - {use: alertmanager, path: /hook, authenticate: none}", "  - {use: alertmanager, path: /hook}",
        "f:7:5: adapters[0].authenticate: authenticate is required: none, bearer, hmac or kubernetes; none must be written out"
    ),
    Change(
        "  - {use: alertmanager, path: /hook, authenticate: none}",
        "  - {use: alertmanager, path: /hook, authenticate: nobody}",
        "f:7:52: adapters[0].authenticate: expected none, {bearer: {token_file: FILE}}, {hmac: {key_file: FILE}} or {kubernetes: {}}"
    ),
    Change(
        "  - {use: alertmanager, path: /hook, authenticate: none}",
        "  - {use: alertmanager, path: /hook, authenticate: mtls}",
        "f:7:52: adapters[0].authenticate: mtls is not in this version: none, bearer, hmac or kubernetes"),
    Change(
        "  - {use: alertmanager, path: /hook, authenticate: none}",
        "  - {use: alertmanager, path: /hook, authenticate: {kubernetes: {audience: a}}}",
        "f:7:66: adapters[0].authenticate.kubernetes.audience: unknown key audience; did you mean audiences?"),
    Change(
        "  - {use: alertmanager, path: /hook, authenticate: none}",
        "  - {use: alertmanager, path: /hook, authenticate: {kubernetes: {audiences: portcullis}}}",
        "f:7:77: adapters[0].authenticate.kubernetes.audiences: expected a list of texts, found a value"),
    Change(
        "  - {use: alertmanager, path: /hook, authenticate: none}",
        "  - {use: alertmanager, path: /hook, authenticate: {kubernetes: {}, bearer: {token_file: t}}}",
        "f:7:52: adapters[0].authenticate: give one of bearer, hmac and kubernetes"),
    Change(
        "  - {use: alertmanager, path: /hook, authenticate: none}",
        "  - {use: alertmanager, path: /hook, authenticate: {}}",
        "f:7:52: adapters[0].authenticate: give one of bearer, hmac and kubernetes"),
    Change(
        "  - {use: alertmanager, path: /hook, authenticate: none}",
        "  - {use: alertmanager, path: /hook, authenticate: {bearer: {}}}",
        "f:7:61: adapters[0].authenticate.bearer.token_file: token_file is required: path"),
    Change(
        "  - {use: alertmanager, path: /hook, authenticate: none}",
        "  - {use: alertmanager, path: /hook, authenticate: {bearer: {token_file: t}, hmac: {key_file: k}}}",
        "f:7:52: adapters[0].authenticate: give one of bearer, hmac and kubernetes"),
    Change(
        "  - {use: alertmanager, path: /hook, authenticate: none}",
        "  - {use: alertmanager, path: /hook, authenticate: {hmac: {key_file: k, header: 'a b'}}}",
        "f:7:81: adapters[0].authenticate.hmac.header: expected the name of a header"),
    Change(
        "  - {use: alertmanager, path: /hook, authenticate: none}",
        "  - {use: alertmanager, path: /hook, authenticate: {hmac: {key_file: k, key: l}}}",
        "f:7:73: adapters[0].authenticate.hmac.key: unknown key key; known here: header, key_file"),
    Change(
        "policies:", "sources: [{use: kubernetes-events-watch, feeds: alertmanager}]\npolicies:",
        "f:8:17: sources[0].use: there is no source kubernetes-events-watch; this build has none"),
    Change(
        "policies:", "sources: x\npolicies:",
        "f:8:10: sources: expected a list, found a value"),
    Change(
        "sinks:\n  - {use: jsonl, name: file, path: ./out, when_full: refuse}", "sinks: []",
        "f:11:8: sinks: expected one sink or more, found none"),
    Change(
        "  - {use: jsonl, name: file, path: ./out, when_full: refuse}",
        "  - {use: json, name: file, path: ./out, when_full: refuse}",
        "f:12:11: sinks[0].use: there is no sink json; did you mean jsonl? known here: jsonl"),
    Change(
        "  - {use: jsonl, name: file, path: ./out, when_full: refuse}",
        "  - {use: jsonl, path: ./out, when_full: refuse}",
        "f:12:5: sinks[0].name: name is required: text, 1 to 63 of a-z, 0-9 and -, a letter first"),
    Change(
        "  - {use: jsonl, name: file, path: ./out, when_full: refuse}",
        "  - {use: jsonl, name: File, path: ./out, when_full: refuse}",
        "f:12:24: sinks[0].name: expected 1 to 63 of a-z, 0-9 and -, a letter first"),
    Change(
        "  - {use: jsonl, name: file, path: ./out, when_full: refuse}", "  - {use: jsonl, name: file, path: ./out}",
        "f:12:5: sinks[0].when_full: when_full is required: choice, refuse, dead-letter"),
    Change(
        "  - {use: jsonl, name: file, path: ./out, when_full: refuse}",
        "  - {use: jsonl, name: file, path: ./out, when_full: drop}",
        "f:12:54: sinks[0].when_full: expected one of refuse, dead-letter"),
    Change(
        "  - {use: jsonl, name: file, path: ./out, when_full: refuse}",
        "  - {use: jsonl, name: file, when_full: refuse}",
        "f:12:5: sinks[0].path: path is required: text"),
    Change(
        "  - {use: jsonl, name: file, path: ./out, when_full: refuse}",
        "  - {use: jsonl, name: file, path: ./out, when_full: refuse}\n  - {use: jsonl, name: file, path: ./out, when_full: refuse}",
        "f:13:24: sinks[1].name: file is the sink of line 12 already: a sink's queue goes by its name"),
]
