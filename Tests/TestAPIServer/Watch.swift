import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1

/// One watch that is being answered. Lines are written by the thread of its connection, in the order they were given.
final class Watch: Sendable {
    let path: APIPath
    private let shape: StreamShape

    private struct State: Sendable {
        var channel: (any Channel)?
        var waiting: [[UInt8]] = []
        var isLast = false
        var isOver = false
        var ended: (@Sendable () -> Void)?
        var sent = 0
    }
    private let state = NIOLockedValueBox(State())

    init(_ path: APIPath, _ lines: [[UInt8]], isLast: Bool, _ shape: StreamShape) {
        (self.path, self.shape) = (path, shape)
        state.withLockedValue { ($0.waiting, $0.isLast) = (lines, isLast) }
    }

    func send(_ line: [UInt8]) {
        state.withLockedValue { state in
            guard let channel = state.channel else {
                state.waiting.append(line)
                return
            }
            channel.eventLoop.execute { self.write(line, channel) }
        }
    }

    /// The answer's head is written; lines may go.
    func begin(on channel: any Channel, seconds: Int?, _ ended: @escaping @Sendable () -> Void) {
        let isLast = state.withLockedValue { state in
            state.ended = ended
            for line in state.waiting { channel.eventLoop.execute { self.write(line, channel) } }
            (state.waiting, state.channel) = ([], channel)
            return state.isLast
        }
        if isLast { channel.eventLoop.execute { self.end(channel) } }
        if let seconds {
            channel.eventLoop.scheduleTask(in: .seconds(Int64(seconds))) { self.end(channel) }
        }
    }

    func end() {
        state.withLockedValue { $0.channel }.map { channel in channel.eventLoop.execute { self.end(channel) } }
    }

    private func end(_ channel: any Channel) {
        let (isOver, ended) = state.withLockedValue { state in
            defer { state.isOver = true }
            return (state.isOver, state.ended)
        }
        guard !isOver else { return }
        ended?()
        channel.writeAndFlush(HTTPServerResponsePart.end(nil), promise: nil)
    }

    private func write(_ line: [UInt8], _ channel: any Channel) {
        guard !state.withLockedValue({ $0.isOver }) else { return }
        var rest = line[...]
        while !rest.isEmpty {
            let sent = state.withLockedValue { $0.sent }
            let room = shape.cutAfter.map { $0 - sent } ?? Int.max
            guard room > 0 else {
                channel.close(promise: nil)
                return
            }
            let part = rest.prefix(min(room, shape.chunk ?? Int.max))
            rest = rest.dropFirst(part.count)
            state.withLockedValue { $0.sent += part.count }
            channel.writeAndFlush(
                HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: part))), promise: nil)
        }
    }
}

/// How a watch's bytes come.
public struct StreamShape: Sendable {
    /// bytes after which the connection ends
    public var cutAfter: Int?
    /// bytes of each chunk
    public var chunk: Int?

    public init(cutAfter: Int? = nil, chunk: Int? = nil) { (self.cutAfter, self.chunk) = (cutAfter, chunk) }
}
