internal import Synchronization

/// Lines of an answer between libcurl's thread, which brings bytes in chunks of any size, and whoever reads them. What is
/// held is bounded: past `most` the sender is made to wait.
final class LineBuffer: Sendable {
    /// bytes of whole lines that wait; a line that is longer is held all the same
    static let most = 1 << 20
    /// bytes of one line; etcd holds no object of more than 1.5 MiB, and a line adds little to it
    static let longest = 8 << 20

    private struct State {
        var lines: [[UInt8]] = []
        /// bytes of `lines`
        var held = 0
        /// What came after the last line break.
        var rest: [UInt8] = []
        var isHeldUp = false
        /// The answer has begun, with a 2xx.
        var isOpen = false
        var end: Result<Void, KubernetesError>?
        var waiter: CheckedContinuation<Void, Never>?
    }
    private let state = Mutex(State())

    enum Feeding { case taken, wait, tooLong }

    /// - Returns: `wait` when nothing was taken, and nothing will be before a reader has made room.
    func feed(_ bytes: UnsafeRawBufferPointer) -> Feeding {
        let (feeding, waiter): (Feeding, CheckedContinuation<Void, Never>?) = state.withLock { state in
            guard state.held < Self.most else {
                state.isHeldUp = true
                return (.wait, nil)
            }
            var rest = bytes[...]
            while let at = rest.firstIndex(of: UInt8(ascii: "\n")) {
                state.rest.append(contentsOf: rest[..<at])
                rest = rest[(at + 1)...]
                Self.endLine(&state)
            }
            state.rest.append(contentsOf: rest)
            let waiter = state.lines.isEmpty ? nil : state.waiter.take()
            return (state.rest.count > Self.longest ? .tooLong : .taken, waiter)
        }
        waiter?.resume()
        return feeding
    }

    private static func endLine(_ state: inout State) {
        if !state.rest.isEmpty {
            state.held += state.rest.count
            state.lines.append(state.rest)
        }
        state.rest = []
    }

    /// Nothing more will come. The beginning of a line that a failure cut off is no line.
    func end(_ result: Result<Void, KubernetesError>) {
        let waiter = state.withLock { state in
            if state.end == nil {
                if case .success = result { Self.endLine(&state) }
                state.end = result
            }
            return state.waiter.take()
        }
        waiter?.resume()
    }

    /// The answer has begun, with a 2xx.
    func open() {
        let waiter = state.withLock { state in
            state.isOpen = true
            return state.waiter.take()
        }
        waiter?.resume()
    }

    /// Waits for the beginning of the answer, or for its end.
    func opened() async throws(KubernetesError) {
        while true {
            let (isOpen, end) = state.withLock { ($0.isOpen, $0.end) }
            if isOpen { return }
            if case .failure(let error)? = end { throw error }
            if end != nil { return }
            await wait { $0.isOpen || $0.end != nil }
        }
    }

    private func wait(_ isThere: (State) -> Bool) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if isThere(state) { return true }
                state.waiter = continuation
                return false
            }
            if isThere { continuation.resume() }
        }
    }

    /// - Returns: whole lines, as many as are there and `count` at most; empty at the end. `more` when the sender was made to wait
    ///   and may go on.
    func next(_ count: Int) async throws(KubernetesError) -> (lines: [[UInt8]], more: Bool) {
        while true {
            let found: (lines: [[UInt8]], more: Bool)?
            switch state.withLock({ Self.taken(&$0, count) }) {
            case .success(let lines): found = lines
            case .failure(let error): throw error
            }
            if let found { return found }
            await wait { $0.end != nil || !$0.lines.isEmpty }
        }
    }

    private static func taken(
        _ state: inout State, _ count: Int
    ) -> Result<(lines: [[UInt8]], more: Bool)?, KubernetesError> {
        guard state.lines.isEmpty else {
            let lines = Array(state.lines.prefix(count))
            state.lines.removeFirst(lines.count)
            state.held -= lines.reduce(0) { $0 + $1.count }
            let more = state.isHeldUp && state.held < most
            if more { state.isHeldUp = false }
            return .success((lines, more))
        }
        switch state.end {
        case nil: return .success(nil)
        case .success?: return .success(([], false))
        case .failure(let error)?: return .failure(error)
        }
    }
}
