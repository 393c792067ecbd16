import JSON

/// What a client asks for before it asks for objects: which kinds there are.
enum Discovery {
    static func answer(_ path: String) -> APIAnswer? {
        switch path {
        case "/api": APIAnswer(200, ["kind": "APIVersions", "versions": ["v1"]])
        case "/apis": APIAnswer(200, ["kind": "APIGroupList", "apiVersion": "v1", "groups": [group]])
        case "/api/v1": APIAnswer(200, resources("v1", [("events", "Event", "event", ["ev"])]))
        case "/apis/portcullis.dev/v1alpha1":
            APIAnswer(200, resources("portcullis.dev/v1alpha1", [("signals", "Signal", "signal", ["sig"])]))
        default: nil
        }
    }

    private static let version: JSONTree = ["groupVersion": "portcullis.dev/v1alpha1", "version": "v1alpha1"]
    private static let group: JSONTree = [
        "name": "portcullis.dev", "versions": .array([version]), "preferredVersion": version,
    ]

    private static func resources(_ version: String, _ kinds: [(String, String, String, [String])]) -> JSONTree {
        [
            "kind": "APIResourceList", "groupVersion": .string(version),
            "resources": .array(
                kinds.map { plural, kind, singular, short in
                    [
                        "name": .string(plural), "singularName": .string(singular), "namespaced": true,
                        "kind": .string(kind), "verbs": ["create", "delete", "get", "list", "patch", "watch"],
                        "shortNames": .array(short.map(JSONTree.string)),
                    ]
                }),
        ]
    }
}
