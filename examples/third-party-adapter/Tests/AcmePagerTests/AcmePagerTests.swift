import AcmePager
import SignalTesting
import Testing

@Test func acmePagerKeepsTheContract() throws {
    try AdapterContract(AcmePager.self, samples: [#"{"incidents":[{"id":"7","title":"Slow","state":"open"}]}"#]).check()
}
