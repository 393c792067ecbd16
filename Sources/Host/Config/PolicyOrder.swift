import SignalKit

/// Where a policy stands in the file.
struct PolicyPlace: Sendable {
    let id: PluginID
    let inGate: Bool
    let index: Int
    let mark: ConfigMark

    fileprivate var words: String { "\(id) (line \(mark.line))" }
    fileprivate var path: String { "policies[\(index)]" }
}

/// In-process policies come first. In the gate `deduplicate` is first, because the others read its record, and
/// `persist` last, because it stores what all the others let pass.
enum PolicyOrder {
    static let first: PluginID = "deduplicate"
    static let last: PluginID = "persist"

    /// - Parameter list: where the list of policies stands, for what is missing from it.
    static func errors(_ places: [PolicyPlace], list: ConfigMark?) -> [ConfigError] {
        var errors: [ConfigError] = []
        func wrong(_ place: PolicyPlace, _ message: String) {
            errors.append(ConfigError(path: place.path, mark: place.mark, message))
        }
        let gate = places.filter(\.inGate)
        if let top = gate.first {
            for place in places where !place.inGate && place.index > top.index {
                wrong(place, "\(place.id) decides in the process, before the gate: move it above \(top.words)")
            }
        }
        var seen: Set<PluginID> = []
        for place in gate where !seen.insert(place.id).inserted {
            wrong(place, "\(place.id) is in the gate already: remove one of the two")
        }
        if let place = gate.first(where: { $0.id == first }) {
            if let top = gate.first, top.index < place.index {
                wrong(
                    place,
                    "\(first) must be the first of the gate, whose policies read its record: move it above \(top.words)"
                )
            }
        } else {
            errors.append(
                ConfigError(path: "policies", mark: list, "\(first) is missing: it must be the first of the gate"))
        }
        if let place = gate.first(where: { $0.id == last }) {
            if let bottom = gate.last(where: { $0.id != last }), bottom.index > place.index {
                wrong(place, "\(last) must be the last of the gate: move it below \(bottom.words)")
            }
        } else {
            errors.append(
                ConfigError(
                    path: "policies", mark: list,
                    "\(last) is missing: without it nothing is stored; it must be the last"))
        }
        return errors
    }
}
