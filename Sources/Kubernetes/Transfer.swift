internal import CCurl
internal import Glibc
internal import Synchronization

/// One request on its way. Lives on the loop's thread, but for `cancel`.
final class Transfer: @unchecked Sendable {  // SAFETY: the loop's thread alone uses what is not a Mutex or constant
    /// What an answer may hold; a list of objects is asked for in pages.
    static let longest = 64 << 20

    /// ms that sent bytes may stay unacknowledged: a connection that died silently is not used again and again
    static let patience = 20_000

    /// s for which an idle connection is used again; an API server closes it after 90 (Go's `IdleTimeout` there)
    static let idle = 60

    private let loop: HTTPLoop
    private let request: KubernetesRequest
    private let server: ServerAccess
    private let deadline: Duration
    /// Where the lines of a 2xx go; nil for an answer that is wanted whole.
    private let lines: LineBuffer?
    private let finish: @Sendable (Result<KubernetesResponse, KubernetesError>) -> Void
    private let cancelled = Mutex(false)

    private(set) var easy: UnsafeMutableRawPointer?
    private var headerList: UnsafeMutablePointer<curl_slist>?
    private let why: UnsafeMutablePointer<CChar>
    private let body: UnsafeMutableBufferPointer<UInt8>
    private var response = KubernetesResponse(status: 0, headers: [:], body: [])
    private var isTooLong = false
    private(set) var hasEnded = false

    init(
        _ request: KubernetesRequest, _ server: ServerAccess, on loop: HTTPLoop, within deadline: Duration,
        into lines: LineBuffer? = nil,
        _ finish: @escaping @Sendable (Result<KubernetesResponse, KubernetesError>) -> Void
    ) {
        self.loop = loop
        self.request = request
        self.server = server
        self.deadline = deadline
        self.lines = lines
        self.finish = finish
        why = .allocate(capacity: Int(CURL_ERROR_SIZE))
        why.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        body = .allocate(capacity: request.body.count)
        _ = body.initialize(from: request.body)
    }

    deinit {
        if let easy { curl_easy_cleanup(easy) }
        curl_slist_free_all(headerList)
        why.deallocate()
        body.deallocate()
    }

    var isCancelled: Bool { cancelled.withLock { $0 } }

    /// Starts, or goes on after a pause.
    func start() { loop.look(at: self) }

    func cancel() {
        cancelled.withLock { $0 = true }
        loop.look(at: self)
    }

    // MARK: On the loop's thread

