import CoreMetrics
import struct NIOConcurrencyHelpers.NIOLockedValueBox
import Synchronization

/// Metrics of one process in Prometheus's text format 0.0.4.
///
/// Also a backend of swift-metrics, so that what a library or a plugin measures is shown beside the host's own.
final class PrometheusRegistry: Sendable {
    enum Kind: String, Sendable { case counter, gauge, histogram }

    /// Series of all names together. Labels come from the configuration and from enums, so this is never met unless a
    /// plugin labels by what it was sent; then the rest is one series without labels.
    static let mostSeries = 10_000

    fileprivate struct Family: Sendable {
        let kind: Kind
        let help: String
        var series: [String: any Series] = [:]
    }
    private struct State: Sendable {
        var families: [String: Family] = [:]
        var count = 0
    }
    private let state = NIOLockedValueBox(State())

    typealias Label = (name: String, value: String)

    func counter(_ name: String, _ help: String, _ labels: [Label] = []) -> PrometheusCounter {
        series(name, help, .counter, labels) { PrometheusCounter() }
    }

    func gauge(_ name: String, _ help: String, _ labels: [Label] = []) -> PrometheusGauge {
        series(name, help, .gauge, labels) { PrometheusGauge() }
    }

    /// - Parameter bounds: of the buckets, ascending, in the metric's unit.
    func histogram(
        _ name: String, _ help: String, _ labels: [Label] = [], bounds: [Double] = PrometheusHistogram.seconds
    )
        -> PrometheusHistogram
    {
        series(name, help, .histogram, labels) { PrometheusHistogram(bounds: bounds) }
    }

    private func series<S: Series>(
        _ name: String, _ help: String, _ kind: Kind, _ labels: [Label], _ make: () -> S
    ) -> S {
        let key = Self.text(labels)
        return state.withLockedValue { state in
            if let found = state.families[name]?.series[key] as? S { return found }
            var key = key
            if state.count >= Self.mostSeries {
                key = ""
                if let rest = state.families[name]?.series[key] as? S { return rest }
            }
            let made = make()
            // A name that is used for two kinds keeps its first; the second is measured for nobody.
            guard state.families[name].map({ $0.kind == kind }) ?? true else { return made }
            state.families[name, default: Family(kind: kind, help: help)].series[key] = made
            state.count += 1
            return made
        }
    }

    /// `{a="x",b="y"}`, or nothing.
    private static func text(_ labels: [Label]) -> String {
        guard !labels.isEmpty else { return "" }
        return "{" + labels.map { "\($0.name)=\"\(escaped($0.value))\"" }.joined(separator: ",") + "}"
    }

    private static func escaped(_ text: String) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": out += "\\\\"
            case "\"": out += "\\\""
            case "\n": out += "\\n"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }

    func render() -> String {
        let families = state.withLockedValue { $0.families }
        var out = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            out += "# HELP \(name) \(family.help)\n# TYPE \(name) \(family.kind.rawValue)\n"
            for (labels, series) in family.series.sorted(by: { $0.key < $1.key }) {
                series.write(name, labels, to: &out)
            }
        }
        return out
    }
}

/// One time series, or one histogram's worth of them.
protocol Series: AnyObject, Sendable {
    func write(_ name: String, _ labels: String, to out: inout String)
}

final class PrometheusCounter: Series, CounterHandler {
    private let value = Atomic<Int64>(0)

    func increment(by amount: Int64) { value.wrappingAdd(amount, ordering: .relaxed) }
    func reset() { value.store(0, ordering: .relaxed) }
    /// For totals that somebody else counts.
    func set(_ total: Int64) { value.store(total, ordering: .relaxed) }

    var total: Int64 { value.load(ordering: .relaxed) }

    func write(_ name: String, _ labels: String, to out: inout String) {
        out += "\(name)\(labels) \(total)\n"
    }
}

final class PrometheusGauge: Series, RecorderHandler, MeterHandler {
    private let bits = Atomic<UInt64>(0)

