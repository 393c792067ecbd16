/// A program that tells of others, known by a word in the name of its job, service, container or pod: a release may be called
/// `kps` or `monitoring`, that word stays.
enum Exporter: Equatable {
    case kubeStateMetrics, nodeExporter, kubelet, other

    /// Whether it is no application's companion in a pod.
    var isAlone: Bool { self == .kubeStateMetrics || self == .nodeExporter }

    /// Nil when nothing in the name says so.
    init?(_ name: String) {
        var name = name
        // SAFETY: the buffer is read in the closure.
        guard let found = name.withUTF8({ Self.find($0) }) else { return nil }
        self = found
    }

    /// Without a string for each word: up to four names are looked at for every alert.
    // SAFETY: the buffer is read here and not kept.
    private static func find(_ name: UnsafeBufferPointer<UInt8>) -> Exporter? {
        var found: Exporter?
        var (start, last, before) = (0, 0..<0, 0..<0)
        func isWord(_ word: Range<Int>, _ text: StaticString) -> Bool {
            word.count == text.utf8CodeUnitCount && ends(word, text)
        }
        func ends(_ word: Range<Int>, _ text: StaticString) -> Bool {
            let count = text.utf8CodeUnitCount
            guard word.count >= count else { return false }
            for place in 0..<count {
                // SAFETY: below the text's length.
                guard name[word.upperBound - count + place] | 0x20 == text.utf8Start[place] else { return false }
            }
            return true
        }
        for place in 0...name.count {
            if place < name.count, isLetterOrDigit(name[place]) { continue }
            let word = start..<place
            start = place + 1
            switch word.count {
            case 3 where isWord(word, "ksm"): return .kubeStateMetrics
            case 7 where isWord(word, "kubelet"): found = .kubelet
            // Of OpenShift and Crossplane too.
            case 7 where isWord(word, "metrics") && isWord(last, "state") && !before.isEmpty: return .kubeStateMetrics
            case 8 where isWord(word, "cadvisor"): found = .kubelet
            case 16 where isWord(word, "kubestatemetrics"): return .kubeStateMetrics
            case 8... where ends(word, "exporter"):
                let isOfNodes = isWord(word, "nodeexporter") || isWord(last, "node") || isWord(last, "windows")
                if isOfNodes { return .nodeExporter }
                found = found ?? .other
            default: break
            }
            (before, last) = (last, word)
        }
        return found
    }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), 0x80...:
            true
        default: false
        }
    }
}
