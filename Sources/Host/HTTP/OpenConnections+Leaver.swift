import NIOCore
import Synchronization

extension OpenConnections {
    /// A connection may send a request for at least this long, also when the listener is full: its first one while few
    /// connections are at their first one, a later one always.
    static let fairTime = TimeAmount.seconds(1)
    /// The part of a listener's places that is few.
    private static let few = 8

    /// The open connections, and the choice of the one that makes way.
    struct State {
        private(set) var places: [ObjectIdentifier: Place] = [:]
        private var peers: [PeerAddress: Peer] = [:]
        private var unproven = 0
        var leaving = 0

        /// The connections of one address.
        private struct Peer {
            var connections = 0
            /// Those without a good request.
            var unproven = 0
            /// They in the order of their coming. Some that have gone or sent a good request are still among them.
            var waiting = CircularBuffer<Place>()

            mutating func tidy() {
                while let first = waiting.first, first.isStale { waiting.removeFirst() }
                if waiting.count > 2 * unproven { waiting.removeAll { $0.isStale } }
            }
        }

        mutating func add(_ place: Place) {
            places[ObjectIdentifier(place)] = place
            unproven += 1
            peers[place.peer, default: Peer()].connections += 1
            peers[place.peer]?.unproven += 1
            peers[place.peer]?.waiting.append(place)
        }

        /// It has sent a good request.
        mutating func prove(_ place: Place) {
            guard places[ObjectIdentifier(place)] != nil else { return }
            unproven -= 1
            peers[place.peer]?.unproven -= 1
            peers[place.peer]?.tidy()
        }

        mutating func remove(_ place: Place) {
            guard places.removeValue(forKey: ObjectIdentifier(place)) != nil else { return }
            place.hasGone.store(true, ordering: .relaxed)
            if place.isLeaving.exchange(false, ordering: .relaxed) { leaving -= 1 }
            peers[place.peer]?.connections -= 1
            if !place.isProven {
                unproven -= 1
                peers[place.peer]?.unproven -= 1
            }
            peers[place.peer]?.tidy()
            if peers[place.peer]?.connections == 0 { peers[place.peer] = nil }
        }

        /// The connection that makes way, marked as leaving; nil when none may.
        mutating func leaver(for newcomer: PeerAddress, _ most: Int) -> Place? {
            guard let found = oldestUnproven(most) ?? longestIdle(peers[newcomer]?.connections ?? 0) else { return nil }
            found.isLeaving.store(true, ordering: .relaxed)
            leaving += 1
            return found
        }

        /// Of the address with the most of them. While they are few, the young ones among them are left alone, so that newcomers
        /// to a listener full of good senders don't displace each other.
        private func oldestUnproven(_ most: Int) -> Place? {
            let now = NIODeadline.now()
            let areFew = unproven <= most / OpenConnections.few
            var found: (place: Place, unproven: Int)?
            for peer in peers.values where peer.unproven > 0 && peer.unproven >= found?.unproven ?? 0 {
                let oldest = peer.waiting.first { !$0.isStale && $0.mayLeave && $0.pause != nil }
                guard let oldest, !areFew || now - oldest.opened > OpenConnections.fairTime else { continue }
                if let found, found.unproven == peer.unproven, found.place.opened <= oldest.opened { continue }
                found = (oldest, peer.unproven)
            }
            return found?.place
        }

        /// Of the address with the most connections; without an idle one there, the one that sends for longest. One address
        /// can't take the places of another that has fewer.
        /// - Parameter fewest: connections of that address, at least.
        private func longestIdle(_ fewest: Int) -> Place? {
            let now = NIODeadline.now()
            var found: (place: Place, connections: Int, pause: (since: NIODeadline, isSending: Bool))?
            for place in places.values where place.mayLeave {
                guard let pause = place.pause, !pause.isSending || now - pause.since > OpenConnections.fairTime else {
                    continue
                }
                let connections = peers[place.peer]?.connections ?? 0
                guard connections >= fewest else { continue }
                if let found {
                    if connections < found.connections { continue }
                    if connections == found.connections, pause.isSending != found.pause.isSending {
                        if pause.isSending { continue }
                    } else if connections == found.connections, pause.since >= found.pause.since {
                        continue
                    }
                }
                found = (place, connections, pause)
            }
            return found?.place
        }
    }
}
