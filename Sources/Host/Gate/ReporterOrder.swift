import SignalKit

/// The order in which the signals of one request are decided: of different reporters of one problem the firing signals come first, so
/// that a request in which one reporter ends and another fires tells no end. The signals of each reporter stay in their order.
struct ReporterOrder {
    /// Of each place in the new order, the place in the request.
    private let places: [Int]

    /// Nil when the request's own order will do, as nearly always.
    init?(_ signals: [GateSignal]) {
        guard signals.count > 1, signals.contains(where: { $0.signal.status == .resolved }) else { return nil }
        var groups: [Fingerprint: [Int]] = [:]
        for (place, signal) in signals.enumerated() { groups[signal.fingerprint, default: []].append(place) }
        var places = Array(signals.indices)
        var moved = false
        for group in groups.values where group.count > 1 {
            // They share the places that they have.
            let merged = Self.merged(
                group, by: { signals[$0].reporter }, fires: { signals[$0].signal.status == .firing })
            for (place, from) in zip(group, merged) {
                places[place] = from
                moved = moved || place != from
            }
        }
        guard moved else { return nil }
        self.places = places
    }

    /// The signals that no reporter's end stands before, of one reporter after the other; then those up to each reporter's last
    /// firing; then the ends behind it. In one pass: a request may name as many reporters of one problem as it has signals.
    /// - Parameters:
    ///   - group: places of the signals of one problem, in order.
    ///   - key: of the reporter of a signal.
    static func merged<Key: Hashable>(_ group: [Int], by key: (Int) -> Key, fires: (Int) -> Bool) -> [Int] {
        var lines: [(places: [Int], leading: Int, firing: Int)] = []
        var known: [Key: Int] = [:]
        for place in group {
            let line = known[key(place), default: lines.count]
            if line == lines.count {
                known[key(place)] = line
                lines.append(([], 0, 0))
            }
            lines[line].places.append(place)
            guard fires(place) else { continue }
            let count = lines[line].places.count
            if lines[line].leading == count - 1 { lines[line].leading = count }
            lines[line].firing = count
        }
        guard lines.count > 1 else { return group }
        return lines.flatMap { $0.places[..<$0.leading] } + lines.flatMap { $0.places[$0.leading..<$0.firing] }
            + lines.flatMap { $0.places[$0.firing...] }
    }

    func sorted(_ signals: [GateSignal]) -> [GateSignal] { places.map { signals[$0] } }

    /// The outcomes of sorted signals, in the request's order.
    func restored(_ outcomes: [GateOutcome]) -> [GateOutcome] {
        guard outcomes.count == places.count else { return outcomes }
        var restored = outcomes
        for (place, from) in places.enumerated() { restored[from] = outcomes[place] }
        return restored
    }
}
