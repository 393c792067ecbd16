import NIOConcurrencyHelpers
import Redis
import SignalKit
import Testing

@testable import Host

/// Has room at the sinks that it is told, and keeps what it is given.
final class Hands: DeliveryHands {
    private struct State {
        var offers: [HandOverOffer] = []
        var handed: [HandedOver] = []
        var lost: [Fingerprint] = []
        var borns: Set<Int64> = []
    }
    private let sinks: [Int]
    private let state = NIOLockedValueBox(State())

    var keepUp: Bool { !isForLater }
    private let isForLater: Bool

    init(_ sinks: Int..., isForLater: Bool = false) { (self.sinks, self.isForLater) = (sinks, isForLater) }

    var offers: [HandOverOffer] { state.withLockedValue { $0.offers } }
    var handed: [HandedOver] { state.withLockedValue { $0.handed } }
    var lost: [Fingerprint] { state.withLockedValue { $0.lost } }
    var borns: Set<Int64> { state.withLockedValue { $0.borns } }

    func offer(_ room: Int) -> HandOverOffer? {
        guard let offer = HandOverOffer(sinks, room: room) else { return nil }
        state.withLockedValue { $0.offers.append(offer) }
        return offer
    }
    func take(_ handed: [HandedOver], lost: [Fingerprint], of offer: HandOverOffer, born: Int64) {
        state.withLockedValue { state in
            state.handed += handed
            state.lost += lost
            state.borns.insert(born)
        }
    }

    /// As a worker would have them, of the offer's first sink.
    func claims() throws -> [Claim] {
        try handed.filter { $0.sinks & 1 == 1 }.map { item in
            let member = QueueMember(item.fingerprint.bytes)
            let delivery = DeliveryDocument.signal(
                member, item.record, item.document, isUpdate: false, born: try #require(borns.first))
            return Claim(member: member, token: item.token, attempt: 1, delivery: try #require(delivery))
        }
    }
}

extension GateRig {
    func decide(to hands: Hands, _ signals: GateSignal...) async -> GateAnswer {
        await gate.decide(signals, [], in: store, on: nil, to: hands)
    }

    /// A command with arguments that are no text.
    func answer(_ name: String, _ words: [[UInt8]]) async throws -> RedisValue {
        var command = RedisCommand(name)
        for word in words { command.add(word) }
        return try await store.send(command)
    }
}
