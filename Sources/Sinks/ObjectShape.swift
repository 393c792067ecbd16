import JSON
import SignalKit

/// How deliveries look as objects of one kind.
protocol ObjectShape: Sendable {
    /// Of the API: `portcullis.dev/v1alpha1`, or `v1` alone.
    var apiVersion: String { get }
    var kind: String { get }
    /// As paths have it: `signals`.
    var plural: String { get }

    /// Nil for what is no object of this shape.
    func seen(_ object: JSONValue) -> SeenObject?
    /// To create. `name` is set by the caller.
    /// - Parameter annotations: the signal's, perhaps shortened.
    func made(of delivery: Delivery, annotations: [String: String]) -> [String: JSONTree]
    /// To apply, so that the object tells the delivery's state.
    func changes(by delivery: Delivery, of object: SeenObject) -> [ObjectChange]
    /// To apply to an object whose problem goes on elsewhere.
    func end(by delivery: Delivery, of object: SeenObject) -> ObjectChange
}

/// A server-side apply.
struct ObjectChange {
    /// `status`; nil for the object itself.
    let subresource: String?
    let fields: [String: JSONTree]
}

extension Delivery {
    /// When its problem ended, as its sender says, and at the latest a minute after that was heard.
    var end: Timestamp {
        guard let signal, signal.status == .resolved, let ends = signal.endsAt else { return last }
        return min(ends, last.advanced(by: .minutes(1)))
    }
}

/// What every object carries, whatever its kind.
enum ObjectNames {
    static let fingerprintLabel = "portcullis.dev/fingerprint"
    static let groupLabel = "portcullis.dev/storm-group"
    /// For people; a storm's object is looked for by its group.
    static let stormLabel = "portcullis.dev/storm"
    /// The installation that made the object, when the sink has a name for that.
    static let ownerLabel = "portcullis.dev/owner"
    /// A label's value holds 63 characters, a fingerprint has 64.
    static let labelLength = 40
    /// A storm's id begins with the 32 hex digits of its group.
    static let groupLength = 32
    /// Hex digits in a name: the next when another problem has the name already.
    static let lengths = [16, 24, 40, 64]

    /// What a look asks for.
    static func label(of delivery: Delivery) -> (name: String, value: String) {
        delivery.kind == .storm
            ? (groupLabel, String(delivery.fingerprint.prefix(groupLength)))
            : (fingerprintLabel, String(delivery.fingerprint.prefix(labelLength)))
    }

    /// - Parameter length: hex digits of the fingerprint; a storm's id names it by itself.
    static func name(of delivery: Delivery, number: Int, length: Int) -> String {
        delivery.kind == .storm
            ? "storm-\(delivery.fingerprint)" : "sig-\(delivery.fingerprint.prefix(length))-\(number)"
    }

    /// A storm is called by what its members are.
    static func title(of delivery: Delivery) -> String {
        delivery.signal?.name ?? delivery.storm?.group.first { $0.name == "name" }?.value ?? "storm"
    }
}
