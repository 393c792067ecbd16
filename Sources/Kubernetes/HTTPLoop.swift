internal import CCurl
internal import Glibc
internal import Synchronization

/// libcurl's multi interface on one thread, which alone touches it. Connections are kept and used again. All of them speak
/// HTTP/1.1, and each purpose has a loop of its own (decision 0023).
final class HTTPLoop: Sendable {
    /// Idle connections that a loop keeps: as many as a sink delivers at once.
    private static let kept = 64

    // As long as the process lives; nil when there was no memory or no thread for it.
    private static let watches = HTTPLoop()
    private static let reviews = HTTPLoop()
    private static let objects = HTTPLoop()

    static func of(_ purpose: KubernetesClient.Purpose) -> HTTPLoop? {
        switch purpose {
        case .watches: watches
        case .reviews: reviews
        case .objects: objects
        }
    }

    private let inbox = Mutex<[Transfer]>([])
    // SAFETY: never freed. The thread alone uses it, but for the wake-up, which any thread may call.
    nonisolated(unsafe) private let multi: UnsafeMutableRawPointer

    private init?() {
        curl_global_init(Int(CURL_GLOBAL_DEFAULT))
        guard let multi = curl_multi_init() else { return nil }
        self.multi = multi
        // No transfer ever joins another one on its connection.
        ccurl_multi_set_long(multi, CURLMOPT_PIPELINING, Int(CURLPIPE_NOTHING))
        ccurl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, Self.kept)
        var thread = pthread_t()
        // SAFETY: the loop is never freed.
        let context = Unmanaged.passRetained(self).toOpaque()
        let code = pthread_create(
            &thread, nil,
            { context in
                // SAFETY: the reference passed above.
                if let context { Unmanaged<HTTPLoop>.fromOpaque(context).takeUnretainedValue().run() }
                return nil
            }, context)
        guard code == 0 else { return nil }
        pthread_detach(thread)
    }

    /// Starts it, or does what was asked of it since.
    func look(at transfer: Transfer) {
        inbox.withLock { $0.append(transfer) }
        curl_multi_wakeup(multi)
    }

    private func run() {
        var running: [UnsafeMutableRawPointer: Transfer] = [:]
        while true {
            let asked = inbox.withLock { inbox in
                defer { inbox.removeAll() }
                return inbox
            }
            for transfer in asked { look(transfer, &running) }
            var count: Int32 = 0
            curl_multi_perform(multi, &count)
            var code = CURLE_OK
            while let easy = ccurl_next_ended(multi, &code) {
                curl_multi_remove_handle(multi, easy)
                running.removeValue(forKey: easy)?.ended(code)
            }
            // Woken by `look(at:)`; the bound only guards against a wake-up that was lost.
            if curl_multi_poll(multi, nil, 0, 1_000, nil) != CURLM_OK { usleep(1_000) }
        }
    }

    private func look(_ transfer: Transfer, _ running: inout [UnsafeMutableRawPointer: Transfer]) {
        // What has ended asks for nothing more.
        if transfer.hasEnded { return }
        if transfer.isCancelled {
            guard let easy = transfer.easy, running.removeValue(forKey: easy) != nil else {
                return transfer.ended(CURLE_ABORTED_BY_CALLBACK)
            }
            curl_multi_remove_handle(multi, easy)
            transfer.ended(CURLE_ABORTED_BY_CALLBACK)
        } else if let easy = transfer.easy, running[easy] != nil {
            curl_easy_pause(easy, CURLPAUSE_CONT)
        } else if let easy = transfer.prepare() {
            running[easy] = transfer
            guard curl_multi_add_handle(multi, easy) == CURLM_OK else {
                running[easy] = nil
                return transfer.ended(CURLE_FAILED_INIT)
            }
        } else {
            transfer.ended(CURLE_OUT_OF_MEMORY)
        }
    }
}