    func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }
    func set(_ value: Int64) { set(Double(value)) }
    func record(_ value: Int64) { set(Double(value)) }
    func record(_ value: Double) { set(value) }

    private func change(by amount: Double) {
        var old = bits.load(ordering: .relaxed)
        while true {
            let new = (Double(bitPattern: old) + amount).bitPattern
            let (done, seen) = bits.weakCompareExchange(expected: old, desired: new, ordering: .relaxed)
            if done { return }
            old = seen
        }
    }
    func increment(by amount: Double) { change(by: amount) }
    func decrement(by amount: Double) { change(by: -amount) }

    func write(_ name: String, _ labels: String, to out: inout String) {
        out += "\(name)\(labels) \(PrometheusHistogram.text(Double(bitPattern: bits.load(ordering: .relaxed))))\n"
    }
}

final class PrometheusHistogram: Series, TimerHandler {
    /// Seconds, up to what a sender waits: Alertmanager and Prometheus give up after 10 s.
    static let seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

    private let bounds: [Double]
    private let counts: [PrometheusCounter]
    /// in nanounits, so that an integer holds it
    private let sum = Atomic<Int64>(0)

    init(bounds: [Double]) {
        self.bounds = bounds
        counts = (0...bounds.count).map { _ in PrometheusCounter() }
    }

    func observe(_ value: Double) {
        let place = bounds.firstIndex { value <= $0 } ?? bounds.count
        counts[place].increment(by: 1)
        sum.wrappingAdd(Int64(exactly: (value * 1e9).rounded()) ?? 0, ordering: .relaxed)
    }

    func observe(_ duration: Duration) {
        let parts = duration.components
        observe(Double(parts.seconds) + Double(parts.attoseconds) / 1e18)
    }

    func recordNanoseconds(_ duration: Int64) { observe(Double(duration) / 1e9) }

    func write(_ name: String, _ labels: String, to out: inout String) {
        let inner = labels.isEmpty ? "" : labels.dropFirst().dropLast() + ","
        var total: Int64 = 0
        for (bound, count) in zip(bounds, counts) {
            total += count.total
            out += "\(name)_bucket{\(inner)le=\"\(Self.text(bound))\"} \(total)\n"
        }
        total += counts[bounds.count].total
        out += "\(name)_bucket{\(inner)le=\"+Inf\"} \(total)\n"
        out += "\(name)_sum\(labels) \(Self.text(Double(sum.load(ordering: .relaxed)) / 1e9))\n"
        out += "\(name)_count\(labels) \(total)\n"
    }

    static func text(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : "\(value)"
    }
}

extension PrometheusRegistry: MetricsFactory {
    private static let help = "From swift-metrics."

    /// A name as Prometheus writes it: letters, digits and _.
    private static func name(_ label: String) -> String {
        let text = label.unicodeScalars.map { scalar -> Character in
            scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)) ? Character(scalar) : "_"
        }
        return (text.first?.isNumber ?? true ? "_" : "") + String(text)
    }

    private static func labels(_ dimensions: [(String, String)]) -> [Label] {
        dimensions.map { (name($0.0), String($0.1.prefix(128))) }
    }

    func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        counter(Self.name(label), Self.help, Self.labels(dimensions))
    }
    func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        gauge(Self.name(label), Self.help, Self.labels(dimensions))
    }
    func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        gauge(Self.name(label), Self.help, Self.labels(dimensions))
    }
    func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        histogram(Self.name(label) + "_seconds", Self.help, Self.labels(dimensions))
    }
    // Series live as long as the process: Prometheus takes one that goes and comes back for a reset.
    func destroyCounter(_ handler: any CounterHandler) {}
    func destroyRecorder(_ handler: any RecorderHandler) {}
    func destroyMeter(_ handler: any MeterHandler) {}
    func destroyTimer(_ handler: any TimerHandler) {}
}
