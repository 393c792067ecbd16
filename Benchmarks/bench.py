#!/usr/bin/env -S python3 -B
"""bench.py EXECUTABLE: every target of docs/performance.md, measured; a table, and the same with all samples as JSON in results/.

A target that is missed is a line of the table. An answer that is not a 2xx, or a server that ends, fails the run."""
from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import measures
from measures import Row, spaced
from systems import CORES, PIN, Bench, Failure

RESULTS = Path(__file__).resolve().parent / "results"
GROUPS = ("rates", "latency", "memory", "store", "delivery", "large", "start", "outage")


def _said(*words: str) -> str:
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout.splitlines()[0] if done.stdout else ""


def machine(directory: Path) -> dict[str, str]:
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    system = _said("findmnt", "--noheadings", "--output", "FSTYPE", "--target", str(directory))
    return {
        "processor": f"{model[1] if model else platform.machine()}, {len(CORES)} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / (1 << 30):.0f} GiB",
        "kernel": platform.release(),
        "disk": f"{directory} on {system or 'an unknown file system'}",
        "Redis": _said("redis-server", "--version").split(" sha")[0].removeprefix("Redis server "),
        "Alertmanager": _said("prometheus-alertmanager", "--version").split(" (")[0].removeprefix("alertmanager, version "),
        "wrk": _said("wrk", "--version").split(" [")[0].removeprefix("wrk "),
    } | ({} if PIN else {"cores": "all left to the kernel (PIN=0)"})


def figure(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ") if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def cells(row: Row) -> list[str]:
    spread = f"{figure(min(row.values))}–{figure(max(row.values))}" if len(row.values) > 1 else ""
    bound = "" if row.bound is None else f"{'≥' if row.at_least else '≤'} {spaced(row.bound)}"
    met = {True: "met", False: "MISSED", None: ""}[row.met]
    return [row.target, row.what, f"{figure(row.median)} {row.unit}", spread, bound, met, row.note]


def table(rows: list[Row]) -> str:
    lines = [["", "what", "measured", "min–max", "bound", "", "how"], *map(cells, rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(6)]
    return "\n".join("  ".join([*(cell.ljust(width) for cell, width in zip(line, widths)), line[6]]).rstrip() for line in lines)


def save(name: str, content: dict[str, object]) -> Path:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}-{time.strftime('%Y-%m-%dT%H%M%S')}.json"
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("executable", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--full", action="store_true", help="10 million requests and 1 million fingerprints for the memory")
    parser.add_argument("--only", default=",".join(GROUPS), help="some of " + ",".join(GROUPS))
    words = parser.parse_args()
    only = words.only.split(",")
    if "latency" in only and "rates" not in only or set(only) - set(GROUPS):
        parser.error("--only: unknown, or latency without the rates that it halves")
    rows: list[Row] = []
    with Bench(words.executable.resolve(), words.rounds, words.seconds, words.full) as bench:
        about = machine(bench.work.parent)
        print("\n".join(f"{name}: {text}" for name, text in about.items()), flush=True)
        found = measures.Rates()
        for group in GROUPS:
            if group not in only:
                continue
            print(f"measuring {group} …", file=sys.stderr, flush=True)
            if group == "rates":
                more, found = measures.rates(bench)
            elif group == "latency":
                more = measures.latency(bench, found)
            else:
                more = getattr(measures, group)(bench)
            rows += more
    rows.sort(key=lambda row: int(row.target or 99))
    print(f"\nmedians of {words.rounds} rounds of {words.seconds:g} s, in turns\n\n{table(rows)}")
    # The document is made of whole runs only.
    path = save("bench" if set(only) == set(GROUPS) else "part", {"machine": about, "rounds": words.rounds, "seconds": words.seconds, "full": words.full,
                          "rows": [asdict(row) | {"median": row.median, "met": row.met} for row in rows]})
    print(f"\n{path}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"bench: {failure}")
