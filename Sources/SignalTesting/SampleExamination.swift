import SignalKit

/// One sample against every rule.
struct SampleExamination<Adapter: SignalAdapter> {
    let adapter: Adapter
    /// Built from the same configuration; what one remembers the other can't know.
    let fresh: Adapter
    let sample: AdapterSample
    let place: Int
    private(set) var findings = Findings()
    private var replayed: Set<[UInt8]> = []

    private typealias Answer = Result<Decoded, AdapterError>

    init(adapter: Adapter, fresh: Adapter, sample: AdapterSample, place: Int) {
        (self.adapter, self.fresh, self.sample, self.place) = (adapter, fresh, sample, place)
    }

    /// How many items of the sample were accepted.
    mutating func run() -> Int {
        let answer = ask(sample.body)
        guard case .success(let whole) = answer else {
            if case .failure(let error) = answer {
                add(.counting, "the sample can't be read: \(error.code): \(error.message)")
            }
            return 0
        }
        count(answer, "the sample")
        repeated(whole)
        garbage()
        truncated(whole)
        spoilt()
        limits()
        secrets()
        return whole.signals.count
    }

    private mutating func add(_ rule: AdapterRule, _ message: String, kind: String? = nil) {
        findings.add(rule, place, message, kind: kind)
    }

    // MARK: Asking

    private func request(
        _ body: [UInt8], later: Duration = .zero, bare: Bool = false, secret: String? = nil
    ) -> InboundRequest {
        var headers = bare ? [:] : sample.headers
        if let secret {
            headers = headers.mapValues { _ in secret }
            headers["authorization"] = "Bearer \(secret)"
        }
        return InboundRequest(
            body: body, contentType: sample.contentType, headers: headers,
            receivedAt: sample.receivedAt.advanced(by: later))
    }

    private static func answer(_ adapter: Adapter, _ request: InboundRequest) -> Answer {
        do throws(AdapterError) {
            return .success(try adapter.decode(request))
        } catch {
            return .failure(error)
        }
    }

    /// The adapter's answer, held to the rules that every answer must keep.
    private mutating func ask(_ body: [UInt8], bare: Bool = false) -> Answer {
        let request = request(body, bare: bare)
        let answer = Self.answer(adapter, request)
        switch answer {
        case .failure(let error):
            if error.message.isEmpty { add(.errors, "an error without a message") }
            if error.message.utf8.count > 1_024 || (error.path?.utf8.count ?? 0) > 1_024 {
                add(.errors, "an error longer than 1 KiB")
            }
            if let offset = error.offset, !(0...body.count).contains(offset) {
                add(.errors, "offset \(offset) of a body of \(body.count) bytes", kind: "offset")
            }
        case .success(let decoded):
            let items = decoded.items
            if Set(decoded.rejected.map(\.index)).count != decoded.rejected.count
                || decoded.rejected.contains(where: { !(0..<items).contains($0.index) })
            {
                add(.errors, "the indexes of rejected items are not places among \(items) items", kind: "index")
            }
            if decoded.rejected.contains(where: { $0.reason.isEmpty || $0.reason.utf8.count > 1_024 }) {
                add(.errors, "a reason that is empty or longer than 1 KiB")
            }
            if decoded.truncated < 0 || decoded.skipped < 0 { add(.errors, "truncated or skipped is negative") }
            for item in decoded.rejected.prefix(16) where item.cut == nil { replay(item, bare) }
        }
        return answer
    }

    private mutating func replay(_ item: RejectedItem, _ bare: Bool) {
        guard replayed.count < 512, replayed.insert(item.replay).inserted else { return }
        switch Self.answer(adapter, request(item.replay, bare: bare)) {
        case .failure(let error):
            add(.replay, "the replay body of a rejected item can't be read: \(error.message)", kind: "unreadable")
        case .success(let again):
            let items = again.items
            if items != 1 {
                add(.replay, "the replay body of a rejected item is read as \(items) items", kind: "items")
            }
        }
    }

    // MARK: Rules

