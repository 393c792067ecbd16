import SignalKit
import Synchronization

/// Which members of storms this process has looked for already, so that each is looked for once.
final class StormMembers: Sendable {
    /// Members of one look: their labels stand in a URL.
    static let atOnce = 50
    /// Storms that are remembered; past it all are looked for again.
    static let most = 64

    private let known = Mutex<[String: Set<String>]>([:])

    func unknown(of storm: Storm) -> [StormMember] {
        let known = known.withLock { $0[storm.id] ?? [] }
        return storm.listed.filter { !known.contains($0.fingerprint) }
    }

    func know(_ members: some Sequence<StormMember>, of storm: Storm) {
        known.withLock { known in
            if known.count >= Self.most, known[storm.id] == nil { known.removeAll() }
            known[storm.id, default: []].formUnion(members.map(\.fingerprint))
        }
    }

    func forget(_ storm: Storm) { _ = known.withLock { $0.removeValue(forKey: storm.id) } }
}
