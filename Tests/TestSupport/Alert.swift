public import JSON

/// An alert as a test sends it, in either sender's words.
public struct Alert: Sendable {
    public var labels: [(String, String)]
    public var startsAt: String
    /// Nil while it fires.
    public var endsAt: String?
    public var description = ""

    /// - Parameter name: also its storm group, so that alerts of different names make no storm.
    public init(
        _ name: String, _ more: (String, String)..., startsAt: String = "2026-08-01T12:00:00Z", endsAt: String? = nil
    ) {
        labels = [("alertname", name)] + more
        (self.startsAt, self.endsAt) = (startsAt, endsAt)
    }

    public func resolved(at time: String = "2026-08-01T12:30:00Z") -> Alert {
        var copy = self
        copy.endsAt = time
        return copy
    }

    /// Alertmanager's webhook, payload version 4.
    public static func webhook(_ alerts: [Alert], groupStatus: String? = nil) -> String {
        let resolved = alerts.allSatisfy { $0.endsAt != nil }
        let items = alerts.map { alert in
            """
            {"status":"\(alert.endsAt == nil ? "firing" : "resolved")",\(alert.common),\
            "endsAt":"\(alert.endsAt ?? "0001-01-01T00:00:00Z")","fingerprint":"f1e2d3c4b5a69788"}
            """
        }
        return """
            {"version":"4","groupKey":"{}:{}","truncatedAlerts":0,"status":"\(groupStatus ?? (resolved ? "resolved" : "firing"))",\
            "receiver":"portcullis","groupLabels":{},"commonLabels":{},"commonAnnotations":{},\
            "externalURL":"http://alertmanager.example:9093","alerts":[\(items.joined(separator: ","))]}
            """
    }

    /// The array that Prometheus posts.
    public static func batch(_ alerts: [Alert]) -> String {
        let items = alerts.map { alert in
            "{\(alert.common)" + (alert.endsAt.map { ",\"endsAt\":\"\($0)\"" } ?? "") + "}"
        }
        return "[\(items.joined(separator: ","))]"
    }

    private var common: String {
        let pairs = labels.map { "\(Self.quoted($0)):\(Self.quoted($1))" }.joined(separator: ",")
        return """
            "labels":{\(pairs)},"annotations":{"description":\(Self.quoted(description))},"startsAt":"\(startsAt)",\
            "generatorURL":"http://prometheus.example:9090/graph"
            """
    }

    private static func quoted(_ text: String) -> String {
        var writer = JSONWriter()
        writer.string(text)
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}

/// What a host says of a request: its status and the document beside it.
public struct Answer: Sendable {
    public let response: HTTPResponse
    public let document: JSONValue?

    public init(_ response: HTTPResponse) {
        self.response = response
        document = try? JSONDocument.parse(response.body).root
    }

    public var status: Int { response.status }
    public var text: String { response.text }
    /// Of each signal, in the request's order.
    public var verdicts: [String] {
        (document?["signals"]?.array.map { Array($0) } ?? []).compactMap { $0["verdict"]?.string }
    }
    public var fingerprints: [String] {
        (document?["signals"]?.array.map { Array($0) } ?? []).compactMap { $0["fingerprint"]?.string }
    }
    /// Reasons by the place of their items in the request.
    public var deadLetters: [Int: String] {
        var found: [Int: String] = [:]
        for letter in document?["dead_letters"]?.array.map({ Array($0) }) ?? [] {
            if let index = letter["index"]?.integer { found[Int(index)] = letter["reason"]?.string ?? "" }
        }
        return found
    }
    /// Of a problem document.
    public var detail: String { document?["detail"]?.string ?? "" }
}

/// A line of the sink's file.
public struct Delivered: Sendable, Hashable {
    public let id: String
    public let kind: String
    public let state: String
    public let fingerprint: String
    public let episode: String
    /// Of the signal; empty when the delivery has none.
    public let name: String

    public init(line: String) throws {
        guard let root = try? JSONDocument.parse(Array(line.utf8)).root, let id = root["id"]?.string else {
            throw TestFailure("not a delivery: \(line)")
        }
        self.id = id
        kind = root["kind"]?.string ?? ""
        state = root["state"]?.string ?? ""
        fingerprint = root["fingerprint"]?.string ?? ""
        episode = root["episode"]?.string ?? root["episode"]?.integer.map(String.init) ?? ""
        name = root["signal"]?["name"]?.string ?? ""
    }
}

extension HostProcess {
    public static let webhookPath = "/api/v1/signals/alertmanager"
    public static let batchPath = "/api/v2/alerts"

    /// Posts Alertmanager's webhook.
    public func post(_ alerts: Alert..., timeout: Duration = .seconds(30)) async throws -> Answer {
        Answer(try await http.post(Self.webhookPath, Alert.webhook(alerts), timeout: timeout))
    }

    /// Posts as Prometheus does.
    public func postBatch(_ alerts: Alert...) async throws -> Answer {
        Answer(try await http.post(Self.batchPath, Alert.batch(alerts)))
    }

    /// The sink's lines that are whole, read.
    public func deliveries() throws -> [Delivered] { try delivered.map { try Delivered(line: $0) } }

    /// Waits for `count` deliveries, and returns all there are then.
    public func deliveries(_ count: Int, within bound: Duration = .seconds(20)) async throws -> [Delivered] {
        try await delivered(count, within: bound).map { try Delivered(line: $0) }
    }

    /// Samples of `/metrics` whose name holds `word` and whose labels hold every one of `labels`, added up.
    public func total(_ word: String, _ labels: String...) async throws -> Double {
        var sum = 0.0
        for line in try await admin.get("/metrics").text.split(separator: "\n") where !line.hasPrefix("#") {
            let words = line.split(separator: " ")
            guard words.count >= 2, let value = Double(words[1]) else { continue }
            let name = words[0].prefix { $0 != "{" }
            if name.contains(word), labels.allSatisfy({ words[0].contains($0) }) { sum += value }
        }
        return sum
    }
}
