/// What a request is called in its answer and in the log.
enum RequestID {
    /// Whether a sender's own name for its request may be repeated: short, and of letters that need no quotes anywhere.
    static func isSane(_ id: String) -> Bool {
        (1...64).contains(id.utf8.count)
            && id.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                    true
                default: false
                }
            }
    }

    /// For a request that came without one, and for whatever else needs a name of its own: 32 hex digits.
    static func new() -> String { text(.random(in: 0 ... .max), .random(in: 0 ... .max)) }

    fileprivate static func text(_ first: UInt64, _ second: UInt64) -> String {
        String(unsafeUninitializedCapacity: 32) { digits in
            for place in 0..<16 {
                let shift = UInt64(60 - 4 * place)
                digits[place] = Hex.digit(UInt8(truncatingIfNeeded: first >> shift) & 15)
                digits[16 + place] = Hex.digit(UInt8(truncatingIfNeeded: second >> shift) & 15)
            }
            return 32
        }
    }

    /// The names of one connection's requests. The system is asked for randomness once, not for each: names must differ, and
    /// nobody is kept from guessing them.
    struct Sequence {
        private let connection = UInt64.random(in: 0 ... .max)
        private var state = UInt64.random(in: 0 ... .max)

        /// SplitMix64, by Sebastiano Vigna: its 2^64 values are all different.
        mutating func next() -> String {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return RequestID.text(connection, mixed ^ (mixed >> 31))
        }
    }
}
