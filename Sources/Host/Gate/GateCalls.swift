/// Calls of the gate that are sent together.
struct GateWrite: Sendable {
    var signals: [ArraySlice<GateSignal>] = []
    var letters: [ArraySlice<GateDeadLetter>] = []

    /// Bytes that it may have to leave to be remembered.
    var room: Int {
        signals.joined().reduce(0) { $0 + ReplayMemory.room($1) }
            + letters.joined().reduce(0) { $0 + ReplayMemory.room($1) }
    }
}

/// What is still to be sent, cut into writes.
struct GateCalls {
    var signals: ArraySlice<GateSignal>
    var letters: ArraySlice<GateDeadLetter>
    let most: Int

    mutating func next() -> GateWrite? {
        guard !signals.isEmpty || !letters.isEmpty else { return nil }
        var write = GateWrite()
        var (calls, bytes) = (Gate.callsPerWrite, most)
        while calls > 0, bytes > 0, !signals.isEmpty {
            write.signals.append(Self.cut(&signals, &bytes, ReplayMemory.room))
            calls -= 1
        }
        while calls > 0, bytes > 0, !letters.isEmpty {
            write.letters.append(Self.cut(&letters, &bytes, ReplayMemory.room))
            calls -= 1
        }
        return write
    }

    /// One call's share: at least one, and no more than fit.
    private static func cut<Item>(
        _ items: inout ArraySlice<Item>, _ bytes: inout Int, _ room: (Item) -> Int
    ) -> ArraySlice<Item> {
        var end = items.startIndex
        while end < items.endIndex, end - items.startIndex < Gate.signalsPerCall, bytes > 0 {
            bytes -= room(items[end])
            end += 1
        }
        defer { items = items[end...] }
        return items[..<end]
    }
}
