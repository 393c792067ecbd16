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
            for (place, from) in zip(group, Self.merged(group, signals)) {
                places[place] = from
                moved = moved || place != from
            }
        }
        guard moved else { return nil }
        self.places = places
    }

    /// Takes the first signal that is left of some reporter, again and again: one that fires if there is any, else one behind which its reporter
    /// fires again, else the first.
    private static func merged(_ group: [Int], _ signals: [GateSignal]) -> [Int] {
        var lines: [(reporter: Reporter, places: ArraySlice<Int>)] = []
        for place in group {
            if let line = lines.firstIndex(where: { $0.reporter == signals[place].reporter }) {
                lines[line].places.append(place)
            } else {
                lines.append((signals[place].reporter, [place]))
            }
        }
        guard lines.count > 1 else { return group }
        func fires(_ place: Int) -> Bool { signals[place].signal.status == .firing }
        var merged: [Int] = []
        merged.reserveCapacity(group.count)
        while !lines.isEmpty {
            let next =
                lines.firstIndex { fires($0.places.first!) } ?? lines.firstIndex { $0.places.contains(where: fires) }
                ?? 0
            merged.append(lines[next].places.removeFirst())
            if lines[next].places.isEmpty { lines.remove(at: next) }
        }
        return merged
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
