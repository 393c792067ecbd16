import Adapters
import SignalKit
import SignalTesting
import Testing

/// One good and one bad item.
private let sample = AdapterSample(
    #"[{"labels":{"alertname":"A","pod":"p-1"}},{"labels":{"alertname":"B"},"startsAt":"never"}]"#, items: 2)

private func rules<Kind: Flaw>(_ flaw: Kind.Type) -> Set<AdapterRule> {
    Set(AdapterContract(Broken<Kind>.self, samples: [sample]).violations().map(\.rule))
}

private let flaws: [any Flaw.Type] = [
    NeedsAFileToBeDescribed.self, DropsWhatItCannotRead.self, TakesGarbageForAnEmptyBatch.self,
    MakesUpTheEndOfABody.self, LosesWhatIsLong.self, RemembersTheLastRequest.self, TakesTheTimeForIdentity.self,
    QuotesWhatItCannotRead.self, ReplaysTheBareItem.self, PointsBehindTheBody.self,
]

struct AdapterContractTests {
    @Test func aSoundAdapterBreaksNoRule() {
        #expect(rules(SoundAfterAll.self).isEmpty)
    }

    @Test(arguments: flaws.indices) func aFlawIsFoundByTheRuleThatIsThereForIt(_ place: Int) {
        let flaw = flaws[place]
        #expect(rules(flaw).contains(flaw.rule), "\(flaw)")
    }

    @Test func everyRuleHasAnAdapterThatBreaksIt() {
        #expect(Set(flaws.map { $0.rule }) == Set(AdapterRule.allCases))
    }

    @Test func checkThrowsEverythingThatItFound() throws {
        do {
            try AdapterContract(Broken<PointsBehindTheBody>.self, samples: [sample]).check()
            Issue.record("nothing was thrown")
        } catch {
            #expect(error.violations.contains { $0.rule == .errors })
            #expect(error.description.contains("- errors, sample 0: offset"))
        }
    }

    @Test func samplesThatShowNothingAreAViolation() {
        func messages(_ samples: AdapterSample...) -> [String] {
            AdapterContract(PrometheusAdapter.self, samples: samples).violations().map(\.message)
        }
        #expect(
            messages() == [
                "no sample was given", "no item of any sample was accepted, so little was shown",
            ])
        #expect(messages("[{}]") == ["no item of any sample was accepted, so little was shown"])
        #expect(
            messages("{", #"[{"labels":{"a":"b"}}]"#).first?.hasPrefix("the sample can't be read: malformed") == true)
        #expect(
            messages(.init(#"[{"labels":{"a":"b"}}]"#, items: 2)).contains(
                "the sample: 1 accepted, 0 rejected, 0 skipped of 2"))
        #expect(messages(.init(bytes: .init(repeating: 32, count: 65_537)))[0] == "the sample is longer than 64 KiB")
    }

    @Test func wrongKeysAreAViolation() {
        let mark = ConfigMark(line: 1, column: 1)
        let node = ConfigNode(
            .map([.init(key: "tarqet", mark: mark, value: ConfigNode(.null, mark: mark))]), mark: mark)
        let found = AdapterContract(PrometheusAdapter.self, configuration: node, samples: [sample]).violations()
        #expect(found.map(\.message) == ["prometheus.tarqet: unknown key tarqet; did you mean target?"])
    }
}
