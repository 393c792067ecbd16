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
        if Self.isUnknownField(text, number) { return .unknownField }
        if number >= 500, Self.isTooLarge(text) { return .tooLarge }
        return Self.code(number, reason)
    }

    /// Where the API server says so, and nowhere else: its messages quote values of the object. `strict decoding error: `, at the beginning
    /// or behind `KIND in version "VERSION" cannot be handled as a KIND: `, of a 400 or a 422; and of server-side apply, which answers 500, a
    /// line `PATH: field not declared in schema` behind `failed to create typed patch object (NAME; VERSION, KIND): `.
    private static func isUnknownField(_ text: String, _ number: Int) -> Bool {
        let strict = "strict decoding error: "
        if (400..<500).contains(number) {
            if text.hasPrefix(strict) { return true }
            guard let handled = text.firstRange(of: "\" cannot be handled as a "),
                let kind = text[..<handled.lowerBound].firstRange(of: " in version \"")
            else { return false }
            let words = [text[..<kind.lowerBound], text[kind.upperBound..<handled.lowerBound]]
            let rest = text[handled.upperBound...]
            guard words.allSatisfy(isWord), let end = rest.firstRange(of: ": "), isWord(rest[..<end.lowerBound]) else {
                return false
            }
            return rest[end.upperBound...].hasPrefix(strict)
        }
        guard number >= 500, text.hasPrefix("failed to create typed patch object ("),
            let end = text.firstRange(of: "): ")
        else { return false }
        let ending = ": field not declared in schema"
        return text[end.upperBound...].split(separator: "\n").contains { line in
            let line = line.drop { $0 == " " }
            return line.hasSuffix(ending) && line.hasPrefix(".") && isWord(line.dropLast(ending.count))
        }
    }

    private static func isWord(_ text: Substring) -> Bool { !text.isEmpty && !text.contains { " \"\n".contains($0) } }

    /// Of etcd (`--max-request-bytes`, 1.5 MiB), and of the API server's client of etcd (2 MiB). Both come as 500, at the beginning or behind
    /// `rpc error: code = CODE desc = `.
    private static func isTooLarge(_ text: String) -> Bool {
        var rest = text[...]
        if rest.hasPrefix("rpc error: code = "), let end = rest.firstRange(of: " desc = ") {
            rest = rest[end.upperBound...]
        }
        return rest.hasPrefix("etcdserver: request is too large")
            || rest.hasPrefix("trying to send message larger than max")
    }

    /// What a policy or a webhook said, with its name.
    private var denial: String? {
        let texts = [text].compactMap { $0 } + causes.compactMap(\.message)
        return texts.contains(where: Self.isDenial) ? text ?? texts.first : nil
    }

    /// `ValidatingAdmissionPolicy 'NAME' with binding 'NAME' denied request: …` or `admission webhook "NAME" denied the request…`,
    /// at the beginning, or after `… "NAME" is forbidden: `. Elsewhere they may be a quotation from the object.
    private static func isDenial(_ text: String) -> Bool {
        var rest = text[...]
        // `RESOURCE "NAME" is forbidden: `: neither has a quotation mark.
        if let forbidden = text.firstRange(of: "\" is forbidden: ") {
            let named = text[..<forbidden.lowerBound].split(separator: "\"", omittingEmptySubsequences: false)
            if named.count == 2, named[0].last == " ", isWord(named[0].dropLast()) {
                rest = text[forbidden.upperBound...]
            }
        }
        return [
            ("ValidatingAdmissionPolicy '", "' denied request"), ("MutatingAdmissionPolicy '", "' denied request"),
            ("admission webhook \"", "\" denied the request"),
        ].contains { rest.hasPrefix($0.0) && rest.contains($0.1) }
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
