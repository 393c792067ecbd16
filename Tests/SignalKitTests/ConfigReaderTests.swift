import SignalKit
import Testing

/// Writes a mapping as a file would hold it, one key a line.
func map(_ entries: KeyValuePairs<String, ConfigNode.Content>, line: Int = 1) -> ConfigNode {
    let items = entries.enumerated().map { place, entry in
        ConfigNode.Entry(
            key: entry.key, mark: ConfigMark(line: line + place, column: 1),
            value: ConfigNode(entry.value, mark: ConfigMark(line: line + place, column: 10)))
    }
    return ConfigNode(.map(items), mark: ConfigMark(line: line, column: 1))
}

func plain(_ text: String) -> ConfigNode.Content { .scalar(text, plain: true) }
func quoted(_ text: String) -> ConfigNode.Content { .scalar(text, plain: false) }
func list(_ texts: String...) -> ConfigNode.Content {
    .list(texts.enumerated().map { ConfigNode(plain($1), mark: ConfigMark(line: 1, column: 20 + $0)) })
}

private enum Mode: String, CaseIterable { case refuse, deadLetter = "dead-letter" }

struct ConfigReaderTests {
    @Test func everyKindOfKeyIsReadAsItIsWritten() throws {
        var config = ConfigReader(
            map([
                "wait": plain("8h30m"), "count": plain("7"), "size": plain("64MiB"), "on": plain("true"),
                "word": quoted("true"), "maybe": plain("x"), "mode": plain("dead-letter"), "items": list("a", "b"),
                "raw": list("c"),
            ]), path: "policies[1]")
        #expect(try config.duration("wait", in: .seconds(1)...(.hours(24))) == .minutes(510))
        #expect(try config.integer("count", in: 1...10) == 7)
        #expect(try config.bytes("size", in: 1...(1 << 30)) == 64 << 20)
        #expect(try config.boolean("on") == true)
        #expect(try config.text("word") == "true")
        #expect(try config.optionalText("maybe") == "x")
        #expect(try config.choice("mode", default: Mode.refuse) == .deadLetter)
        #expect(try config.texts("items") == ["a", "b"])
        #expect(config.node("raw")?.content == list("c"))
        config.finish()
        #expect(config.errors.isEmpty)
    }

    @Test func anAbsentKeyHasItsDefault() throws {
        var config = ConfigReader(ConfigNode(.null, mark: ConfigMark(line: 3, column: 1)), path: "x")
        #expect(try config.duration("a", default: .seconds(5), in: .zero...(.hours(1))) == .seconds(5))
        #expect(try config.integer("b", default: 3, in: 0...9) == 3)
        #expect(try config.bytes("c", default: 4_096, in: 0...9_999) == 4_096)
        #expect(try config.boolean("d", default: true) == true)
        #expect(try config.text("e", default: "w") == "w")
        #expect(try config.optionalText("f") == nil)
        #expect(try config.choice("g", default: Mode.refuse) == .refuse)
        #expect(try config.texts("h", default: ["z"]) == ["z"])
        #expect(config.node("i") == nil)
        config.finish()
        #expect(config.errors.isEmpty)
    }

