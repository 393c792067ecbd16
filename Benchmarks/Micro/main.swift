import Glibc
import Host

// What each part of a request's road costs, in nanoseconds an alert: the least of ROUNDS, each of some tenths of a second.
// The alerts are that of alert.json, with names of their own; what else the machine does only ever adds.
let rounds = 7
// The text is on standard input: to read a file is no part of this.
var file = ""
while let line = readLine() { file += line }
let alert = file.replacing("STARTS", with: "2026-01-01T00:00:00.000Z").replacing("ENDS", with: "2099-01-01T00:00:00.000Z")

print("ns an alert                    1 a request  64 a request")
var table: [String: [Int]] = [:]
var order: [String] = []
for alerts in [1, 64] {
    let body = "[" + (0..<alerts).map { alert.replacing("NAME", with: "Micro\($0)") }.joined(separator: ",") + "]"
    guard let path = HotPath(Array(body.utf8)), path.count == alerts else {
        print("the alert can't be read")
        exit(1)
    }
    for part in path.parts {
        let runs = max(1, 20_000 / alerts)
        var least = Duration.seconds(3_600)
        var made = 0
        for _ in 0..<rounds {
            let began = ContinuousClock.now
            for _ in 0..<runs { made &+= part.run() }
            least = min(least, began.duration(to: .now))
        }
        precondition(made != 0, "\(part.name) made nothing")
        if alerts == 1 { order.append(part.name) }
        let (seconds, attoseconds) = (least / (runs * alerts)).components
        table[part.name, default: []].append(Int(seconds) * 1_000_000_000 + Int(attoseconds / 1_000_000_000))
    }
}
for name in order {
    let cells = table[name, default: []].map { String(repeating: " ", count: max(0, 13 - "\($0)".count)) + "\($0)" }
    print(name + String(repeating: " ", count: max(1, 28 - name.count)) + cells.joined())
}
