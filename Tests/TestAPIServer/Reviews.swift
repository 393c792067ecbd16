import JSON

/// Whom the server knows, and what they may do besides.
public struct APIUser: Sendable {
    public let name: String
    public let groups: [String]
    /// Paths that it may post to.
    public let paths: Set<String>
    public let audiences: [String]

    public init(
        _ name: String, groups: [String] = ["system:authenticated"], paths: Set<String> = [],
        audiences: [String] = ["api"]
    ) {
        (self.name, self.groups, self.paths, self.audiences) = (name, groups, paths, audiences)
    }
}

enum Reviews {
    static func token(_ review: JSONTree, _ users: [String: APIUser]) -> APIAnswer {
        var review = review
        review["metadata"] = [:]
        let asked = review["spec"]?["audiences"]
        if let user = review["spec"]?["token"]?.text.flatMap({ users[$0] }),
            case let audiences = shared(asked, user.audiences), !audiences.isEmpty
        {
            review["status"] = [
                "authenticated": true,
                "user": [
                    "username": .string(user.name), "uid": .string(user.name + "-uid"),
                    "groups": .array(user.groups.map(JSONTree.string)),
                ],
                "audiences": .array(audiences.map(JSONTree.string)),
            ]
        } else {
            // There is no `authenticated: false`.
            review["status"] = ["user": [:], "error": "invalid bearer token"]
        }
        return APIAnswer(201, review)
    }

    private static func shared(_ asked: JSONTree?, _ known: [String]) -> [String] {
        guard case .array(let items)? = asked, !items.isEmpty else { return known }
        return known.filter { items.contains(.string($0)) }
    }

    static func access(_ review: JSONTree, _ users: [String: APIUser]) -> APIAnswer {
        var review = review
        review["metadata"] = [:]
        let spec = review["spec"]
        let user = users.values.first { $0.name == spec?["user"]?.text }
        let path = spec?["nonResourceAttributes"]?["path"]?.text ?? ""
        let isAllowed = user?.paths.contains(path) == true && spec?["nonResourceAttributes"]?["verb"]?.text == "post"
        review["status"] = ["allowed": .boolean(isAllowed)]
        return APIAnswer(201, review)
    }
}
