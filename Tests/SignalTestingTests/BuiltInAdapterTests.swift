import Adapters
import SignalKit
import SignalTesting
import Testing

struct BuiltInAdapterTests {
    @Test func theAlertmanagerAdapterKeepsTheContract() throws {
        let group = AdapterSample(
            #"""
            {"receiver":"gate","status":"firing","alerts":[
            {"status":"resolved","labels":{"alertname":"A","namespace":"shop","pod":"p-1","severity":"critical"},
            "annotations":{"summary":"It is «full» \u003c3"},"startsAt":"2026-08-01T11:00:00.197997188Z",
            "endsAt":"2026-08-01T11:30:00Z","generatorURL":"http://prometheus.example.org/graph","fingerprint":"e5a9"},
            {"status":"firing","labels":{"alertname":"A","namespace":"shop"},"annotations":{},
            "startsAt":"2026-08-01T11:00:00Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"","fingerprint":"dcdd"}],
            "groupLabels":{"alertname":"A"},"commonLabels":{"alertname":"A","namespace":"shop"},"commonAnnotations":{},
            "externalURL":"http://alertmanager.example.org","version":"4","groupKey":"{}:{}","truncatedAlerts":0}
            """#, items: 2)
        try AdapterContract(AlertmanagerAdapter.self, samples: [group]).check()
    }

    @Test func thePrometheusAdapterKeepsTheContract() throws {
        let batch = AdapterSample(
            #"""
            [{"annotations":{"summary":"This one ends"},"endsAt":"2026-08-01T11:59:48.632Z",
            "startsAt":"2026-08-01T11:43:43.632Z","generatorURL":"http://prometheus.example.org/graph",
            "labels":{"alertname":"A","node":"n-1","prometheus_replica":"p-0"}},
            {"labels":{"alertname":"B"},"endsAt":"2026-08-01T12:04:00Z"},{"labels":{"alertname":""}}]
            """#, items: 3)
        try AdapterContract(PrometheusAdapter.self, samples: [batch, "[{\"labels\":{\"a\":\"b\"}}]"]).check()
    }

    @Test func theKubernetesEventsAdapterKeepsTheContract() throws {
        let list = AdapterSample(
            #"""
            {"kind":"EventList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[
            {"metadata":{"name":"e-1","namespace":"shop"},"involvedObject":{"apiVersion":"v1","kind":"Pod",
            "namespace":"shop","name":"p-1","uid":"u-1"},"reason":"BackOff","message":"It is «full» \u003c3","count":3,
            "source":{"component":"kubelet","host":"n-1"},"firstTimestamp":"2026-08-01T11:00:00Z",
            "lastTimestamp":"2026-08-01T11:30:00Z","type":"Warning","eventTime":null,"reportingComponent":""},
            {"metadata":{},"involvedObject":{"kind":"Node","name":"n-1"},"reason":"Started","type":"Normal"},
            {"metadata":{},"reason":"NoObject","type":"Warning"}]}
            """#, items: 3)
        let line = AdapterSample(
            #"""
            {"type":"MODIFIED","object":{"kind":"Event","apiVersion":"events.k8s.io/v1","metadata":{"name":"e"},
            "eventTime":"2026-08-01T11:00:00.123456Z","reportingController":"c","reason":"Evicted","note":"full",
            "regarding":{"kind":"Pod","namespace":"shop","name":"p-1"},"type":"Warning","series":{"count":2,
            "lastObservedTime":"2026-08-01T11:30:00.000000Z"}}}
            """#, items: 1)
        try AdapterContract(KubernetesEventsAdapter.self, samples: [list, line]).check()
    }
}
