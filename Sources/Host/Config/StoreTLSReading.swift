import NIOCore
import Redis
import SignalKit

extension HostConfiguration.State {
    /// Reads the keys below `state.redis.tls`. Nil when they are not there or can't be used.
    /// - Parameter ways: which of embedded, url and sentinel the file gives.
    static func tls(
        _ redis: inout ConfigReader, _ ways: [String], _ url: RedisURL?, _ findings: Findings
    ) -> RedisTLS? {
        guard redis.has("tls") || redis.isDescribing else { return nil }
        if !redis.isDescribing, let misplaced = misplaced(ways, url) { redis.report("tls", misplaced) }
        let read = findings.attempt { () throws(ConfigError) in
            try redis.section("tls") { tls throws(ConfigError) -> RedisTLS in
                let authorities = tls.file("ca", required: false)
                let certificate = tls.file("certificate", required: false)
                let key = tls.file("key", required: false)
                let name = tls.shaped("server_name", kind: "text", bounds: "") { text throws(Misshapen) in
                    try serverName(text)
                }
                for (one, other) in [("certificate", "key"), ("key", "certificate")]
                where tls.has(one) && !tls.has(other) {
                    tls.report(one, "\(one) goes with \(other): give both, or none")
                }
                return RedisTLS(authorities: authorities, certificate: certificate, key: key, serverName: name)
            }
        }
        guard let read, !redis.isDescribing else { return nil }
        // Not an error: the files may be on another machine than the one that the configuration is checked on, and only whoever
        // runs the host needs them. Its start fails without them.
        let node = redis.node("tls", kind: "mapping")
        for fault in read.faults() {
            findings.warn("\(redis.path).tls.\(fault.setting)", node?[fault.setting]?.mark ?? node?.mark, fault.message)
        }
        return read
    }

    /// Why there is nothing to encrypt; nil when there is, or when nobody knows which of the ways is meant.
    private static func misplaced(_ ways: [String], _ url: RedisURL?) -> String? {
        switch (ways, url?.place, url?.isEncrypted) {
        case (["embedded"], _, _):
            "the embedded server listens on a unix socket, where there is nothing to encrypt: remove tls"
        case (["url"], .unix?, _): "on a unix socket there is nothing to encrypt: remove tls"
        case (["url"], .tcp?, false?):
            "the url begins with redis://, which is plain text: write rediss://, or remove tls"
        default: nil
        }
    }

    /// A name that a certificate can be for.
    private static func serverName(_ text: String) throws(Misshapen) -> String {
        guard (try? SocketAddress(ipAddress: text, port: 0)) == nil else {
            throw Misshapen(
                "\(text) is an address: leave server_name out, the address that is connected to is verified")
        }
        let fine = text.utf8.allSatisfy {
            switch $0 {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "-.".utf8.contains($0)
            }
        }
        guard fine, text.utf8.count <= 253 else { throw Misshapen("expected a name of letters, digits, - and .") }
        return text
    }
}
