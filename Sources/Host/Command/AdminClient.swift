import JSON
import NIOCore
import NIOHTTP1
import NIOPosix
import SignalKit

/// Asks the admin listener of a running host: one request, one connection.
struct AdminClient: Sendable {
    /// Bytes of an answer.
    static let most = 64 << 20

    let address: HostConfiguration.Address
    private let token: String?

    /// - Throws: `Failure` when the configuration names no admin listener, or its token can't be read.
    init(_ configuration: HostConfiguration) throws(Failure) {
        guard let admin = configuration.server.admin else {
            throw .usage("the configuration has no server.admin: the host can't be asked")
        }
        // A host that listens on every address is asked on this machine.
        address = ["0.0.0.0", "::"].contains(admin.host) ? .init(host: "127.0.0.1", port: admin.port) : admin
        do throws(SecretFile.Unreadable) {
            token = try configuration.server.adminTokenFile.map { path throws(SecretFile.Unreadable) in
                try SecretFile(path: path).read()
            }
        } catch {
            throw .usage(error.description)
        }
    }

    struct Answer: Sendable {
        let status: Int
        let body: [UInt8]
        var document: JSONValue? { try? JSONDocument.parse(body).root }
        var isSuccess: Bool { (200...299).contains(status) }
    }

    /// - Throws: `Failure` 1 when the host can't be reached or the answer is none.
    func ask(_ method: HTTPMethod, _ path: String, within limit: TimeAmount = .seconds(30)) async throws -> Answer {
        let group = MultiThreadedEventLoopGroup.singleton
        let promise = group.next().makePromise(of: Answer.self)
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: group).connectTimeout(.seconds(3)).channelInitializer {
                channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    try channel.pipeline.syncOperations.addHandler(Collector(promise))
                }
            }.connect(host: address.host, port: address.port).get()
        } catch {
            promise.fail(error)
            _ = try? await promise.futureResult.get()
            throw Failure.failed("no host answers on \(address) (server.admin): is `portcullis serve` running?")
        }
        let timer = channel.eventLoop.scheduleTask(in: limit) { channel.close(promise: nil) }
        defer { timer.cancel() }
        var head = HTTPRequestHead(version: .http1_1, method: method, uri: path)
        head.headers.add(name: "Host", value: address.description)
        head.headers.add(name: "Connection", value: "close")
        head.headers.add(name: "Content-Length", value: "0")
        if let token { head.headers.add(name: "Authorization", value: "Bearer \(token)") }
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
        do {
            let answer = try await promise.futureResult.get()
            channel.close(promise: nil)
            return answer
        } catch {
            throw Failure.failed("the host on \(address) gave no answer: \(error)")
        }
    }

    /// As `ask`, but only a success is an answer.
    func document(_ method: HTTPMethod, _ path: String) async throws -> Answer {
        let answer = try await ask(method, path)
        guard answer.isSuccess else {
            if answer.status == 401 {
                throw Failure.failed("the host on \(address) wants another token than server.admin_token_file holds")
            }
            let problem = answer.document
            let text = [problem?["title"]?.string, problem?["detail"]?.string].compactMap(\.self).filter { !$0.isEmpty }
            throw Failure.failed(text.isEmpty ? "status \(answer.status)" : text.joined(separator: ": "))
        }
        return answer
    }

    /// Percent-encodes what goes into a path or a query.
    static func encoded(_ text: String) -> String {
        text.utf8.map { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                String(UnicodeScalar(byte))
            default: "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }.joined()
    }

    private final class Collector: ChannelInboundHandler, @unchecked Sendable {  // SAFETY: on its event loop alone
        typealias InboundIn = HTTPClientResponsePart
        private let promise: EventLoopPromise<Answer>
        private var status = 0
        private var body: [UInt8] = []
        private var done = false

        init(_ promise: EventLoopPromise<Answer>) { self.promise = promise }

        private func finish(_ result: Result<Answer, any Error>) {
            guard !done else { return }
            done = true
            promise.completeWith(result)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): status = Int(head.status.code)
            case .body(let part):
                body += part.readableBytesView
                if body.count > AdminClient.most { context.close(promise: nil) }
            case .end: finish(.success(Answer(status: status, body: body)))
            }
        }

        func channelInactive(context: ChannelHandlerContext) {
            finish(.failure(Failure.failed("the connection ended")))
            context.fireChannelInactive()
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            finish(.failure(error))
            context.close(promise: nil)
        }
    }
}