    private mutating func count(_ answer: Answer, _ what: String, _ rule: AdapterRule = .counting) {
        guard case .success(let decoded) = answer else { return }
        let found = decoded.items
        guard found != sample.items else { return }
        add(
            rule,
            "\(what): \(decoded.signals.count) accepted, \(decoded.rejected.count) rejected, \(decoded.skipped) skipped of \(sample.items)",
            kind: what)
    }

    private mutating func repeated(_ whole: Decoded) {
        for other in [adapter, fresh] {
            guard case .success(let again) = Self.answer(other, request(sample.body)), again.signals == whole.signals,
                again.rejected == whole.rejected, again.truncated == whole.truncated
            else {
                add(.determinism, "the same request had two different answers")
                return
            }
        }
        for later in [Duration.seconds(1), .hours(1), .hours(24)] {
            // An item may be too old by then: it is skipped.
            guard case .success(let again) = Self.answer(adapter, request(sample.body, later: later)),
                again.items == whole.items,
                again.signals.map(\.identity) == whole.signals.map(\.identity)
                    || (again.skipped > whole.skipped
                        && Set(again.signals.map(\.identity)).isSubset(of: whole.signals.map(\.identity)))
            else {
                add(.identity, "received later, the same items are other problems")
                return
            }
        }
    }

    private mutating func garbage() {
        for body in Hostile.garbage {
            if case .success(let decoded) = ask(body, bare: true) {
                add(
                    .garbage, "\(body.count) bytes of garbage were read, with \(decoded.signals.count) signals",
                    kind: "read")
            }
        }
        for body in Hostile.foreign {
            if case .success(let decoded) = ask(body, bare: true), !decoded.signals.isEmpty {
                add(.garbage, "a signal was made of \(String(decoding: body, as: UTF8.self))", kind: "foreign")
            }
        }
    }

    private mutating func truncated(_ whole: Decoded) {
        let known = Set(whole.signals)
        for end in sample.body.indices {
            if case .success(let decoded) = ask(Array(sample.body[..<end])), !known.isSuperset(of: decoded.signals) {
                add(.truncation, "cut after \(end) bytes, the body says what the whole one does not", kind: "new")
            }
        }
    }

    private mutating func spoilt() {
        for token in Hostile.strings(of: sample.body).filter({ !$0.isKey }).prefix(128) {
            for value in Hostile.values {
                count(ask(Hostile.replacing(token, of: sample.body, with: value)), "one value spoilt")
            }
        }
    }

    private mutating func limits() {
        for body in Hostile.deep {
            switch ask(body, bare: true) {
            case .failure: continue
            case .success(let decoded) where decoded.signals.isEmpty && decoded.rejected.count == 1: continue
            case .success: add(.limits, "a deeply nested body is neither an error nor a rejected item", kind: "deep")
            }
        }
        for token in Hostile.strings(of: sample.body).prefix(128) {
            let long = [UInt8](repeating: UInt8(ascii: "a"), count: token.isKey ? 65_536 : 1_048_576)
            let body = Hostile.replacing(token, of: sample.body, with: [Hostile.quote] + long + [Hostile.quote])
            count(ask(body), "one text overlong", .limits)
            if !token.isKey {
                count(
                    ask(Hostile.replacing(token, of: sample.body, with: Hostile.deepValue)), "one value deep", .limits)
            }
        }
    }

    private mutating func secrets() {
        var marked = sample.body
        for token in Hostile.strings(of: sample.body).reversed() where !token.isKey {
            marked = Hostile.replacing(token, of: marked, with: Hostile.quotedSecret)
            for value in Hostile.secretValues {
                conceal(Hostile.replacing(token, of: sample.body, with: value))
            }
        }
        for end in 0...marked.count { conceal(Array(marked[..<end])) }
        for body in [Hostile.secret, marked + Hostile.secret, Hostile.secret + marked] { conceal(body) }
    }

    private mutating func conceal(_ body: [UInt8]) {
        let shown: [String]
        switch Self.answer(adapter, request(body, secret: Hostile.secretText)) {
        case .failure(let error): shown = [error.message, error.path ?? ""]
        case .success(let decoded): shown = decoded.rejected.map(\.reason)
        }
        if shown.contains(where: Hostile.betrays) {
            add(.secrets, "a value from the request shows in an error or a reason")
        }
    }
}
