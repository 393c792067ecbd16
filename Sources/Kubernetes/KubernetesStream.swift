/// The lines of a watch, as they come. One task reads it. It ends with its reader: when this is let go, or its task is
/// cancelled, so is the request.
public final class KubernetesStream: Sendable {
    private let lines: LineBuffer
    private let transfer: Transfer

    init(_ request: KubernetesRequest, _ server: ServerAccess, on loop: HTTPLoop, within deadline: Duration) {
        let lines = LineBuffer()
        self.lines = lines
        transfer = Transfer(request, server, on: loop, within: deadline, into: lines) { lines.end($0.map { _ in }) }
        transfer.start()
    }

    deinit { transfer.cancel() }

    /// Waits until the server has begun to answer: from then on it tells whatever happens.
    /// - Throws: as `next`.
    public func opened() async throws(KubernetesError) {
        try await cancelling { () async throws(KubernetesError) in try await lines.opened() }
    }

    /// Waits for a line.
    /// - Returns: what is there by then, `most` lines at most, without their ends; empty lines are left out. Nothing
    ///   when the server has ended the answer.
    /// - Throws: an answer that is not 2xx, a connection that broke, a deadline. Lines that were whole by then come first.
    public func next(_ most: Int) async throws(KubernetesError) -> [[UInt8]] {
        let found = try await cancelling { () async throws(KubernetesError) in try await lines.next(most) }
        if found.more { transfer.start() }
        return found.lines
    }

    private func cancelling<Value: Sendable>(
        _ body: () async throws(KubernetesError) -> Value
    ) async throws(KubernetesError) -> Value {
        let result: Result<Value, KubernetesError> = await withTaskCancellationHandler {
            do throws(KubernetesError) {
                return .success(try await body())
            } catch {
                return .failure(error)
            }
        } onCancel: {
            transfer.cancel()
        }
        return try result.get()
    }
}
