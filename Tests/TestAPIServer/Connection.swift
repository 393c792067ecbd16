import NIOCore
import NIOHTTP1

/// What a connection does about a request.
enum Served: Sendable {
    case answer(APIAnswer)
    case watch(Watch, seconds: Int?, ended: @Sendable () -> Void)
    case reset
    case stall
}

/// One connection: reads a request whole, answers it, waits for the next.
final class Connection: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let answer: @Sendable (APIRequest) -> Served
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []

    init(_ answer: @escaping @Sendable (APIRequest) -> Served) { self.answer = answer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): (self.head, body) = (head, [])
        case .body(let bytes): body.append(contentsOf: bytes.readableBytesView)
        case .end:
            guard let head else { return }
            let headers = Dictionary(head.headers.map { ($0.name.lowercased(), $0.value) }) { $1 }
            let request = APIRequest(method: head.method.rawValue, uri: head.uri, headers: headers, body: body)
            switch answer(request) {
            case .answer(let answer): write(answer, context)
            case .watch(let watch, let seconds, let ended):
                let head = HTTPResponseHead(
                    version: .http1_1, status: .ok,
                    headers: ["Content-Type": "application/json", "Transfer-Encoding": "chunked"])
                context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
                context.channel.closeFuture.whenComplete { _ in ended() }
                watch.begin(on: context.channel, seconds: seconds, ended)
            case .stall: break
            case .reset: context.close(promise: nil)
            }
        }
    }

    private func write(_ answer: APIAnswer, _ context: ChannelHandlerContext) {
        var headers = HTTPHeaders(answer.headers.map { ($0.key, $0.value) })
        headers.add(name: "Content-Type", value: "application/json")
        headers.add(name: "Content-Length", value: String(answer.body.count))
        let head = HTTPResponseHead(version: .http1_1, status: .init(statusCode: answer.status), headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: answer.body)))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
