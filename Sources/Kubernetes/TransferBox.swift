internal import Synchronization

/// Starts a transfer, unless its task has been cancelled before it could be made.
final class TransferBox: Sendable {
    private enum State { case empty, holding(Transfer), cancelled }
    private let state = Mutex(State.empty)

    func hold(_ transfer: Transfer) {
        let isCancelled = state.withLock { state in
            if case .cancelled = state { return true }
            state = .holding(transfer)
            return false
        }
        if isCancelled { transfer.cancel() } else { transfer.start() }
    }

    func cancel() {
        let held: Transfer? = state.withLock { state in
            defer { state = .cancelled }
            if case .holding(let transfer) = state { return transfer }
            return nil
        }
        held?.cancel()
    }
}
