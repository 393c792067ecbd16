import NIOConcurrencyHelpers
import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

/// Have capacity at the sinks that they are told, and keep what is dispatched to them.
final class Workers: DirectDispatch {
    private struct State {
        var offers: [DispatchOffer] = []
        var episodes: [DispatchedEpisode] = []
        var unknown = 0
        var borns: Set<Int64> = []
    }
    private let session: HostSession
    private let sinks: [Int]
    private let state = NIOLockedValueBox(State())

    var keepsUp: Bool { !isForLater }
    private let isForLater: Bool

    init(of rig: GateRig, _ sinks: Int..., isForLater: Bool = false) {
        (session, self.sinks, self.isForLater) = (rig.session, sinks, isForLater)
    }

    var offers: [DispatchOffer] { state.withLockedValue { $0.offers } }
    var episodes: [DispatchedEpisode] { state.withLockedValue { $0.episodes } }
    /// Calls that may have put more in flight.
    var unknown: Int { state.withLockedValue { $0.unknown } }
    var borns: Set<Int64> { state.withLockedValue { $0.borns } }

    func offer(_ capacity: Int) -> DispatchOffer? {
        guard !sinks.isEmpty, let call = session.nextCall() else { return nil }
        let offer = DispatchOffer(call: call, sinks: sinks, capacity: capacity)
        state.withLockedValue { $0.offers.append(offer) }
        return offer
    }

    func dispatch(_ episodes: [DispatchedEpisode], isKnown: Bool, of offer: DispatchOffer, born: Int64) {
        state.withLockedValue { state in
            state.episodes += episodes
            state.unknown += isKnown ? 0 : 1
            state.borns.insert(born)
        }
    }

    func held(at session: SessionID) -> [HeldDelivery] { [] }

    /// As a worker would have them, of the offer's first sink.
    func claims() throws -> [Claim] {
        try episodes.filter { $0.sinks & 1 == 1 }.map { item in
            let member = QueueMember(item.fingerprint.bytes)
            let delivery = DeliveryDocument.signal(
                member, item.record, item.document, isUpdate: false, born: try #require(borns.first))
            return Claim(
                member: member, call: try #require(offers.last).call, failed: 0, ended: 0,
                delivery: try #require(delivery))
        }
    }
}

extension GateRig {
    func decide(to workers: Workers, _ signals: GateSignal...) async -> GateAnswer {
        await gate.decide(signals, [], in: store, on: nil, to: workers)
    }

    /// A command with arguments that are no text.
    func answer(_ name: String, _ words: [[UInt8]]) async throws -> RedisValue {
        var command = RedisCommand(name)
        for word in words { command.add(word) }
        return try await store.send(command)
    }
}
