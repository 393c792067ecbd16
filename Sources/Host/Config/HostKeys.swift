import SignalKit

/// Shapes of the host's own keys.
extension ConfigReader {
    /// A key of a shape that `parse` knows. What is wrong is recorded; nil then, and when it is absent.
    mutating func shaped<Value>(
        _ key: String, kind: String, bounds: String, required: Bool = false, fallback: String = "none",
        _ parse: (String) throws(Misshapen) -> Value
    ) -> Value? {
        guard let node = node(key, kind: kind, fallback: required ? nil : fallback, bounds: bounds) else {
            if required, !isDescribing {
                report(key, "\(key) is required: \(kind)\(bounds.isEmpty ? "" : ", \(bounds)")")
            }
            return nil
        }
        guard case .scalar(let text, _) = node.content, !text.isEmpty else {
            report(key, "expected \(bounds.isEmpty ? "a \(kind)" : bounds), found \(node.described)")
            return nil
        }
        guard !text.utf8.contains(0) else {
            report(key, "a NUL can't stand here")
            return nil
        }
        do {
            return try parse(text)
        } catch {
            report(key, error.message)
            return nil
        }
    }

    mutating func file(_ key: String, required: Bool = true) -> String? {
        shaped(key, kind: "path", bounds: "", required: required) { text throws(Misshapen) in
            guard text.utf8.count <= 4_095 else { throw Misshapen("longer than 4095 bytes") }
            return text
        }
    }

    /// A file with a secret, which is read when it is needed. One that can't be read now is a warning and no error: it may be on another
    /// machine than the one on which the configuration is checked.
    mutating func secretFile(_ key: String, required: Bool = true, _ findings: Findings) -> String? {
        guard let path = file(key, required: required) else { return nil }
        do throws(SecretFile.Unreadable) {
            _ = try SecretFile(path: path).read()
        } catch {
            let place = self.path.isEmpty ? key : "\(self.path).\(key)"
            findings.warnOfFile(place, node(key, kind: "path")?.mark, error.description)
        }
        return path
    }

    mutating func address(_ key: String, required: Bool) -> HostConfiguration.Address? {
        shaped(key, kind: "address", bounds: "host:port or [v6]:port", required: required) { text throws(Misshapen) in
            try HostConfiguration.Address(text)
        }
    }

    /// A list of mappings, each of which is read by itself.
    mutating func items(_ key: String, required: Bool, bounds: String) -> [ConfigNode] {
        guard let node = node(key, kind: "list", fallback: required ? nil : "[]", bounds: bounds) else {
            if required, !isDescribing { report(key, "\(key) is required: \(bounds)") }
            return []
        }
        switch node.content {
        case .list(let items):
            if items.isEmpty, required { report(key, "expected \(bounds), found none") }
            return items
        case .null where !required: return []
        default:
            report(key, "expected a list, found \(node.described)")
            return []
        }
    }

    /// What this version knows of, and does not have. Declares nothing.
    mutating func refuse(_ key: String, _ message: String) {
        guard has(key) else { return }
        _ = node(key)
        report(key, message)
    }
}

/// A text that is not of the shape its key asks for.
struct Misshapen: Error {
    let message: String
    init(_ message: String) { self.message = message }
}

extension HostConfiguration.Address: CustomStringConvertible {
    /// Reads `127.0.0.1:8080`, `host.example:8080`, `[::1]:8080`.
    init(_ text: String) throws(Misshapen) {
        guard let colon = text.lastIndex(of: ":") else {
            throw Misshapen("\(text) has no port: write host:port, such as 127.0.0.1:8080")
        }
        var name = text[..<colon]
        let digits = text[text.index(after: colon)...]
        guard let port = Int(digits), (1...65_535).contains(port), digits.allSatisfy(\.isNumber) else {
            throw Misshapen("\(digits) is no port: 1 to 65535")
        }
        if name.hasPrefix("["), name.hasSuffix("]") {
            name = name.dropFirst().dropLast()
            guard name.contains(":"), name.allSatisfy({ $0.isHexDigit || $0 == ":" || $0 == "." || $0 == "%" }) else {
                throw Misshapen("\(name) is no IPv6 address")
            }
        } else {
            guard !name.contains(":") else { throw Misshapen("an IPv6 address stands in brackets: [\(name)]:\(port)") }
            guard !name.isEmpty else { throw Misshapen("the host is missing: write 0.0.0.0:\(port) for all addresses") }
            guard name.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "-._".contains($0)) }) else {
                throw Misshapen("\(name) is no host name")
            }
        }
        self.init(host: String(name), port: port)
    }

    var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// Whether a byte may stand in a name, or in an address of version 4.
    static func isOfName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "-._".utf8.contains(byte)
        }
    }

    /// Only this machine reaches it.
    var isLoopback: Bool {
        if host == "localhost" || host == "::1" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    /// Where to connect to: an address that stands for all of the machine's is none to connect to.
    var reachable: HostConfiguration.Address {
        switch host {
        case "0.0.0.0": HostConfiguration.Address(host: "127.0.0.1", port: port)
        case "::": HostConfiguration.Address(host: "::1", port: port)
        default: self
        }
    }
}
