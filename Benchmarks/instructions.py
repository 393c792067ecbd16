#!/usr/bin/env -S python3 -B
"""instructions.py EXECUTABLE [--write]: instructions of the host per alert, counted by valgrind's callgrind: no noise of the
machine is in them. Fails when one is more than 5 % above its line in instructions.txt; --write writes that file.

The host is the real one, with its embedded Redis; the Redis is not counted. One connection, one request after the other, so
the work is the same each time. What is counted lies between two dumps, from a host that is warm."""
from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from load import HERE, Bodies, Sender
from systems import Bench, Failure, Host

RECORDED = HERE / "instructions.txt"
ALLOWED = 1.05
# What is counted: alerts a request, whether they are new, requests; three times, and the least is taken: timers, and bodies that
# come in more pieces, only ever add.
COUNTED = {"repeated-64": (64, False, 100), "repeated-1": (1, False, 1000), "new-64": (64, True, 40)}
TIMES = 3


class Counted:
    """A host under callgrind. Hashes of Swift's are the same in each run, or the order of its dictionaries would differ."""

    def __init__(self, bench: Bench) -> None:
        self.directory = bench.fresh("callgrind")
        self.dumps = 0
        # Debian 12's valgrind cannot read this compiler's DWARF and gives up; names of functions are no part of it.
        stripped = self.directory / "portcullis"
        subprocess.run(["strip", "--strip-debug", "-o", str(stripped), str(bench.executable)], check=True)
        shim = self.directory / "sigsuspend.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", str(shim), str(HERE / "sigsuspend.c")], check=True)
        self.host = Host(bench, stripped, wrapper=(
            "env", f"LD_PRELOAD={shim}", "SWIFT_DETERMINISTIC_HASHING=1",
            "valgrind", "--tool=callgrind", "--trace-children=no", f"--callgrind-out-file={self.directory}/out"))
        self.bodies, self.sender = Bodies(), Sender(self.host.port)

    def dump(self, word: str) -> Path:
        """Writes what was counted since the last dump, and begins with none."""
        self.dumps += 1
        subprocess.run(["callgrind_control", f"--dump={word}", str(self.host.pid)], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        path = self.directory / f"out.{self.dumps}"
        end = time.monotonic() + 60
        while not path.exists() or not re.search(r"^totals: \d+", path.read_text(errors="replace"), re.MULTILINE):
            if time.monotonic() > end:
                raise Failure(f"callgrind wrote no {path.name}")
            time.sleep(0.1)
        return path

    def post(self, alerts: int, new: bool, requests: int, word: str) -> None:
        for turn in range(requests):
            name = f"{word}{turn:06}" if new else f"Repeated{alerts}"
            status = self.sender.post(self.bodies.body([f"{name}x{place:02}" for place in range(alerts)]))
            if status != 200:
                raise Failure(f"{status} for {alerts} alerts")

    def count(self, alerts: int, new: bool, requests: int) -> tuple[float, Path]:
        """The least instructions per alert, and their dump."""
        self.post(alerts, new, max(20, requests // 5), "Warm")
        self.settle()
        self.dump("before")
        counts = []
        for turn in range(TIMES):
            self.post(alerts, new, requests, f"New{turn}x")
            if new:
                self.settle()
            path = self.dump("after")
            found = re.search(r"^totals: (\d+)", path.read_text(errors="replace"), re.MULTILINE)
            assert found
            counts.append((int(found[1]) / (requests * alerts), path))
        return min(counts)

    def settle(self) -> None:
        """Deliveries are the host's work too, and belong to the alerts that made them."""
        client, end = self.host.client(), time.monotonic() + 60
        while client.call("ZCARD", "{portcullis}:q:file") != 0:
            if time.monotonic() > end:
                raise Failure("what waits was never delivered")
            time.sleep(0.05)
        client.close()


def recorded() -> dict[str, int]:
    if not RECORDED.exists():
        return {}
    return {name: int(count) for name, count in re.findall(r"^(\S+)\s+(\d+)$", RECORDED.read_text(), re.MULTILINE)}


def top(path: Path, lines: int) -> str:
    """The functions with most instructions of their own. Not by callgrind_annotate, which gives a thread's first function all
    of what is under way in it when a dump is written."""
    spent: Counter[str] = Counter()
    names: dict[str, str] = {}
    function, called = "", False
    for line in path.read_text(errors="replace").splitlines():
        if found := re.match(r"(c?fn)=\((\d+)\)(?: (.*))?", line):
            if found[3]:
                names[found[2]] = found[3]
            function = found[2] if found[1] == "fn" else function
        elif line.startswith("calls="):
            called = True
        elif found := re.match(r"[-+*\d]\S* (\d+)$", line):
            # The line after a call is what was spent in it.
            spent[function] += 0 if called else int(found[1])
            called = False
    whole = spent.total()
    text = "\n".join(f"  {100 * count / whole:4.1f} %  {names[function]}" for function, count in spent.most_common(lines))
    plain = subprocess.run(["swift", "demangle", "--simplified"], input=text, stdout=subprocess.PIPE, text=True, check=True)
    return "\n".join(line[:140] for line in plain.stdout.splitlines())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("executable", type=Path)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--top", type=int, default=12, help="functions to print")
    words = parser.parse_args()
    before, counts, failed = recorded(), {}, False
    with Bench(words.executable.resolve()) as bench:
        counted = Counted(bench)
        for name, (alerts, new, requests) in COUNTED.items():
            count, path = counted.count(alerts, new, requests)
            counts[name] = round(count)
            against = ""
            if name in before:
                ratio = count / before[name]
                failed = failed or ratio > ALLOWED
                against = f", {before[name]} recorded: × {ratio:.3f}{' TOO MANY' if ratio > ALLOWED else ''}"
            elif not words.write:
                raise Failure(f"{RECORDED.name} has no line for {name}: make instructions-write writes it")
            print(f"{name}: {round(count)} instructions an alert{against}\n{top(path, words.top)}", flush=True)
    if words.write:
        RECORDED.write_text("# Instructions of the host per alert, by instructions.py --write: kind and alerts a request.\n"
                            + "".join(f"{name} {count}\n" for name, count in counts.items()))
    elif failed:
        print(f"instructions: more than {round(100 * ALLOWED - 100)} % above {RECORDED.name}", file=sys.stderr)
    return 1 if failed and not words.write else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"instructions: {failure}")
