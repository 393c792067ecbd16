import SignalKit
import Testing

struct TimestampTests {
    /// Milliseconds from `date -u -d TEXT +%s`.
    @Test(arguments: [
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.999Z", -1),
        ("2026-08-01T12:00:00Z", 1_785_585_600_000),
        ("2026-08-01T12:00:00.5Z", 1_785_585_600_500),
        ("2026-08-01T12:00:00.123456789Z", 1_785_585_600_123),
        ("2026-08-01T12:00:00.0001Z", 1_785_585_600_000),
        ("2026-08-01T14:00:00+02:00", 1_785_585_600_000),
        ("2026-08-01T06:30:00-05:30", 1_785_585_600_000),
        ("2026-08-01t12:00:00z", 1_785_585_600_000),
        ("2026-08-01 12:00:00Z", 1_785_585_600_000),
        ("2000-02-29T00:00:00Z", 951_782_400_000),
        ("2024-02-29T23:59:59Z", 1_709_251_199_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ("0000-01-01T00:00:00Z", -62_167_219_200_000),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000),
    ])
    func anRFC3339TimeIsReadToTheMillisecond(_ text: String, _ milliseconds: Int64) {
        #expect(Timestamp(rfc3339: text)?.milliseconds == milliseconds)
    }

    @Test(arguments: [
        "", "now", "2026", "2026-08-01", "2026-08-01T12:00Z", "2026-08-01T12:00:00", "2026-08-01T12:00:00.Z",
        "2026-08-01T12:00:00,5Z", "2026-08-01T12:00:00+0200", "2026-08-01T12:00:00+24:00", "2026-08-01T12:00:00+02:60",
        "2026-08-01T24:00:00Z", "2026-08-01T12:60:00Z", "2026-08-01T12:00:61Z", "2026-00-01T12:00:00Z",
        "2026-13-01T12:00:00Z", "2026-08-00T12:00:00Z", "2026-08-32T12:00:00Z", "2026-06-31T12:00:00Z",
        "2026-02-29T12:00:00Z", "1900-02-29T12:00:00Z", "+2026-08-01T12:00:00Z", "02026-08-01T12:00:00Z",
        "2026-08-01T12:00:00Z ", " 2026-08-01T12:00:00Z", "2026-8-1T12:00:00Z", "2026-08-01T12:00:00ZZ",
        "２０２６-08-01T12:00:00Z", "1785585600",
    ])
    func anythingElseIsNotATime(_ text: String) {
        #expect(Timestamp(rfc3339: text) == nil)
    }

    @Test(arguments: ["0000-01-01T00:00:00+00:01", "9999-12-31T23:59:00-00:01", "9999-12-31T23:59:60Z"])
    func aTimeThatItsOffsetMovesOutOfTheCalendarIsNotATime(_ text: String) {
        #expect(Timestamp(rfc3339: text) == nil)
    }

    @Test func goZeroIsWhatAlertmanagerWrites() {
        #expect(Timestamp(rfc3339: "0001-01-01T00:00:00Z") == .goZero)
        #expect(Timestamp(rfc3339: "0001-01-01T00:00:00.000Z") == .goZero)
        #expect(Timestamp.goZero.description == "0001-01-01T00:00:00.000Z")
    }

    @Test func everyDayOfACalendarCycleIsWrittenAndReadBack() {
        var days: Set<String> = []
        // 1999-12-31 is day 10 956; the Gregorian calendar repeats after 146 097 days.
        for day in Int64(10_956)...(10_956 + 146_157) {
            let time = Timestamp(milliseconds: day * 86_400_000 + 1)
            let text = time.description
            #expect(Timestamp(rfc3339: text) == time)
            days.insert(text)
        }
        #expect(days.count == 146_158)
        #expect(days.contains("2000-02-29T00:00:00.001Z") && days.contains("2400-02-29T00:00:00.001Z"))
        #expect(!days.contains("2100-02-29T00:00:00.001Z"))
    }

    @Test func aTimeThatRFC3339CannotWriteIsWrittenAsTheNearestOneThatItCan() {
        #expect(Timestamp(milliseconds: .min).description == "0000-01-01T00:00:00.000Z")
        #expect(Timestamp(milliseconds: .max).description == "9999-12-31T23:59:59.999Z")
    }

    @Test func movingATimeStopsAtTheEndsOfItsNumber() {
        #expect(Timestamp(milliseconds: 5).advanced(by: .seconds(2)).milliseconds == 2_005)
        #expect(Timestamp(milliseconds: .max).advanced(by: .seconds(1)).milliseconds == .max)
        #expect(Timestamp(milliseconds: .min).advanced(by: .seconds(-1)).milliseconds == .min)
    }

    @Test func aDurationIsCutToMilliseconds() {
        #expect(Duration.microseconds(1_999).milliseconds == 1)
        #expect(Duration.minutes(2).milliseconds == 120_000)
        #expect(Duration.hours(1) == .minutes(60))
        #expect(Duration.seconds(Int64.max).milliseconds == .max)
        #expect(Duration.seconds(Int64.min).milliseconds == .min)
    }
}
