import Glibc
import JSON
import Kubernetes
import NIOCore
import NIOHTTP1
import NIOPosix
import SignalKit

struct AdminAnswer: Sendable {
    let status: Int
    let body: [UInt8]

    var isFine: Bool { (200..<300).contains(status) }

    /// What a problem document says; the status when it is none.
    var detail: String {
        let problem = try? JSONDocument.parse(body)
        return problem?.root["detail"]?.string ?? problem?.root["title"]?.string ?? "status \(status)"
    }
}

/// Asks a running host through its admin listener: one request a connection, in plain HTTP.
struct AdminClient: Sendable {
    enum Method: String { case get = "GET", post = "POST", delete = "DELETE" }

    /// bytes of an answer
    static let longest = 64 << 20

    let address: HostConfiguration.Address
    let tokenFile: String?
    /// for the whole exchange
    var deadline: Duration = .seconds(30)

    /// - Parameter path: with its query, encoded.
    /// - Throws: `CommandFailure` when there is no answer, or the token can't be read.
    func ask(_ method: Method, _ path: String) async throws(CommandFailure) -> AdminAnswer {
        let head = try head(method, path)
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let promise = loop.makePromise(of: AdminAnswer.self)
        let alarm = loop.scheduleTask(in: .milliseconds(deadline.milliseconds)) { promise.fail(AdminError.timedOut) }
        defer { alarm.cancel() }
        let bootstrap = ClientBootstrap(group: loop)
            .connectTimeout(.milliseconds(min(deadline.milliseconds, 5_000)))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    try channel.pipeline.syncOperations.addHandler(AnswerReader(head, promise))
                }
            }
        let channel: any Channel
        do {
            channel = try await bootstrap.connect(host: address.host, port: address.port).get()
        } catch {
            promise.fail(error)
            throw CommandFailure(
                "no host answers at \(address) (\(AdminError.words(error))): "
                    + "is `portcullis serve` running with this configuration?"
            )
        }
        do {
            let answer = try await promise.futureResult.get()
            channel.close(promise: nil)
            return answer
        } catch {
            channel.close(promise: nil)
            throw CommandFailure("the host at \(address) gave no answer: \(AdminError.words(error))")
        }
    }

    /// The body of a 2xx.
    /// - Throws: what the problem says for any other status.
    func document(_ method: Method, _ path: String) async throws(CommandFailure) -> AdminDocument {
        let answer = try await ask(method, path)
        guard answer.isFine else { throw refusal(answer) }
        do {
            return AdminDocument(text: answer.body, root: try JSONDocument.parse(answer.body).root)
        } catch {
            throw CommandFailure("the host at \(address) answered what is not JSON: \(error.message)")
        }
    }

    func refusal(_ answer: AdminAnswer) -> CommandFailure {
        let hint = answer.status == 401 || answer.status == 403 ? "; see server.admin_token_file" : ""
        return CommandFailure("\(answer.detail.printable) (\(answer.status) from \(address))\(hint)")
    }

    private func head(_ method: Method, _ path: String) throws(CommandFailure) -> HTTPRequestHead {
        var head = HTTPRequestHead(version: .http1_1, method: HTTPMethod(rawValue: method.rawValue), uri: path)
        head.headers.add(name: "host", value: address.description)
        head.headers.add(name: "connection", value: "close")
        head.headers.add(name: "accept", value: "application/json")
        if method != .get {
            head.headers.add(name: "content-length", value: "0")
            head.headers.add(name: "content-type", value: "application/json")
        }
        if let tokenFile {
            do {
                head.headers.add(name: "authorization", value: "Bearer \(try SecretFile(path: tokenFile).read())")
            } catch {
                throw CommandFailure("server.admin_token_file: \(error)", code: CommandFailure.usage)
            }
        }
        return head
    }

    /// For one segment of a path or one value of a query, as for an API server (RFC 3986, 2.3).
    static func encoded(_ text: String) -> String { KubernetesRequest.encoded(text) }
}

struct AdminDocument: Sendable {
    /// As the host wrote it.
    let text: [UInt8]
    let root: JSONValue
    var string: String { String(decoding: text, as: UTF8.self) }
}

enum AdminError: Error {
    case timedOut, tooLong, cutShort

    /// In words an operator knows.
    static func words(_ error: any Error) -> String {
        switch error {
        case AdminError.timedOut: "it took too long"
        case AdminError.tooLong: "it is over \(ConfigReader.byteText(AdminClient.longest))"
        case AdminError.cutShort: "the connection was closed before its end"
        case let error as NIOConnectionError:
            error.connectionErrors.first.map { words($0.error) } ?? "\(error.host) is not known"
        case let error as IOError: String(cString: strerror(error.errnoCode))
        case is ChannelError: "it took too long to connect"
        default: "\(error)"
        }
    }
}

/// Sends one request when the connection is there, and gathers its answer.
private final class AnswerReader: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let head: HTTPRequestHead
    private let promise: EventLoopPromise<AdminAnswer>
    private var status = 0
    private var body: [UInt8] = []

    init(_ head: HTTPRequestHead, _ promise: EventLoopPromise<AdminAnswer>) {
        (self.head, self.promise) = (head, promise)
    }

    func channelActive(context: ChannelHandlerContext) {
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): status = Int(head.status.code)
        case .body(let part):
            guard body.count + part.readableBytes <= AdminClient.longest else {
                promise.fail(AdminError.tooLong)
                return context.close(promise: nil)
            }
            body += part.readableBytesView
        case .end: promise.succeed(AdminAnswer(status: status, body: body))
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { promise.fail(AdminError.cutShort) }
}
