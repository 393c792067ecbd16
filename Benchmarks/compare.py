#!/usr/bin/env -S python3 -B
"""compare.py BASE NEW: two executables under the same load, in turns, and the ratio of each pair."""
from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from bench import figure, machine, save
from load import Run, send
from measures import KINDS, SHAPES
from systems import Bench, Failure


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    words = parser.parse_args()
    executables = (words.base.resolve(), words.new.resolve())
    pairs: dict[tuple[int, str], list[tuple[Run, Run]]] = {(alerts, kind): [] for alerts in SHAPES for kind in KINDS}
    with Bench(executables[0], words.rounds, words.seconds) as bench:
        about = machine(bench.work.parent)
        for turn in range(bench.rounds):
            for (alerts, kind), runs in pairs.items():
                pair = []
                # Who is first changes from round to round: what warms up or wears out is shared.
                for executable in executables if turn % 2 == 0 else executables[::-1]:
                    with bench.host(executable=executable) as host:
                        pair.append(send(host, kind, alerts, bench.seconds))
                runs.append((pair[0], pair[1]) if turn % 2 == 0 else (pair[1], pair[0]))
    print("\n".join(f"{name}: {text}" for name, text in about.items()))
    print(f"\n{words.rounds} pairs, new over base: more is better for the rate, less for the host's CPU and the p99\n")
    lines, content = [], []
    for (alerts, kind), runs in pairs.items():
        for what, of in (("alerts/s", lambda run: run.rate * alerts), ("host's CPU, µs an alert", lambda run: run.cost["host"] / alerts * 1e6),
                         ("p99, ms", lambda run: run.p99)):
            base, new = ([of(pair[side]) for pair in runs] for side in (0, 1))
            ratios = [after / before for before, after in zip(base, new, strict=True)]
            lines.append(f"{alerts:>3} a request, {kind:<9} {what:<24} {figure(statistics.median(base)):>8} → "
                         f"{figure(statistics.median(new)):>8}  × {statistics.median(ratios):.3f}   pairs: "
                         + " ".join(f"{ratio:.3f}" for ratio in ratios))
            content.append({"alerts": alerts, "kind": kind, "what": what, "base": base, "new": new})
    print("\n".join(lines))
    print(f"\n{save('compare', {'machine': about, 'pairs': content})}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"compare: {failure}")
