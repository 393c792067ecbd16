import JSON

/// What an object takes in etcd, where custom resources are JSON as Go writes it.
enum StoredSize {
    /// bytes of an object that is sent: etcd's default `--max-request-bytes` is 1.5 MiB, and the API server adds uid, times, a
    /// second owner's fields and what the sink writes later
    static let most = (1_536 - 64) << 10
    /// bytes of all annotations of an object's metadata, names and values (Kubernetes' own limit is 256 KiB); the
    /// sink adds seven annotations later
    static let mostAnnotations = (256 - 1) << 10

    /// With `managedFields`, in which the API server names each field once more.
    static func bytes(_ tree: JSONTree) -> Int {
        switch tree {
        case .null: 4
        case .boolean(let flag): flag ? 4 : 5
        case .integer(let number): String(number).utf8.count
        case .number: 24
        case .string(let text): bytes(text)
        case .array(let items): items.reduce(2) { $0 + bytes($1) + 1 }
        case .object(let members):
            // `"name":value,` and `"f:name":{},`
            members.reduce(2) { $0 + bytes($1.key) * 2 + 8 + bytes($1.value) }
        }
    }

    /// Of a string with its quotation marks. Go escapes what HTML would read: `<` takes six bytes.
    static func bytes(_ text: String) -> Int {
        var (count, before) = (2, (UInt8(0), UInt8(0)))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: "\t"):
                count += 2
            case ..<0x20, UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "&"): count += 6
            // U+2028 and U+2029, three bytes each
            case 0xA8 where before == (0xE2, 0x80), 0xA9 where before == (0xE2, 0x80): count += 4
            default: count += 1
            }
            before = (before.1, byte)
        }
        return count
    }

    /// bytes of the annotations of an object's metadata
    static func annotationBytes(_ object: [String: JSONTree]) -> Int {
        guard case .object(let annotations)? = object["metadata"]?["annotations"] else { return 0 }
        return annotations.reduce(0) { $0 + $1.key.utf8.count + ($1.value.text?.utf8.count ?? 0) }
    }
}
