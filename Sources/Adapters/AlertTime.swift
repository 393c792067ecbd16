import SignalKit

/// A time as Alertmanager's API reads it (go-openapi's `strfmt.DateTime`): RFC 3339, and what scripts write, such as Python's
/// `isoformat()`. A time without a zone is UTC.
///
/// Taken: a comma before the fraction; no zone; no seconds; a blank for the T, then without a zone; `+0200` behind a fraction
/// of 3 or 6 digits; an hour of one digit; a date alone (since strfmt 0.23). Refused, as there: `t` and `z`, second 60.
enum AlertTime {
    /// A nanosecond time has 35 bytes.
    private static let longest = 128

    /// Nil when it is no such time.
    // SAFETY: the buffer is read here and not kept.
    static func read(_ text: UnsafeBufferPointer<UInt8>) -> Timestamp? {
        // The usual form first: two times are read for every alert.
        if text.count >= 20, text[10] == UInt8(ascii: "T"), text[text.count - 1] == UInt8(ascii: "Z"),
            text[17] < UInt8(ascii: "6"), let time = Timestamp(rfc3339: text)
        {
            return time
        }
        guard (10...longest).contains(text.count) else { return nil }
        var form = Form(text)
        return form.read()
    }

    /// One pass over the other forms.
    private struct Form {
        private var rest: ArraySlice<UInt8>
        /// The same time as RFC 3339 without its zone.
        private var plain: [UInt8]

        // SAFETY: the buffer is copied here.
        init(_ text: UnsafeBufferPointer<UInt8>) {
            let bytes = Array(text)
            (plain, rest) = (Array(bytes[..<10]), bytes[10...])
        }

        mutating func read() -> Timestamp? {
            guard !rest.isEmpty else { return utc("T00:00:00") }
            let isBlank = take(" ")
            guard isBlank || take("T"), clock() else { return nil }
            guard take(":") else {
                // No seconds: a zone other than Z is not taken either.
                return !isBlank && (rest.isEmpty || (take("Z") && rest.isEmpty)) ? utc(":00") : nil
            }
            guard let second = pair(), second < 60 else { return nil }
            plain += ":".utf8 + Self.digits(second)
            let fraction = fraction()
            if rest.isEmpty { return utc() }
            guard !isBlank, let offset = offset(after: fraction), rest.isEmpty else { return nil }
            return utc()?.advanced(by: .minutes(-offset))
        }

        private func utc(_ end: String = "") -> Timestamp? {
            Timestamp(rfc3339: String(decoding: plain + Array((end + "Z").utf8), as: UTF8.self))
        }

        private mutating func clock() -> Bool {
            guard let first = digit() else { return false }
            let hour = digit().map { first * 10 + $0 } ?? first
            guard take(":"), let minute = pair() else { return false }
            plain += "T".utf8 + Self.digits(hour) + ":".utf8 + Self.digits(minute)
            return true
        }

        /// - Returns: how many digits it has; a point without a digit stays.
        private mutating func fraction() -> Int {
            guard let mark = rest.first, mark == UInt8(ascii: ".") || mark == UInt8(ascii: ",") else { return 0 }
            let digits = rest.dropFirst().prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            guard !digits.isEmpty else { return 0 }
            plain += ".".utf8 + digits
            rest = rest.dropFirst(1 + digits.count)
            return digits.count
        }

        /// Minutes east of UTC. Go takes 24 hours and 60 minutes too.
        private mutating func offset(after fraction: Int) -> Int64? {
            if take("Z") { return 0 }
            let isWest = take("-")
            guard isWest || take("+"), let hours = pair() else { return nil }
            let hasColon = take(":")
            guard hasColon || fraction == 3 || fraction == 6, let minutes = pair(), hours <= 24, minutes <= 60 else {
                return nil
            }
            return (isWest ? -1 : 1) * Int64(hours * 60 + minutes)
        }

        private mutating func take(_ character: Unicode.Scalar) -> Bool {
            guard rest.first == UInt8(ascii: character) else { return false }
            rest.removeFirst()
            return true
        }

        private mutating func digit() -> Int? {
            guard let byte = rest.first, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            rest.removeFirst()
            return Int(byte - UInt8(ascii: "0"))
        }

        private mutating func pair() -> Int? {
            guard let tens = digit(), let ones = digit() else { return nil }
            return tens * 10 + ones
        }

        private static func digits(_ number: Int) -> [UInt8] {
            [UInt8(ascii: "0") + UInt8(number / 10), UInt8(ascii: "0") + UInt8(number % 10)]
        }
    }
}
