import Glibc
import Kubernetes
import SignalKit

/// Deletes Signals that were resolved `ttl` ago, those of the sink's owner: another installation may have its Signals in the same
/// namespace.
/// Every host does, in turn through all of them; the API server deletes each once.
struct FinishedSignals: Sendable {
    /// Objects of a page. One page a second, and one deletion at a time: a namespace of 100 000 takes half an hour.
    static let page = 50
    static let pause = Duration.seconds(1)
    /// from the end of one turn to the next
    static let interval = Duration.seconds(10)...Duration.seconds(600)

    let objects: ObjectClient
    let ttl: Duration
    let log: @Sendable (Services.Level, String) -> Void

    /// Until it is cancelled.
    func run() async {
        let interval = min(max(ttl / 10, Self.interval.lowerBound), Self.interval.upperBound)
        while !Task.isCancelled {
            do throws(KubernetesError) {
                let deleted = try await turn()
                if deleted > 0 { log(.info, "deleted \(deleted) signals that were resolved longer than ttl ago") }
            } catch {
                if !Task.isCancelled { log(.warning, "cannot delete resolved signals (ttl): \(error)") }
            }
            // With jitter: hosts that started together share the work.
            try? await Task.sleep(for: interval * Double.random(in: 0.8...1.2))
        }
    }

    private func turn() async throws(KubernetesError) -> Int {
        var (deleted, next) = (0, "")
        repeat {
            let page: (items: [SeenObject], next: String)
            do throws(KubernetesError) {
                page = try await objects.page(of: Self.page, after: next)
            } catch  where error.code == .expired {
                // The next turn begins anew.
                return deleted
            }
            for object in page.items where isOver(object) {
                if try await objects.delete(object) { deleted += 1 }
            }
            next = page.next
            if !next.isEmpty { try? await Task.sleep(for: Self.pause) }
        } while !next.isEmpty && !Task.isCancelled
        return deleted
    }

    private func isOver(_ object: SeenObject) -> Bool {
        guard object.isResolved, let last = [object.lastSeen, object.resolvedAt].compactMap({ $0 }).max() else {
            return false
        }
        return last.advanced(by: ttl) < Timestamp(milliseconds: Int64(time(nil)) * 1_000)
    }
}
