import NIOCore

/// What the connections of one event loop share.
struct LoopShare: Sendable {
    let executor: LoopExecutor
    let lines: NIOLoopBoundBox<LineBatch>

    init(_ eventLoop: any EventLoop) {
        executor = LoopExecutor(eventLoop)
        lines = .makeBoxSendingValue(LineBatch(on: eventLoop), eventLoop: eventLoop)
    }
}

/// One for each loop of a group.
struct LoopShares: Sendable {
    private let known: [ObjectIdentifier: LoopShare]

    init(_ group: any EventLoopGroup) {
        known = Dictionary(group.makeIterator().map { (ObjectIdentifier($0), LoopShare($0)) }) { first, _ in first }
    }

    subscript(eventLoop: any EventLoop) -> LoopShare { known[ObjectIdentifier(eventLoop)] ?? LoopShare(eventLoop) }
}
