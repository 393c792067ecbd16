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
}
