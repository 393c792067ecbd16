/// Of what the host fetches by itself, with the plugins of the standard build.
let sourceChanges: [Change] = [
    sources("{use: kubernetes-events-watch, feeds: kubernetes-events}"),
    sources(
        "{use: kubernetes-events-watch, feeds: kubernetes-events}",
        "{use: kubernetes-events-watch, name: other, feeds: kubernetes-events, namespaces: [shop]}"),
    sources("kubernetes-events-watch", is: "f:10:5: sources[0]: expected a mapping of keys, found a value"),
    sources(
        "{use: kubernetes-event-watch, feeds: kubernetes-events}",
        is:
            "f:10:11: sources[0].use: there is no source kubernetes-event-watch; did you mean kubernetes-events-watch? known here: kubernetes-events-watch"
    ),
    sources("{feeds: kubernetes-events}", is: "f:10:5: sources[0].use: use is required: text"),
    sources(
        "{use: kubernetes-events-watch}",
        is: "f:10:5: sources[0].feeds: feeds is required: text, an adapter of the file"),
    // It is an adapter of the file, to which every event would be a dead letter.
    sources(
        "{use: kubernetes-events-watch, feeds: alertmanager}",
        is:
            "f:10:43: sources[0].feeds: what kubernetes-events-watch fetches is read by kubernetes-events, not by alertmanager"
    ),
    sources(
        "{use: kubernetes-events-watch, feeds: kubernetes-event}",
        is:
            "f:10:43: sources[0].feeds: what kubernetes-events-watch fetches is read by kubernetes-events, not by kubernetes-event"
    ),
    sources(
        "{use: kubernetes-events-watch, feeds: [a]}",
        is: "f:10:43: sources[0].feeds: expected an adapter of the file, found a list"),
    sources(
        "{use: kubernetes-events-watch, feeds: kubernetes-events, name: A b}",
        is: "f:10:68: sources[0].name: expected 1 to 63 of a-z, 0-9 and -, a letter first"),
    sources(
        "{use: kubernetes-events-watch, feeds: kubernetes-events, namespace: shop}",
        is: "f:10:62: sources[0].namespace: unknown key namespace; did you mean namespaces?"),
    sources(
        "{use: kubernetes-events-watch, feeds: kubernetes-events}",
        "{use: kubernetes-events-watch, feeds: kubernetes-events}",
        is:
            "f:11:5: sources[1].name: kubernetes-events-watch is the source of line 10 already: what it keeps goes by its name"
    ),
    Change(
        "policies:", "sources:\n  - {use: kubernetes-events-watch, feeds: kubernetes-events}\npolicies:",
        "f:9:43: sources[0].feeds: the file has no adapter kubernetes-events: add it to adapters, its keys hold for the source too"
    ),
    // It is there, and what is wrong with it is told once.
    Change(
        "policies:",
        "  - {use: kubernetes-events, path: /e, authenticate: nobody}\nsources:\n"
            + "  - {use: kubernetes-events-watch, feeds: kubernetes-events}\npolicies:",
        "f:8:54: adapters[1].authenticate: expected none, {bearer: {token_file: FILE}}, {hmac: {key_file: FILE}} or {kubernetes: {}}"
    ),
]

/// The sources stand in lines 10 and on.
private func sources(_ items: String..., is complaint: String? = nil) -> Change {
    let list = items.map { "  - \($0)\n" }.joined()
    return Change(
        "policies:",
        "  - {use: kubernetes-events, path: /events, authenticate: none}\nsources:\n\(list)policies:",
        complaint.map { [$0] } ?? [])
}
