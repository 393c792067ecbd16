internal import JSON

/// A `Status`: how the API says that a request failed.
struct StatusDocument {
    /// characters of a message that are kept; a denial is kept in full, as far as a policy may write one
    private static let longest = 1_024
    private static let longestDenial = 8_192

    private let number: Int
    let reason: String?
    private let text: String?
    private let causes: [(field: String?, reason: String?, message: String?)]
    let resource: String?

    init?(_ root: JSONValue?, _ number: Int) {
        guard let root else { return nil }
        self.number = number
        reason = root["reason"]?.string
        text = root["message"]?.string
        resource = root["details"]?["kind"]?.string
        causes =
            (root["details"]?["causes"]?.array?.prefix(8)).map { list in
                list.map { ($0["field"]?.string, $0["reason"]?.string, $0["message"]?.string) }
            } ?? []
    }

    /// The texts decide before the number does: policies, webhooks and etcd choose numbers that mean something else.
    var code: KubernetesError.Code {
        if denial != nil { return .denied }
        let text = text ?? ""
        // The second is of server-side apply, which answers 500 for it.
        if text.contains("strict decoding error") || text.contains("field not declared in schema") {
            return .unknownField
        }
        // Of etcd (`--max-request-bytes`, 1.5 MiB), and of the API server's client of etcd (2 MiB). Both come as 500.
        if number >= 500,
            text.contains("request is too large") || text.contains("trying to send message larger than max")
        {
            return .tooLarge
        }
        return Self.code(number, reason)
    }

    /// What a policy or a webhook said, with its name.
    private var denial: String? {
        let texts = [text].compactMap { $0 } + causes.compactMap(\.message)
        return texts.contains(where: Self.isDenial) ? text ?? texts.first : nil
    }

    /// `ValidatingAdmissionPolicy 'NAME' with binding 'NAME' denied request: …` or `admission webhook "NAME" denied the request…`,
    /// at the beginning, or after `… "NAME" is forbidden: `. Elsewhere they may be a quotation from the object.
    private static func isDenial(_ text: String) -> Bool {
        for (beginning, verb) in [
            ("ValidatingAdmissionPolicy '", "' denied request"), ("MutatingAdmissionPolicy '", "' denied request"),
            ("admission webhook \"", "\" denied the request"),
        ] {
            let rest =
                text.hasPrefix(beginning)
                ? text[...] : text.firstRange(of: "\" is forbidden: " + beginning).map { text[$0.upperBound...] }
            if let rest, rest.contains(verb) { return true }
        }
        return false
    }

    /// A 422 without the values that were sent, which its text quotes.
    func message(for code: KubernetesError.Code) -> String {
        if code == .denied, let denial { return String(denial.prefix(Self.longestDenial)) }
        guard number == 422, code == .invalid else {
            return String((text ?? "HTTP \(number) without a message").prefix(Self.longest))
        }
        let fields = causes.compactMap { cause in cause.field.map { "\($0): \(cause.reason ?? "invalid")" } }
        let what = fields.isEmpty ? "the object is invalid" : "fields are invalid: " + fields.joined(separator: ", ")
        return String(what.prefix(Self.longest))
    }

    static func code(_ status: Int, _ reason: String?) -> KubernetesError.Code {
        switch status {
        case 401: .unauthorized
        case 403: .forbidden
        case 404: .notFound
        case 409: reason == "AlreadyExists" ? .alreadyExists : .conflict
        case 410: .expired
        case 429: .overloaded
        case 400..<500: .invalid
        case 500..<600: .unavailable
        default: .garbage
        }
    }
}
