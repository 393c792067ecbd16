import NIOCore

/// What is spent on the rest of a body that nobody wants: read and thrown away for a while, for a connection that is closed
/// with unread bytes is reset, and the sender might never see its answer.
enum Linger {
    static let bytes = 128 << 20
    static let time = TimeAmount.seconds(5)
    /// Until more comes of a body that took too long.
    static let pause = TimeAmount.seconds(2)
}
