import Testing

@testable import Kubernetes

/// What an answer that is not 2xx means. The texts are those of kube-apiserver 1.36 and etcd 3.6.
struct StatusTests {
    private func error(_ status: Int, _ reason: String?, _ message: String, causes: String = "[]") -> KubernetesError {
        let quoted = message.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
            .replacing("\n", with: "\\n")
        let body =
            #"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"\#(quoted)","#
            + (reason.map { #""reason":"\#($0)","# } ?? "")
            + #""details":{"name":"sig-1","kind":"signals","causes":\#(causes)},"code":\#(status)}"#
        return KubernetesError(KubernetesResponse(status: status, headers: [:], body: Array(body.utf8)))
    }

    private static let policy =
        "ValidatingAdmissionPolicy 'no-sundays' with binding 'everywhere' denied request: object.spec.severity is too low"

    /// A policy's `reason` chooses the number.
    @Test(arguments: [(422, "Invalid"), (403, "Forbidden"), (401, "Unauthorized"), (413, "RequestEntityTooLarge")])
    func anAdmissionPolicysDenialIsOneWhateverItsNumber(_ status: Int, _ reason: String) {
        let text = #"signals.portcullis.dev "sig-1" is forbidden: "# + Self.policy
        let found = error(status, reason, text, causes: #"[{"message":"\#(Self.policy)"}]"#)
        #expect(found.code == .denied && found.message == text && !found.isFinal)
    }

    @Test(arguments: [
        (400, #"admission webhook "validate.kyverno.svc-fail" denied the request: policy Signal/a failed"#),
        (403, #"admission webhook "hook.example" denied the request without explanation"#),
        (500, #"admission webhook "hook.example" denied the request: try later"#),
        (422, #"signals.portcullis.dev "a" is forbidden: admission webhook "hook.example" denied the request: no"#),
        (403, "MutatingAdmissionPolicy 'm' with binding 'b' denied request: no"),
    ])
    func aWebhooksDenialIsOneWhateverItsNumber(_ status: Int, _ text: String) {
        let found = error(status, nil, text)
        #expect(found.code == .denied && found.message == text)
    }

    /// The object's own values may hold such words.
    @Test func aQuotationOfADenialIsNone() {
        let quoted = #"Signal.portcullis.dev "a" is invalid: spec.link: Invalid value: "\#(Self.policy)": is wrong"#
        let causes =
            #"[{"reason":"FieldValueInvalid","message":"Invalid value: \"\#(Self.policy)\"","field":"spec.link"}]"#
        let found = error(422, "Invalid", quoted, causes: causes)
        #expect(
            found.code == .invalid && found.isFinal
                && found.message == "fields are invalid: spec.link: FieldValueInvalid")
    }

    @Test func aLongDenialIsKeptInFull() {
        let text = Self.policy + String(repeating: " and so on", count: 400)
        #expect(error(403, "Forbidden", text).message == text)
    }

    @Test(arguments: [
        (
            400, "BadRequest",
            #"Signal in version "v1alpha1" cannot be handled as a Signal: strict decoding error: unknown field "spec.a""#
        ),
        (422, "Invalid", #"strict decoding error: unknown field "spec.a", unknown field "spec.b""#),
        (
            500, nil,
            "failed to create typed patch object (n/s; portcullis.dev/v1alpha1, Kind=Signal): .status.a: field not declared in schema"
        ),
    ])
    func aFieldThatTheKindDoesNotHaveIsNoFaultOfTheDelivery(_ status: Int, _ reason: String?, _ text: String) {
        let found = error(status, reason, text)
        #expect(found.code == .unknownField && !found.isFinal && found.message == text)
    }

    /// A value of the object, quoted: it speaks of this delivery.
    @Test(arguments: [
        (
            422,
            #"Signal.portcullis.dev "a" is invalid: spec.labels.note: Invalid value: "strict decoding error: no": is wrong"#
        ),
        (422, #"Signal.portcullis.dev "a" is invalid: spec.link: Invalid value: "x: field not declared in schema""#),
        (
            400,
            #"Signal in version "v1alpha1" cannot be handled as a Signal: json: cannot unmarshal "strict decoding error: no""#
        ),
        (400, #"the request is bad: "X in version "v1" cannot be handled as a Y: strict decoding error: no""#),
        (400, #"etcdserver: request is too large"#),
    ])
    func aQuotedValueIsNoFaultOfTheWholeSink(_ status: Int, _ text: String) {
        let found = error(status, status == 422 ? "Invalid" : "BadRequest", text)
        #expect(found.code == .invalid)
    }

    @Test(arguments: [
        #"failed to create typed patch object (n/s; v1, Kind=S): .status.a: expected string, got "b: field not declared in schema""#,
        #"an error on the server ("etcdserver: request is too large") has prevented it"#,
        #"Internal error occurred: failed calling webhook "w": it said: strict decoding error: unknown field "a""#,
    ])
    func aQuotationInA500IsAFaultOfTheServer(_ text: String) {
        #expect(error(500, "InternalError", text).code == .unavailable)
    }

    @Test func aQuotedDenialBehindAnotherTextIsNone() {
        let text = #"Signal.portcullis.dev "a" is invalid: spec.link: Invalid value: "b" is forbidden: "# + Self.policy
        #expect(error(422, "Invalid", text).code == .invalid)
    }

    @Test func severalFieldsThatServerSideApplyDoesNotKnowAreNoFaultOfTheDelivery() {
        let text =
            "failed to create typed patch object (n/s; portcullis.dev/v1alpha1, Kind=Signal): errors:\n"
            + "  .status.a: field not declared in schema\n  .status.b: field not declared in schema"
        #expect(error(500, nil, text).code == .unknownField)
    }

    @Test(arguments: [
        (500, "etcdserver: request is too large"),
        (500, "rpc error: code = InvalidArgument desc = etcdserver: request is too large"),
        (
            500,
            "rpc error: code = ResourceExhausted desc = trying to send message larger than max (3145999 vs. 2097152)"
        ),
    ])
    func whatEtcdNeverStoresIsFinal(_ status: Int, _ text: String) {
        #expect(error(status, nil, text).code == .tooLarge && error(status, nil, text).isFinal)
        // An API server that is overloaded is not.
        #expect(error(500, nil, "etcdserver: mvcc: database space exceeded").code == .unavailable)
        #expect(error(504, "Timeout", "etcdserver: request timed out").code == .unavailable)
    }

    @Test(arguments: [
        (#"299 - "unknown field \"spec.size\"""#, #"unknown field "spec.size""#),
        (#"299 kube-apiserver "old" "Tue, 01 Dec 2026 12:00:00 GMT""#, "old"), ("odd", "odd"),
        (#"299 - "no end"#, "no end"),
        (#"299 - "a \\ b""#, #"a \ b"#),
    ])
    func aWarningsTextIsRead(_ header: String, _ text: String) { #expect(WarningHeader.text(header) == text) }
}