    @Test func aRequiredKeyThatIsMissingThrowsWithItsPathAndBounds() {
        var config = ConfigReader(map([:], line: 4), path: "policies[1]")
        #expect(
            throws: ConfigError(
                path: "policies[1].wait", mark: ConfigMark(line: 4, column: 1),
                "wait is required: duration, 1s to 1h")
        ) {
            try config.duration("wait", in: .seconds(1)...(.hours(1)))
        }
        #expect(throws: ConfigError.self) { try config.choice("mode") as Mode }
    }

    @Test func aRequiredKeyThatIsWrongThrowsWithItsPlace() {
        var config = ConfigReader(map(["count": plain("11")], line: 4), path: "p")
        #expect(
            throws: ConfigError(path: "p.count", mark: ConfigMark(line: 4, column: 10), "11 is out of bounds: 1 to 10")
        ) {
            try config.integer("count", in: 1...10)
        }
    }

    @Test func everyErrorOfAMappingIsReportedAtOnce() throws {
        var config = ConfigReader(
            map([
                "wait": plain("soon"), "count": quoted("7"), "size": plain("64MB"), "on": plain("yes"),
                "word": plain(""), "maybe": .list([]), "mode": plain("drop"), "items": plain("a"),
                "more": list("a", ""),
                "colour": plain("red"),
            ]), path: "p")
        _ = try config.duration("wait", default: .seconds(1), in: .zero...(.seconds(2)))
        _ = try config.integer("count", default: 1, in: 0...9)
        _ = try config.bytes("size", default: 1, in: 0...9)
        _ = try config.boolean("on", default: false)
        _ = try config.text("word", default: "w")
        _ = try config.optionalText("maybe")
        _ = try config.choice("mode", default: Mode.refuse)
        _ = try config.texts("items", default: [])
        _ = try config.texts("more", default: [])
        config.finish()
        #expect(
            config.errors.map(\.message) == [
                "expected a duration such as 90s, 10m or 8h30m", "expected a whole number",
                "expected a size such as 64MiB, 512KiB or 4096", "expected true or false", "expected a text",
                "expected a text", "expected one of refuse, dead-letter", "expected a list of texts, found a value",
                "expected texts that are not empty, found a value",
                "unknown key colour; known here: count, items, maybe, mode, more, on, size, wait, word",
            ])
        #expect(config.errors.map { $0.mark?.line } == [1, 2, 3, 4, 5, 6, 7, 8, 1, 10])
    }

    @Test func boundsHoldAtBothEnds() throws {
        for (text, fine) in [("1s", true), ("999ms", false), ("2h", true), ("2h1ms", false)] {
            var config = ConfigReader(map(["d": plain(text)]), path: "")
            _ = try config.duration("d", default: .seconds(9), in: .seconds(1)...(.hours(2)))
            #expect(config.errors.isEmpty == fine, "\(text)")
        }
        for (text, fine) in [("-1", false), ("0", true), ("9", true), ("10", false), ("1.0", false), ("0x1", false)] {
            var config = ConfigReader(map(["i": plain(text)]), path: "")
            _ = try config.integer("i", default: 1, in: 0...9)
            #expect(config.errors.isEmpty == fine, "\(text)")
        }
        var config = ConfigReader(map(["l": list("a", "b", "c"), "t": plain("four")]), path: "")
        _ = try config.texts("l", default: [], count: 0...2)
        _ = try config.text("t", default: "x", longest: 3)
        #expect(
            config.errors.map(\.message) == [
                "expected 0 to 2 texts, found 3", "longer than 3 bytes",
            ])
    }

    @Test func anUnknownKeyNamesTheNearestKnownOne() throws {
        var config = ConfigReader(map(["retension": plain("1h"), "zzz": plain("1")]), path: "policies[1]")
        _ = try config.duration("retention", default: .hours(8), in: .zero...(.hours(24)))
        _ = try config.duration("cooldown", default: .minutes(15), in: .zero...(.hours(24)))
        config.finish()
        #expect(
            config.errors == [
                ConfigError(
                    path: "policies[1].retension", mark: ConfigMark(line: 1, column: 1),
                    "unknown key retension; did you mean retention?"),
                ConfigError(
                    path: "policies[1].zzz", mark: ConfigMark(line: 2, column: 1),
                    "unknown key zzz; known here: cooldown, retention"),
            ])
    }

    @Test func aSectionReadsItsOwnKeysAndReportsToTheWhole() throws {
        let inside = map(["count": plain("99"), "cuont": plain("1")], line: 7)
        var config = ConfigReader(map(["rate": inside.content]), path: "policies[2]")
        let count = try config.section("rate") { rate throws(ConfigError) in
            try rate.integer("count", default: 10, in: 1...50)
        }
        config.finish()
        #expect(count == 10)
        #expect(config.errors.map(\.path) == ["policies[2].rate.count", "policies[2].rate.cuont"])
        #expect(config.keys.map(\.path) == ["rate.count"])
    }

    @Test func anAbsentSectionHasTheDefaultsOfItsKeys() throws {
        var config = ConfigReader(map([:]), path: "p")
        let count = try config.section("rate") { rate throws(ConfigError) in
            try rate.integer("count", default: 10, in: 1...50)
        }
        #expect(count == 10 && config.errors.isEmpty)
    }

    @Test func whatIsNotAMappingIsSaidOnce() {
        var config = ConfigReader(ConfigNode(list("a"), mark: ConfigMark(line: 2, column: 3)), path: "sinks[0]")
        config.finish()
        #expect(
            config.errors == [
                ConfigError(
                    path: "sinks[0]", mark: ConfigMark(line: 2, column: 3), "expected a mapping of keys, found a list")
            ])
    }

    @Test func aPluginReportsWhatOnlyItCanSee() {
        let config = ConfigReader(map(["a": plain("1")], line: 5), path: "p")
        config.report("a", "a must be below b")
        config.report("b", "b is absent")
        config.report(nil, "neither is good")
        #expect(config.errors.map(\.path) == ["p.a", "p.b", "p"])
        #expect(config.errors.map { $0.mark?.column } == [10, 1, 1])
    }

    @Test func describingDeclaresEveryKeyWithoutAFile() throws {
        var config = ConfigReader.describing()
        #expect(config.isDescribing)
        _ = try config.duration("wait", in: .seconds(1)...(.hours(1)))
        _ = try config.integer("count", default: 3, in: 0...9)
        _ = try config.bytes("size", default: 64 << 20, in: 0...(1 << 30))
        _ = try config.choice("mode") as Mode
        _ = try config.texts("items", default: ["a", "b"], count: 0...4)
        _ = try config.optionalText("maybe")
        try config.section("rate") { rate throws(ConfigError) in _ = try rate.text("by") }
        _ = config.node("raw", kind: "matchers", fallback: nil, bounds: "1 to 9")
        config.finish()
        #expect(config.errors.isEmpty)
        #expect(
            config.keys == [
                ConfigKey(path: "wait", kind: "duration", fallback: nil, bounds: "1s to 1h"),
                ConfigKey(path: "count", kind: "integer", fallback: "3", bounds: "0 to 9"),
                ConfigKey(path: "size", kind: "bytes", fallback: "64MiB", bounds: "0 to 1GiB"),
                ConfigKey(path: "mode", kind: "choice", fallback: nil, bounds: "refuse, dead-letter"),
                ConfigKey(path: "items", kind: "list", fallback: "[a, b]", bounds: "0 to 4 texts"),
                ConfigKey(path: "maybe", kind: "text", fallback: "none", bounds: ""),
                ConfigKey(path: "rate.by", kind: "text", fallback: nil, bounds: ""),
                ConfigKey(path: "raw", kind: "matchers", fallback: nil, bounds: "1 to 9"),
            ])
    }
}

