public import SignalKit

/// A body as the adapter's sender really posts it: the ground on which the contract builds its hostile ones.
public struct AdapterSample: Sendable, ExpressibleByStringLiteral {
    public let body: [UInt8]
    /// How many items the body holds, good and bad together.
    public let items: Int
    public let receivedAt: Timestamp
    public let contentType: String?
    /// Names in lower case.
    public let headers: [String: String]

    /// 2026-08-01T12:00:00Z
    public static let noon = Timestamp(milliseconds: 1_785_585_600_000)

    /// - Parameter body: 64 KiB at most, since it is cut at every byte; one or two items are enough.
    public init(
        bytes body: [UInt8], items: Int = 1, receivedAt: Timestamp = noon, contentType: String? = "application/json",
        headers: [String: String] = [:]
    ) {
        self.body = body
        self.items = items
        self.receivedAt = receivedAt
        self.contentType = contentType
        self.headers = headers
    }

    public init(
        _ text: String, items: Int = 1, receivedAt: Timestamp = noon, contentType: String? = "application/json",
        headers: [String: String] = [:]
    ) {
        self.init(
            bytes: Array(text.utf8), items: items, receivedAt: receivedAt, contentType: contentType, headers: headers)
    }

    /// A body of one item.
    public init(stringLiteral text: String) { self.init(text) }
}

/// What an adapter promises to the host. Each rule has a broken adapter in this module's tests that only it finds.
public enum AdapterRule: String, Sendable, CaseIterable {
    /// The adapter is built from the configuration given, and declares its keys without one.
    case configuration
    /// Accepted and rejected together are what was sent, in samples and in samples with one value spoilt.
    case counting
    /// What is not this adapter's kind of document is an error, and never a signal.
    case garbage
    /// A body that was cut short, at any byte, says nothing that the whole one does not say.
    case truncation
    /// Deep nesting is an error; one overlong text costs its own item at most.
    case limits
    /// The same request has the same answer.
    case determinism
    /// A problem is the same problem whenever it is received.
    case identity
    /// No value from a body or a header shows in an error or a reason.
    case secrets
    /// A rejected item's own body is one that the adapter reads as one item.
    case replay
    /// Errors and reasons are short, and point into what was sent.
    case errors
}

public struct ContractViolation: Error, Sendable, CustomStringConvertible {
    public let rule: AdapterRule
    /// Place of the sample, from 0, when one was at hand.
    public let sample: Int?
    public let message: String
    public var description: String { "\(rule)\(sample.map { ", sample \($0)" } ?? ""): \(message)" }
}

public struct ContractViolations: Error, Sendable, CustomStringConvertible {
    public let violations: [ContractViolation]
    public var description: String {
        violations.prefix(20).map { "\n- \($0)" }.joined()
            + (violations.count > 20 ? "\n… and \(violations.count - 20) more" : "")
    }
}

/// Holds an adapter to what the host relies on. It depends on no test framework: a test is
///
///     try AdapterContract(AcmePager.self, samples: [#"{"incidents": […]}"#]).check()
///
/// A crash is a violation that no rule can report; the test process ends with it.
public struct AdapterContract<Adapter: SignalAdapter> {
    private let configuration: ConfigNode
    private let samples: [AdapterSample]

    /// - Parameters:
    ///   - configuration: the plugin's keys, when it has required ones.
    ///   - samples: at least one, of which at least one item is a good one.
    public init(_ adapter: Adapter.Type, configuration: ConfigNode? = nil, samples: [AdapterSample]) {
        self.configuration = configuration ?? ConfigNode(.null, mark: ConfigMark(line: 1, column: 1))
        self.samples = samples
    }

    /// - Throws: `ContractViolations` when there is any.
    public func check() throws(ContractViolations) {
        let violations = violations()
        guard violations.isEmpty else { throw ContractViolations(violations: violations) }
    }

    /// Everything that is wrong, each kind of fault once a rule and sample.
    public func violations() -> [ContractViolation] {
        var findings = Findings()
        guard let adapter = build(&findings), let fresh = build(&findings) else { return findings.violations }
        if samples.isEmpty { findings.add(.counting, nil, "no sample was given") }
        var accepted = 0
        for (place, sample) in samples.enumerated() {
            guard sample.body.count <= 65_536 else {
                findings.add(.counting, place, "the sample is longer than 64 KiB")
                continue
            }
            var examination = SampleExamination(adapter: adapter, fresh: fresh, sample: sample, place: place)
            accepted += examination.run()
            findings.take(examination.findings)
        }
        if accepted == 0 { findings.add(.counting, nil, "no item of any sample was accepted, so little was shown") }
        return findings.violations
    }

    private func build(_ findings: inout Findings) -> Adapter? {
        var describing = ConfigReader.describing()
        do throws(ConfigError) {
            _ = try Adapter(&describing, .silent)
        } catch {
            findings.add(.configuration, nil, "without a configuration, init throws: \(error.message)")
        }
        var config = ConfigReader(configuration, path: Adapter.id.description)
        do throws(ConfigError) {
            let adapter = try Adapter(&config, .silent)
            config.finish()
            for error in config.errors { findings.add(.configuration, nil, "\(error.path): \(error.message)") }
            return adapter
        } catch {
            findings.add(.configuration, nil, "init throws: \(error.path): \(error.message)")
            return nil
        }
    }
}

/// Violations, each kind once a rule and sample: a fault that shows at every byte is one fault.
struct Findings {
    private(set) var violations: [ContractViolation] = []
    private var seen: Set<String> = []

    mutating func add(_ rule: AdapterRule, _ sample: Int?, _ message: String, kind: String? = nil) {
        guard seen.insert("\(rule) \(sample ?? -1) \(kind ?? message)").inserted else { return }
        violations.append(ContractViolation(rule: rule, sample: sample, message: message))
    }

    mutating func take(_ other: Findings) { violations += other.violations }
}
