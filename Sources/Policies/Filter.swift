public import SignalKit

/// Keeps out what nobody wants, by matchers on labels.
public struct Filter: Policy {
    public static let id: PluginID = "filter"
    /// It asks nobody, so it can't fail; were it to, the signal would be refused, not lost.
    public static let failureMode = FailureMode.closed

    private struct Rule: Sendable {
        let text: String
        let matchers: Matchers
    }
    private let drop: [Rule]
    private let keep: [Rule]

    public init(_ config: inout ConfigReader, _ services: Services) throws(ConfigError) {
        drop = try Self.rules("drop", &config)
        keep = try Self.rules("keep", &config)
        if drop.isEmpty && keep.isEmpty && !config.isDescribing && config.errors.isEmpty {
            config.report(nil, "filter without drop and keep does nothing: name matchers, or leave it out")
        }
    }

    private static func rules(_ key: String, _ config: inout ConfigReader) throws(ConfigError) -> [Rule] {
        var rules: [Rule] = []
        for text in try config.texts(key, default: [], longest: 4_096) {
            do throws(MatcherError) {
                rules.append(Rule(text: text, matchers: try Matchers(text)))
            } catch {
                config.report(key, "\(text): \(error.message)")
            }
        }
        return rules
    }

    public func evaluate(_ signal: Signal, _ context: PolicyContext) async throws(PolicyError) -> PolicyDecision {
        if let rule = drop.first(where: { $0.matchers.accept(signal.labels) }) {
            return .filter(reason: "drop: \(rule.text)")
        }
        guard keep.isEmpty || keep.contains(where: { $0.matchers.accept(signal.labels) }) else {
            return .filter(reason: "no matcher of keep fits")
        }
        return .pass
    }
}
