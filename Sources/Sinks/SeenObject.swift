import JSON
import SignalKit

/// An object in the cluster, as far as it decides.
struct SeenObject: Sendable, Hashable {
    let name: String
    let uid: String
    let resourceVersion: String
    /// Full: labels hold only the beginning of it.
    let fingerprint: String
    /// The one it was made for, or adopted for since.
    let episode: Int64
    /// Of the delivery it last had; 0 when it has had none, its maker died in between.
    let version: Int64
    /// The sender's.
    let startsAt: Timestamp?
    let lastSeen: Timestamp?
    let resolvedAt: Timestamp?
    let isResolved: Bool
    /// Its sender did not say that it is over; it was merely no longer heard of.
    let endedByItself: Bool
    /// By whoever acts on it.
    let isCompleted: Bool
    /// What this sink wrote of its state, to be written again with changes.
    let written: JSONTree

    var isActive: Bool { !isResolved && !isCompleted }

    var order: (Int64, Int64) { (episode, latest) }

    /// Of what is known of it: an object whose state is still to be written was made for its episode's first version.
    var latest: Int64 { max(version, episode) }

    /// The `n` of `sig-<hex>-<n>`; 0 for a name of somebody else's making.
    var number: Int {
        let parts = name.split(separator: "-")
        guard parts.count == 3, parts[0] == "sig", fingerprint.hasPrefix(parts[1]), let number = Int(parts[2]),
            (1...1_000_000_000).contains(number)
        else { return 0 }
        return number
    }

    /// Whether a problem that began then is the one that this object was about, and that is done with. Replicas of a sender give
    /// the same problem different beginnings, all before its end.
    func isDone(from start: Timestamp) -> Bool {
        guard isCompleted || (isResolved && !endedByItself) else { return false }
        if start == startsAt { return true }
        // A sender's time is believed as far as a minute ahead of when it was heard: an end of next year ends nothing of next week.
        let heard = lastSeen?.advanced(by: .minutes(1))
        guard let end = [resolvedAt ?? lastSeen, heard].compactMap({ $0 }).min() else { return false }
        return start <= end
    }
}

extension SeenObject {
    /// What both shapes of an object have.
    static func time(_ value: JSONValue?) -> Timestamp? { value?.string.flatMap { Timestamp(rfc3339: $0) } }
    static func number(_ value: JSONValue?) -> Int64? { value?.string.flatMap { Int64($0) } }
}
