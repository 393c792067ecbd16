import JSON
import Logging
import SignalKit

/// One JSON object a line on standard error: `{"ts":…,"level":…,"msg":…,"label":…,<metadata>}`.
struct JSONLogHandler: LogHandler {
    var logLevel: Logger.Level = .info
    var metadata: Logger.Metadata = [:]
    let label: String

    init(label: String) { self.label = label }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        LogWriter.standardError.add(
            Self.line(
                level: event.level, message: event.message.description, label: label,
                metadata: metadata.merging(event.metadata ?? [:]) { $1 }, now: .now))
    }

    static func line(
        level: Logger.Level, message: String, label: String, metadata: Logger.Metadata, now: Timestamp
    ) -> [UInt8] {
        var out = JSONWriter(reserving: 256)
        out.beginObject()
        out.member("ts", now.description)
        out.member("level", level.rawValue)
        out.member("msg", message)
        out.member("label", label)
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            out.key(key)
            write(value, to: &out)
        }
        out.endObject()
        out.endLine()
        return out.bytes
    }

    private static func write(_ value: Logger.MetadataValue, to out: inout JSONWriter) {
        switch value {
        case .string(let text): out.string(text)
        case .stringConvertible(let number as any BinaryInteger): out.integer(Int64(clamping: number))
        case .stringConvertible(let other): out.string("\(other)")
        case .array(let items):
            out.beginArray()
            for item in items { write(item, to: &out) }
            out.endArray()
        case .dictionary(let members):
            out.beginObject()
            for (key, member) in members.sorted(by: { $0.key < $1.key }) {
                out.key(key)
                write(member, to: &out)
            }
            out.endObject()
        }
    }
}