    func prepare() -> UnsafeMutableRawPointer? {
        guard let easy = curl_easy_init() else { return nil }
        self.easy = easy
        ccurl_set_text(easy, CURLOPT_URL, server.url + request.path)
        ccurl_set_text(easy, CURLOPT_PROTOCOLS_STR, "https,http")
        ccurl_set_long(easy, CURLOPT_NOSIGNAL, 1)
        // Never HTTP/2, even if the server offers it: decision 0023.
        ccurl_set_long(easy, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        ccurl_set_long(easy, CURLOPT_MAXAGE_CONN, Self.idle)
        // A watch may be silent for minutes; a peer that has vanished is found out all the same.
        ccurl_set_long(easy, CURLOPT_TCP_KEEPALIVE, 1)
        ccurl_set_long(easy, CURLOPT_TCP_KEEPIDLE, 20)
        ccurl_set_long(easy, CURLOPT_TCP_KEEPINTVL, 10)
        ccurl_set_long(easy, CURLOPT_SSL_VERIFYPEER, 1)
        ccurl_set_long(easy, CURLOPT_SSL_VERIFYHOST, 2)
        ccurl_set_long(easy, CURLOPT_CONNECTTIMEOUT_MS, min(5_000, Self.milliseconds(deadline)))
        ccurl_set_long(easy, CURLOPT_TIMEOUT_MS, Self.milliseconds(deadline))
        ccurl_set_text(easy, CURLOPT_USERAGENT, "portcullis")
        // What is sent in the open is for this machine, and for no proxy that the environment names.
        if server.url.hasPrefix("http://") { ccurl_set_text(easy, CURLOPT_NOPROXY, "*") }
        ccurl_set_patience(easy, Self.patience)
        // A cluster's authority is its own: nobody of the system's vouches for its API server.
        if server.authority != nil { ccurl_set_text(easy, CURLOPT_CAPATH, nil) }
        for (option, bytes) in [
            (CURLOPT_CAINFO_BLOB, server.authority), (CURLOPT_SSLCERT_BLOB, server.certificate),
            (CURLOPT_SSLKEY_BLOB, server.key),
        ] {
            if let bytes { ccurl_set_blob(easy, option, bytes, bytes.count) }
        }
        ccurl_set_text(easy, CURLOPT_CUSTOMREQUEST, request.method.rawValue)
        if !request.body.isEmpty { ccurl_set_body(easy, body.baseAddress, body.count) }
        header("Accept: application/json")
        // libcurl would announce a body and wait for leave; it is never large enough for that.
        header("Expect:")
        if let type = request.contentType { header("Content-Type: \(type)") }
        if let token = server.token { header("Authorization: Bearer \(token)") }
        ccurl_set_headers(easy, headerList)
        ccurl_set_error_buffer(easy, why)
        // SAFETY: the loop holds this object as long as libcurl has the handle.
        let context = Unmanaged.passUnretained(self).toOpaque()
        ccurl_set_writer(
            easy,
            { bytes, size, count, context in
                guard let bytes, let context else { return 0 }
                let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()  // SAFETY: as above
                return transfer.received(UnsafeRawBufferPointer(start: bytes, count: size * count))
            }, context)
        ccurl_set_header_reader(
            easy,
            { bytes, size, count, context in
                guard let bytes, let context else { return 0 }
                let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()  // SAFETY: as above
                transfer.receivedHeader(UnsafeRawBufferPointer(start: bytes, count: size * count))
                return size * count
            }, context)
        return easy
    }

    private func header(_ line: String) { headerList = curl_slist_append(headerList, line) }

    private func received(_ bytes: UnsafeRawBufferPointer) -> Int {
        if let lines, let easy, (200..<300).contains(ccurl_status(easy)) {
            switch lines.feed(bytes) {
            case .taken: return bytes.count
            case .wait: return Int(CURL_WRITEFUNC_PAUSE)
            case .tooLong:
                isTooLong = true
                return 0
            }
        }
        guard response.body.count + bytes.count <= Self.longest else {
            isTooLong = true
            return 0
        }
        response.body.append(contentsOf: bytes)
        return bytes.count
    }

    /// A line of a header. A status line begins another header: one came before it (100 Continue).
    private func receivedHeader(_ bytes: UnsafeRawBufferPointer) {
        let line = String(decoding: bytes, as: UTF8.self)
        guard let colon = line.firstIndex(of: ":") else {
            if let lines, let easy, line.first?.isNewline == true, (200..<300).contains(ccurl_status(easy)) {
                lines.open()
            }
            if line.hasPrefix("HTTP/") { (response.headers, response.warnings) = ([:], []) }
            return
        }
        let value = line[line.index(after: colon)...]
        let from = value.firstIndex { !$0.isWhitespace } ?? value.endIndex
        let name = line[..<colon].lowercased()
        let text = String(value[from...].prefix { !$0.isNewline })
        response.headers[name] = text
        if name == "warning", response.warnings.count < WarningHeader.most {
            response.warnings.append(WarningHeader.text(text))
        }
    }

    func ended(_ code: CURLcode) {
        guard !hasEnded else { return }
        hasEnded = true
        guard code == CURLE_OK, let easy else { return finish(.failure(error(code))) }
        response.status = ccurl_status(easy)
        finish((200..<300).contains(response.status) ? .success(response) : .failure(KubernetesError(response)))
    }

    private func error(_ code: CURLcode) -> KubernetesError {
        if isTooLong { return KubernetesError(.garbage, "an answer, or a line of one, that is too long") }
        let text = String(cString: why)
        let detail = text.isEmpty ? String(cString: curl_easy_strerror(code)) : text
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_CONNECT:
            return KubernetesError(.unreachable, detail)
        case CURLE_OPERATION_TIMEDOUT: return KubernetesError(.timeout, detail)
        case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CACERT_BADFILE,
            CURLE_SSL_ISSUER_ERROR, CURLE_SSL_CIPHER:
            return KubernetesError(.tls, detail)
        case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL:
            return KubernetesError(.credentials, "the server's address can't be used: \(detail)")
        case CURLE_ABORTED_BY_CALLBACK: return KubernetesError(.interrupted, "cancelled")
        default: return KubernetesError(.interrupted, detail)
        }
    }

    private static func milliseconds(_ duration: Duration) -> Int {
        let (seconds, attoseconds) = duration.components
        return max(1, Int(clamping: seconds) * 1_000 + Int(attoseconds / 1_000_000_000_000_000))
    }
}
