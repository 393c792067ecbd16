#!/usr/bin/env -S python3 -B
"""scaling.py EXECUTABLE: alerts/s with more hosts on one Redis, more connections, larger requests and more fingerprints, and
what is busy then. A table, and the samples as JSON in results/."""
from __future__ import annotations

import argparse
import statistics
import sys
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import figure, machine, save
from load import CONNECTIONS, FINGERPRINTS, Run, Wrk, send
from measures import spaced
from systems import CORES, PIN, Bench, Failure, Host, Process, apart

AXES: dict[str, tuple[int, ...]] = {
    "hosts on one Redis": (1, 2, 4),
    "connections": (1, 10, 100, 1000),
    "alerts a request": (1, 8, 64, 512),
    "known fingerprints": (1_000, 10_000, 100_000, 1_000_000),
}


@dataclass
class Point:
    """One place of one axis: medians over the rounds."""

    axis: str
    at: int
    kind: str
    alerts: int
    rates: list[float]
    p99: float
    busy: dict[str, float]

    @property
    def limit(self) -> str:
        """What has no more to give. On cores of their own a process is at its end before it is at 100 %."""
        if self.busy["redis"] > 0.85:
            return "Redis's one thread"
        if PIN and self.busy["host"] + self.busy["wrk"] > 0.85 * max(1, len(CORES) - 1):
            return "the cores of host and sender"
        return "the way there and back, with its fsync"


class Together(Process):
    """Several processes as one."""

    def __init__(self, processes: list[Host]) -> None:
        self.processes = processes

    def cpu(self) -> float:
        return sum(process.cpu() for process in self.processes)


def hosts(bench: Bench, count: int, kind: str) -> Run:
    """Hosts share a Redis; each has senders of its own, all connections together as many as one host has."""
    with bench.redis() as redis, ExitStack() as stack:
        running = [stack.enter_context(bench.host(redis=redis)) for _ in range(count)]
        each = max(1, CONNECTIONS // count)

        def all_send(seconds: float, some: bool = True) -> list[Run]:
            watched: dict[str, Process] = {"host": Together(running), "redis": redis}
            sending = [Wrk(host.url, kind, 64, seconds, each, watched=watched if place == 0 else None)
                       for place, host in enumerate(running)]
            return [one.result(some) for one in sending]

        all_send(1, some=False)
        runs = all_send(bench.seconds)
    busy = runs[0].busy | {"wrk": sum(run.busy["wrk"] for run in runs)}
    return Run(sum(run.rate for run in runs), sum(run.count for run in runs), 0, max(run.p99 for run in runs), 0, busy)


def filled(bench: Bench, fingerprints: int) -> Run:
    with bench.host() as host:
        sent = 0
        while sent < fingerprints // 64:
            run = Wrk(host.url, "repeated", 64, max(1, min(20, fingerprints / 20_000)), fingerprints=fingerprints).result()
            # Each run begins with the first name again: one that sent fewer than all has to be longer.
            if run.count < fingerprints // 64:
                run = Wrk(host.url, "repeated", 64, 1.5 * fingerprints / 64 / run.rate + 20, fingerprints=fingerprints).result()
            sent = run.count
        host.drained()
        return send(host, "repeated", 64, bench.seconds, fingerprints=fingerprints, warm=0)


def measure(bench: Bench, axis: str, at: int, kind: str) -> tuple[int, Run]:
    if axis == "hosts on one Redis":
        return 64, hosts(bench, at, kind)
    if axis == "known fingerprints":
        return 64, filled(bench, at)
    alerts = at if axis == "alerts a request" else 1
    connections = at if axis == "connections" else CONNECTIONS
    with bench.host() as host:
        return alerts, send(host, kind, alerts, bench.seconds, connections)


def table(points: list[Point]) -> list[list[str]]:
    lines = [["axis", "at", "alerts", "alerts/s", "min–max", "p99 ms", "cores busy: Redis, hosts, senders", "what limits"]]
    for point in points:
        busy = ", ".join(f"{point.busy[name]:.2f}" for name in ("redis", "host", "wrk"))
        spread = f"{figure(min(point.rates))}–{figure(max(point.rates))}"
        lines.append([f"{point.axis}, {point.alerts} a request" if point.axis != "alerts a request" else point.axis,
                      spaced(point.at), point.kind, figure(statistics.median(point.rates)), spread,
                      f"{point.p99:.1f}", busy, point.limit])
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("executable", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--most", type=int, default=1_000_000, help="fingerprints at most")
    words = parser.parse_args()
    runs: dict[tuple[str, int, str], list[Run]] = defaultdict(list)
    alerts: dict[tuple[str, int], int] = {}
    with apart(), Bench(words.executable.resolve(), words.rounds, words.seconds) as bench:
        about = machine(bench.work.parent)
        for turn in range(bench.rounds):
            for axis, places in AXES.items():
                for at in places:
                    if axis == "known fingerprints" and at > words.most:
                        continue
                    for kind in ("repeated",) if axis == "known fingerprints" else ("repeated", "new"):
                        print(f"round {turn + 1}: {axis} {at}, {kind} …", file=sys.stderr, flush=True)
                        alerts[axis, at], run = measure(bench, axis, at, kind)
                        runs[axis, at, kind].append(run)
    points = []
    for (axis, at, kind), found in sorted(runs.items(), key=lambda item: (list(AXES).index(item[0][0]), item[0][2] == "new", item[0][1])):
        busy = {name: statistics.median(run.busy[name] for run in found) for name in ("redis", "host", "wrk")}
        points.append(Point(axis, at, kind, alerts[axis, at], [run.rate * alerts[axis, at] for run in found],
                            statistics.median(run.p99 for run in found), busy))
    lines = table(points)
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    print("\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines))
    path = save("scaling", {"machine": about, "rounds": words.rounds, "seconds": words.seconds, "fingerprints": FINGERPRINTS,
                            "table": lines, "points": [asdict(point) for point in points]})
    print(f"\n{path}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"scaling: {failure}")
