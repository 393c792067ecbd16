import TestSupport

/// Which cells there are.
enum CellTable {
    struct Absence: Sendable {
        let why: String
        let isSo: @Sendable (Cell) -> Bool
    }

    /// Combinations that do not exist, and why.
    static let absent: [Absence] = [
        Absence(why: "without Sentinels nobody is asked for the master") {
            $0.step == .resolve && $0.store == .plain
        },
        Absence(why: "without replicas nobody is waited for") { $0.step == .wait && $0.store == .plain },
        Absence(why: "without replicas there are no links to them") {
            $0.fault.isOnReplication && $0.store == .plain
        },
        Absence(why: "without Sentinels nobody fails over") {
            [.failoverKill, .failoverByHand].contains($0.fault) && $0.store == .plain
        },
        Absence(why: "behind Sentinels a master that is killed is a failover: failover-kill") {
            $0.fault == .masterKill && $0.store == .sentinel
        },
        Absence(why: "behind Sentinels a master that became a replica is a failover: failover-by-hand") {
            $0.fault == .readOnly && $0.store == .sentinel
        },
        Absence(why: "behind Sentinels a master that ends is failed over before it is back: failover-kill") {
            $0.fault == .olderFile && $0.store == .sentinel
        },
        Absence(why: "what is lost with its host has one host, and a sink that can be held off") {
            $0.fault == .allLost
                && ($0.step != .sinkWrite || $0.sink != .kubernetes || $0.hosts > 1 || $0.store == .sentinel)
        },
    ]

    static func exists(_ cell: Cell) -> Bool { !absent.contains { $0.isSo(cell) } }

    static let all: [Cell] = {
        var cells: [Cell] = []
        for step in Cell.Step.allCases {
            for fault in Cell.Fault.allCases {
                for (senders, hosts) in [(1, 1), (3, 1), (1, 2), (3, 2)] {
                    for store in Cell.Store.allCases {
                        for sink in Cell.SinkKind.allCases {
                            cells.append(Cell(step, fault, senders: senders, hosts: hosts, store, sink))
                        }
                    }
                }
            }
        }
        return cells.filter(exists)
    }()

    /// Every fault at two steps, every step with several faults, and every number of senders and hosts, store and sink with many.
    static let slice: [Cell] = {
        let (steps, faults) = (Cell.Step.allCases, Cell.Fault.allCases)
        var cells: [Cell] = []
        for place in 0..<faults.count * 2 {
            let (fault, round) = (faults[place % faults.count], place / faults.count)
            // Seven has no divisor with ten in common: every step has its turn, and neighbours are not alike.
            let candidates = steps.indices.map { steps[(place * 7 + round + $0) % steps.count] }.flatMap { step in
                [place.isMultiple(of: 2), !place.isMultiple(of: 2)].map { plain in
                    Cell(
                        step, fault, senders: (place + round) % 2 == 0 ? 3 : 1,
                        // A session is ended by another host.
                        hosts: fault.endsSessions || place / 2 % 2 == 0 ? 2 : 1,
                        plain ? .plain : .sentinel, place % 3 == 0 ? .kubernetes : .jsonl)
                }
            }
            let cell = candidates.first { exists($0) && !cells.contains($0) } ?? all.first { $0.fault == fault }
            if let cell, !cells.contains(cell) { cells.append(cell) }
        }
        return cells
    }()

    static func random(_ random: inout SeededRandom) -> Cell {
        // Each fault as often as any other, however many cells it has.
        let fault = Cell.Fault.allCases.randomElement(using: &random)
        return all.filter { $0.fault == fault }.randomElement(using: &random) ?? all[0]
    }
}
