import Testing

@testable import Adapters

@Suite struct ShellPatternTests {
    @Test func aPatternFitsTheWholeOfAText() {
        #expect(ShellPattern(text: "prod-*").fits("prod-eu"))
        #expect(ShellPattern(text: "prod-?").fits("prod-1"))
        #expect(ShellPattern(text: "*").fits(""))
        #expect(!ShellPattern(text: "prod-*").fits("my-prod-eu"))
    }

    @Test func aNULCutsNeitherAPatternNorAText() {
        for pattern in ["prod-*", "prod-", "prod-?", "prod-[!x]*"] {
            #expect(!ShellPattern(text: pattern).fits("prod-\0evil"), "\(pattern)")
        }
        #expect(!ShellPattern(text: "prod-\0evil").fits("prod-"))
        #expect(!ShellPattern(text: "prod-*\0evil").fits("prod-eu"))
        #expect(ShellPattern(text: "*").fits("prod-\0evil"))
    }
}
