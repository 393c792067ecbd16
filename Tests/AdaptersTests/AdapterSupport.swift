import Adapters
import SignalKit
import Testing

/// 2026-08-01T12:00:00Z
let noon = Timestamp(milliseconds: 1_785_585_600_000)

func at(_ text: String) throws -> Timestamp { try #require(Timestamp(rfc3339: text)) }

/// An adapter with keys as a file would hold them.
func adapter<Adapter: SignalAdapter>(
    _ type: Adapter.Type, _ entries: [(String, ConfigNode.Content)] = []
) throws -> Adapter {
    var config = ConfigReader(mapping(entries), path: "adapters[0]")
    let adapter = try Adapter(&config, .silent)
    config.finish()
    #expect(config.errors.isEmpty)
    return adapter
}

func mapping(_ entries: [(String, ConfigNode.Content)]) -> ConfigNode {
    let mark = ConfigMark(line: 1, column: 1)
    return ConfigNode(
        .map(entries.map { .init(key: $0.0, mark: mark, value: ConfigNode($0.1, mark: mark)) }), mark: mark)
}

func texts(_ texts: String...) -> ConfigNode.Content {
    .list(texts.map { ConfigNode(.scalar($0, plain: true), mark: ConfigMark(line: 1, column: 1)) })
}

extension SignalAdapter {
    func decode(_ text: String, receivedAt: Timestamp = noon) throws(AdapterError) -> Decoded {
        try decode(InboundRequest(body: Array(text.utf8), receivedAt: receivedAt))
    }

    /// The only signal of a body.
    func one(_ text: String, receivedAt: Timestamp = noon) throws -> Signal {
        let decoded = try decode(text, receivedAt: receivedAt)
        #expect(decoded.rejected.isEmpty)
        #expect(decoded.signals.count == 1)
        return try #require(decoded.signals.first)
    }

    /// The reason for which the only item of a body was set aside.
    func reason(_ text: String) throws -> String {
        let decoded = try decode(text)
        #expect(decoded.signals.isEmpty)
        #expect(decoded.rejected.count == 1)
        return try #require(decoded.rejected.first).reason
    }

    func refusal(_ text: String) -> AdapterError? {
        do throws(AdapterError) {
            _ = try decode(text)
            return nil
        } catch {
            return error
        }
    }
}

/// Bodies that real senders sent; Fixtures/README.md says how they were taken.
enum Fixture {
    static let alertmanagerFiring = String(decoding: PackageResources.alertmanager_firing_json, as: UTF8.self)
    static let alertmanagerResolved = String(decoding: PackageResources.alertmanager_resolved_json, as: UTF8.self)
    static let prometheusFiring = String(decoding: PackageResources.prometheus_firing_json, as: UTF8.self)
    static let prometheusResolved = String(decoding: PackageResources.prometheus_resolved_json, as: UTF8.self)
    static let eventCore = String(decoding: PackageResources.kubernetes_event_core_json, as: UTF8.self)
    static let eventNew = String(decoding: PackageResources.kubernetes_event_new_json, as: UTF8.self)
    static let eventCoreAsNew = String(decoding: PackageResources.kubernetes_event_core_as_new_json, as: UTF8.self)
    static let eventNewAsCore = String(decoding: PackageResources.kubernetes_event_new_as_core_json, as: UTF8.self)
    static let eventWatch = String(decoding: PackageResources.kubernetes_watch_jsonl, as: UTF8.self)
    static let amtoolAdd = String(decoding: PackageResources.amtool_add_json, as: UTF8.self)
}

/// Alertmanager's payload around alerts.
func group(_ alerts: String...) -> String {
    #"{"version":"4","groupKey":"{}:{}","status":"firing","receiver":"gate","alerts":["#
        + alerts.joined(separator: ",") + "]}"
}

/// An alert of Alertmanager's; `fields` come before those that are usual.
func alert(
    _ labels: String = #"{"alertname":"A"}"#, status: String = "firing", startsAt: String = "2026-08-01T11:00:00Z",
    endsAt: String = "0001-01-01T00:00:00Z", fields: String = ""
) -> String {
    #"{\#(fields)"status":"\#(status)","labels":\#(labels),"annotations":{},"startsAt":"\#(startsAt)","endsAt":"\#(endsAt)","#
        + #""generatorURL":"","fingerprint":"0"}"#
}
