/// A point in time: whole milliseconds since 1970-01-01T00:00:00Z.
public struct Timestamp: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let milliseconds: Int64

    public init(milliseconds: Int64) { self.milliseconds = milliseconds }

    /// Go's zero time, 0001-01-01T00:00:00Z, which Alertmanager sends as the `endsAt` of a firing alert.
    public static let goZero = Timestamp(milliseconds: -62_135_596_800_000)

    public static func < (left: Timestamp, right: Timestamp) -> Bool { left.milliseconds < right.milliseconds }

    /// Stops at the ends of what 64 bits of milliseconds hold.
    public func advanced(by duration: Duration) -> Timestamp {
        let (sum, overflow) = milliseconds.addingReportingOverflow(duration.milliseconds)
        return Timestamp(milliseconds: overflow ? (duration < .zero ? .min : .max) : sum)
    }

    /// RFC 3339 in UTC with milliseconds: `2026-08-01T12:00:00.000Z`.
    public var description: String { String(decoding: rfc3339, as: UTF8.self) }

    /// What RFC 3339 can write: the years 0000 to 9999.
    private static let writable: ClosedRange<Int64> = -62_167_219_200_000...253_402_300_799_999

    /// RFC 3339 in UTC with milliseconds, 24 bytes of ASCII. A time outside the years 0000 to 9999 is written as
    /// the nearest one inside.
    public var rfc3339: [UInt8] {
        let inside = min(max(milliseconds, Self.writable.lowerBound), Self.writable.upperBound)
        let (days, inDay) = inside.flooredDivision(by: 86_400_000)
        let (year, month, day) = CivilDate.from(days: days)
        var out: [UInt8] = []
        out.reserveCapacity(24)
        func digit(_ value: Int64) { out.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value % 10)) }
        func put(_ value: Int64, _ width: Int) {
            if width > 3 { digit(value / 1_000) }
            if width > 2 { digit(value / 100) }
            digit(value / 10)
            digit(value)
        }
        put(year, 4); out.append(UInt8(ascii: "-")); put(month, 2); out.append(UInt8(ascii: "-")); put(day, 2)
        out.append(UInt8(ascii: "T")); put(inDay / 3_600_000, 2)
        out.append(UInt8(ascii: ":")); put(inDay / 60_000 % 60, 2)
        out.append(UInt8(ascii: ":")); put(inDay / 1_000 % 60, 2)
        out.append(UInt8(ascii: ".")); put(inDay % 1_000, 3)
        out.append(UInt8(ascii: "Z"))
        return out
    }

    /// Reads RFC 3339: `2026-08-01T12:00:00Z`, with any number of fraction digits (cut to milliseconds) and an
    /// offset. A leap second reads as the first instant of the next minute. Nil when it is anything else, or when the
    /// offset moves it out of the years 0000 to 9999.
    public init?(rfc3339 text: some StringProtocol) {
        var reader = DigitReader(Array(text.utf8))
        guard let year = reader.digits(4), reader.take("-"), let month = reader.digits(2), reader.take("-"),
            let day = reader.digits(2), reader.take("T") || reader.take("t") || reader.take(" "),
            let hour = reader.digits(2), reader.take(":"), let minute = reader.digits(2), reader.take(":"),
            let second = reader.digits(2)
        else { return nil }
        var fraction: Int64 = 0
        if reader.take(".") {
            guard let millis = reader.fraction() else { return nil }
            fraction = millis
        }
        var offset: Int64 = 0
        if !(reader.take("Z") || reader.take("z")) {
            let sign: Int64
            if reader.take("+") { sign = 1 } else if reader.take("-") { sign = -1 } else { return nil }
            guard let hours = reader.digits(2), reader.take(":"), let minutes = reader.digits(2), hours < 24,
                minutes < 60
            else { return nil }
            offset = sign * (hours * 60 + minutes)
        }
        guard reader.atEnd, (1...12).contains(month), (1...CivilDate.length(ofMonth: month, year: year)).contains(day),
            hour < 24, minute < 60, second <= 60
        else { return nil }
        let days = CivilDate.days(year: year, month: month, day: day)
        let seconds = days * 86_400 + hour * 3_600 + (minute - offset) * 60 + second
        let moment = seconds * 1_000 + fraction
        guard Self.writable.contains(moment) else { return nil }
        milliseconds = moment
    }
}

extension Duration {
    public static func minutes(_ count: Int64) -> Duration { .seconds(count * 60) }
    public static func hours(_ count: Int64) -> Duration { .seconds(count * 3_600) }

    /// Whole milliseconds, cut; the nearest 64-bit number when they do not fit.
    public var milliseconds: Int64 {
        let (product, overflow) = components.seconds.multipliedReportingOverflow(by: 1_000)
        let (sum, carried) = product.addingReportingOverflow(components.attoseconds / 1_000_000_000_000_000)
        return overflow || carried ? (components.seconds < 0 ? .min : .max) : sum
    }
}

/// The proleptic Gregorian calendar, after Howard Hinnant, "chrono-compatible low-level date algorithms".
private enum CivilDate {
    static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
        let y = month <= 2 ? year - 1 : year
        let (era, yearOfEra) = y.flooredDivision(by: 400)
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    static func from(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let (era, dayOfEra) = (days + 719_468).flooredDivision(by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1)
    }

    static func length(ofMonth month: Int64, year: Int64) -> Int64 {
        switch month {
        case 4, 6, 9, 11: 30
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        default: 31
        }
    }
}

extension Int64 {
    fileprivate func flooredDivision(by divisor: Int64) -> (Int64, Int64) {
        let remainder = ((self % divisor) + divisor) % divisor
        return ((self - remainder) / divisor, remainder)
    }
}

/// Not generic over its bytes: two times are read for every alert, and unspecialised generics cost microseconds.
private struct DigitReader {
    private let bytes: [UInt8]
    private var place = 0
    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var atEnd: Bool { place == bytes.count }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard place < bytes.count, bytes[place] == UInt8(ascii: character) else { return false }
        place += 1
        return true
    }

    mutating func digit() -> Int64? {
        guard place < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[place]) else { return nil }
        defer { place += 1 }
        return Int64(bytes[place] - UInt8(ascii: "0"))
    }

    mutating func digits(_ count: Int) -> Int64? {
        var value: Int64 = 0
        for _ in 0..<count {
            guard let next = digit() else { return nil }
            value = value * 10 + next
        }
        return value
    }

    /// One or more digits after the point, as milliseconds.
    mutating func fraction() -> Int64? {
        guard var value = digit() else { return nil }
        var count = 1
        while let next = digit() {
            if count < 3 { value = value * 10 + next }
            count += 1
        }
        while count < 3 {
            value *= 10
            count += 1
        }
        return value
    }
}
