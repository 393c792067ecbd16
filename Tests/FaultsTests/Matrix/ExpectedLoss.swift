/// What a fault may cost, written down before any run: nothing, but where the store and the host that acknowledged are lost
/// together.
struct ExpectedLoss: Sendable {
    /// Acknowledged episodes may be missing from the sink.
    var lost = false
    /// An acknowledged firing may have had more than one episode.
    var doubled = false
    /// The same, where the firing was refused before it was acknowledged: it may have been stored whole, and delivered.
    var doubledAfterRefusal = false
    /// A line may be in one file twice, with the same id.
    var repeated = false

    static func of(_ fault: Cell.Fault) -> ExpectedLoss {
        switch fault {
        case .allLost:
            // Nobody is left who could know of it. What is repeated afterwards is new.
            return ExpectedLoss(lost: true, doubled: true, doubledAfterRefusal: true, repeated: true)
        case .flushAll, .olderFile, .masterStop, .failoverKill, .failoverByHand:
            // The living host writes again what the store has lost, and how often it was handed over is not part of that.
            return ExpectedLoss(repeated: true)
        case .hostKill, .hostStop, .hostFreeze, .masterKill, .linkLatency, .linkJitter, .linkTimeout, .linkReset,
            .linkCut, .linkSilence, .linkSlowClose, .linkBandwidth, .replicationLatency, .replicationJitter,
            .replicationTimeout,
            .replicationReset, .replicationCut, .replicationSlowClose, .replicationBandwidth, .outOfMemory, .readOnly,
            .permission:
            return ExpectedLoss()
        }
    }
}
