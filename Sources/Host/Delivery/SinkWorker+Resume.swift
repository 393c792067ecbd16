import Logging
import NIOConcurrencyHelpers
import Redis

/// After an outage of the sink the deliveries in back-off need not wait for its end.
extension SinkWorker {
    /// Members of the queue that one call looks at.
    private static let resumed = 256
    /// Those of one call become due over so long a time, and the next call follows after a part of it: a sink that is back is not
    /// given everything at once.
    private static let spread = Duration.seconds(2)
    private static let breath = Duration.milliseconds(100)

    func resume() async {
        var place: String?
        repeat {
            do throws(RedisError) {
                place = try await store.resume(sink.name, from: place, most: Self.resumed, over: Self.spread)
            } catch {
                state.withLockedValue { $0.room.leftWaiting() }
                if error.code != .shut { log.warning("can't shorten the back-off", metadata: metadata(error)) }
                return
            }
            wake()
            guard place != nil else { return }
            try? await Task.sleep(for: Self.breath)
            // The end of the next outage begins anew.
        } while !Task.isCancelled && state.withLockedValue { !$0.room.isOut }
    }
}
