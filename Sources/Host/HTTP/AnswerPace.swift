import Glibc
import NIOCore

/// How long a client may leave an answer unread.
enum AnswerPace {
    /// Without one byte of progress. A slow reader makes some in each second: its window opens again when a sixteenth of its
    /// buffer is free.
    static let patience = TimeAmount.seconds(5)
    /// How often the progress is looked at.
    static let interval = TimeAmount.seconds(1)
    /// Answers up to this may wait in a connection without being counted as in flight: 64 outcomes are 12 kB.
    static let uncounted = 16 << 10
    /// Bytes that the kernel may hold of an answer and has not sent. Its own bound is 4 MiB a connection, which counts as
    /// memory of the container too.
    static let unsent = 64 << 10
    static let unsentOption = NIOBSDSocket.Option(rawValue: TCP_NOTSENT_LOWAT)

    /// Set on each connection. It becomes writable again only when all of its answer is with the kernel.
    static let waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: 1, high: uncounted)
}

/// How slowly a body may come.
enum BodyPace {
    /// A body that is incomplete after this is slow: senders are in the same network, and 64 MiB take 5 s at 13 MB/s.
    /// Also how often the pace is looked at.
    static let interval = TimeAmount.seconds(5)
    /// Bytes in each interval, at least: 1 KiB a second, which a lost packet or two cannot bring about alone.
    static let least = 5 << 10
    /// The share of `in_flight` and of `in_flight_bytes` that slow bodies of one address may hold: a quarter, so that three
    /// more addresses find room.
    static let share = 4
}

/// What is watched of an answer that its client has not read yet.
struct UnreadAnswer {
    /// Counts as in flight.
    let ticket: InFlight.Ticket
    private var left = 0
    private var moved = NIODeadline.now()

    init(_ ticket: InFlight.Ticket) { self.ticket = ticket }

    /// - Parameter left: bytes that the socket has not taken.
    /// - Returns: false when the client has read nothing for too long.
    mutating func moves(_ left: Int, now: NIODeadline = .now()) -> Bool {
        if left != self.left { (self.left, moved) = (left, now) }
        return now - moved < AnswerPace.patience
    }
}

extension Channel {
    /// Bytes that were written and are not with the kernel yet.
    var unsentBytes: Int { (try? syncOptions?.getOption(ChannelOptions.bufferedWritableBytes)) ?? 0 }
}