struct ConfigUnitsTests {
    @Test(arguments: [
        ("90s", 90_000), ("10m", 600_000), ("8h30m", 30_600_000), ("500ms", 500), ("1d12h", 129_600_000),
        ("1h1ms", 3_600_001), ("0s", 0), ("90m", 5_400_000),
    ])
    func aDurationIsNumbersWithUnits(_ text: String, _ milliseconds: Int64) {
        #expect(ConfigReader.duration(text) == .milliseconds(milliseconds))
    }

    @Test(arguments: [
        "", "5", "s", "5 s", "-5s", "1.5h", "30m8h", "1h1h", "1w", "1H", "5µs", "٣s", "9223372036854775807d",
        "106751991167d1000000000000h", "1h ", "h1",
    ])
    func anythingElseIsNotADuration(_ text: String) {
        #expect(ConfigReader.duration(text) == nil)
    }

    @Test func aDurationIsWrittenAsItIsRead() {
        for milliseconds in [0, 1, 999, 1_000, 61_001, 3_600_000, 30_600_000, 86_400_000, 90_061_001] {
            let duration = Duration.milliseconds(milliseconds)
            #expect(ConfigReader.duration(ConfigReader.text(duration)) == duration)
        }
        #expect(ConfigReader.text(.minutes(510)) == "8h30m")
        #expect(ConfigReader.text(.seconds(-90)) == "-1m30s")
    }

    @Test func aSizeIsANumberWithABinaryUnit() {
        #expect(ConfigReader.byteCount("4096") == 4_096)
        #expect(ConfigReader.byteCount("12B") == 12)
        #expect(ConfigReader.byteCount("512KiB") == 512 << 10)
        #expect(ConfigReader.byteCount("64MiB") == 64 << 20)
        #expect(ConfigReader.byteCount("1GiB") == 1 << 30)
        for bad in ["", "KiB", "1KB", "1k", "-1", "1.5MiB", "1 MiB", "9223372036854775807KiB", "99999999999999999999"] {
            #expect(ConfigReader.byteCount(bad) == nil, "\(bad)")
        }
        for count in [0, 1, 1_023, 1_024, 1_536, 1 << 20, 3 << 30] {
            #expect(ConfigReader.byteCount(ConfigReader.byteText(count)) == count)
        }
    }

    @Test func theNearestWordIsAtMostAThirdAway() {
        #expect(nearest("dedupliacte", among: ["deduplicate", "storm", "persist"]) == "deduplicate")
        #expect(nearest("stor", among: ["deduplicate", "storm", "persist"]) == "storm")
        #expect(nearest("kubernetes", among: ["deduplicate", "storm", "persist"]) == nil)
        #expect(nearest("", among: ["storm"]) == nil)
        #expect(nearest("x", among: []) == nil)
    }
}
