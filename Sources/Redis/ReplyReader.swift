internal import CHiredis
internal import NIOCore

/// hiredis's incremental reader: bytes in, whole replies out. Belongs to one connection, on one event loop.
final class ReplyReader {
    /// Redis's own limit of a bulk string (`proto-max-bulk-len`); a longer reply is garbage.
    static let replyLimit = 512 * 1024 * 1024

    private let limit: Int
    /// SAFETY: created in init, freed in deinit, never handed out.
    private let reader: UnsafeMutablePointer<redisReader>
    /// SAFETY: hiredis keeps this pointer as long as the reader; freed after it.
    private let functions: UnsafeMutablePointer<redisReplyObjectFunctions>
    /// Bytes fed since the last whole reply.
    private var outstanding = 0

    init(limit: Int = ReplyReader.replyLimit) {
        self.limit = limit
        functions = .allocate(capacity: 1)
        functions.initialize(
            to: redisReplyObjectFunctions(
                createString: ReplyReader.createString, createArray: ReplyReader.createArray,
                createInteger: ReplyReader.createInteger, createNil: ReplyReader.createNil,
                freeObject: ReplyReader.freeObject))
        guard let created = redisReaderCreateWithFunctions(functions) else {
            preconditionFailure("no memory for a reply reader")
        }
        reader = created
    }

    deinit {
        redisReaderFree(reader)
        functions.deallocate()
    }

    /// - Throws: `.garbage` when the bytes can't be held or the reply under way is longer than the limit.
    func feed(_ buffer: ByteBuffer) throws(RedisError) {
        outstanding += buffer.readableBytes
        guard outstanding <= limit else {
            throw RedisError(.garbage, "a reply of more than \(limit) bytes")
        }
        let status = buffer.withUnsafeReadableBytes { bytes in
            redisReaderFeed(reader, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
        }
        guard status == REDIS_OK else { throw garbage }
    }

    /// The next whole reply; nil when more bytes are needed.
    /// - Throws: `.garbage` when the bytes are no RESP2. The reader can't be used after that.
    func next() throws(RedisError) -> RedisValue? {
        var object: UnsafeMutableRawPointer?
        guard redisReaderGetReply(reader, &object) == REDIS_OK else { throw garbage }
        guard let object else { return nil }
        outstanding = reader.pointee.len - reader.pointee.pos
        // SAFETY: the root object of every reply is a retained Node (see `place`), handed over here once.
        return Unmanaged<Node>.fromOpaque(object).takeRetainedValue().value
    }

    private var garbage: RedisError {
        let text = withUnsafeBytes(of: reader.pointee.errstr) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        return RedisError(.garbage, "not a Redis reply: \(text)")
    }
}

/// A reply under construction: a leaf, or an array with what it has so far.
private final class Node {
    private let leaf: RedisValue?
    private var elements: [Element] = []

    enum Element {
        case value(RedisValue)
        case node(Node)
    }

    init(leaf: RedisValue) { self.leaf = leaf }

    init(expecting count: Int) {
        leaf = nil
        // A claimed length is not memory yet: garbage may claim two thousand million elements.
        elements.reserveCapacity(min(count, 1024))
    }

    func append(_ element: Element) { elements.append(element) }

    var value: RedisValue {
        if let leaf { return leaf }
        return .array(
            elements.map { element in
                switch element {
                case .value(let value): value
                case .node(let node): node.value
                }
            })
    }
}

// What hiredis calls while it reads. The pointers it gets back are opaque to it (nil means "no memory"):
// the root's is a retained Node, a nested array's an unretained one that its parent holds, a nested leaf's its parent's.
extension ReplyReader {
    private typealias Task = UnsafePointer<redisReadTask>

    private static func parent(_ task: Task?) -> Node? {
        guard let object = task?.pointee.parent?.pointee.obj else { return nil }
        // SAFETY: the object of a parent task is what createArray returned, alive until the root is freed.
        return Unmanaged<Node>.fromOpaque(object).takeUnretainedValue()
    }

    private static func place(_ value: RedisValue, _ task: Task?) -> UnsafeMutableRawPointer? {
        guard let parent = parent(task) else {
            return Unmanaged.passRetained(Node(leaf: value)).toOpaque()
        }
        parent.append(.value(value))
        return Unmanaged.passUnretained(parent).toOpaque()
    }

    private static let createString:
        @convention(c) (UnsafePointer<redisReadTask>?, UnsafeMutablePointer<CChar>?, Int) -> UnsafeMutableRawPointer? =
            {
                task, text, length in
                let bytes = UnsafeRawBufferPointer(start: text, count: length)
                let value: RedisValue =
                    switch task?.pointee.type {
                    case REDIS_REPLY_ERROR: .error(RedisServerError(text: String(decoding: bytes, as: UTF8.self)))
                    case REDIS_REPLY_STATUS: .status(String(decoding: bytes, as: UTF8.self))
                    default: .bytes(Array(bytes))
                    }
                return ReplyReader.place(value, task)
            }

    private static let createArray: @convention(c) (UnsafePointer<redisReadTask>?, Int32) -> UnsafeMutableRawPointer? =
        { task, count in
            let node = Node(expecting: Int(count))
            guard let parent = ReplyReader.parent(task) else { return Unmanaged.passRetained(node).toOpaque() }
            parent.append(.node(node))
            return Unmanaged.passUnretained(node).toOpaque()
        }

    private static let createInteger:
        @convention(c) (UnsafePointer<redisReadTask>?, Int64) -> UnsafeMutableRawPointer? = { task, number in
            ReplyReader.place(.integer(number), task)
        }

    private static let createNil: @convention(c) (UnsafePointer<redisReadTask>?) -> UnsafeMutableRawPointer? = { task in
        ReplyReader.place(.null, task)
    }

    private static let freeObject: @convention(c) (UnsafeMutableRawPointer?) -> Void = { object in
        // SAFETY: hiredis frees the root of a reply that it could not finish, and nothing else.
        if let object { Unmanaged<Node>.fromOpaque(object).release() }
    }
}
