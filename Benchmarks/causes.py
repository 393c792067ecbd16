#!/usr/bin/env -S python3 -B
"""causes.py EXECUTABLE: what docs/performance.md says of what is missed, in Redis's own words. What its thread is busy with while the intake of new
alerts is saturated (its slow log, which keeps every call for half a second), and the longest fsync beside each p99 (its latency monitor)."""
from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from pathlib import Path

from load import Wrk, send
from systems import Bench

RATES, ROUNDS, SECONDS = {"repeated": 6_000, "new": 4_500}, 4, 4.0


def calls(bench: Bench) -> None:
    with bench.host() as host:
        wrk, client = Wrk(host.url, "new", 64, 5), host.client()
        time.sleep(2)
        client.call("CONFIG", "SET", "slowlog-max-len", "100000")
        client.call("CONFIG", "SET", "slowlog-log-slower-than", "0")
        began = time.monotonic()
        time.sleep(0.5)
        client.call("CONFIG", "SET", "slowlog-log-slower-than", "-1")
        spent = time.monotonic() - began
        rows = client.call("SLOWLOG", "GET", "100000")
        wrk.result()
        assert isinstance(rows, list)
        # A session's token has 16 characters; the gate begins with the store's birth, a reading.
        found: dict[str, list[int]] = defaultdict(list)
        for row in rows:
            words = row[3]
            if words[0].lower() != b"evalsha":
                continue
            if words[4].isdigit() and len(words[4]) > 12:
                name = "gate"
            elif len(words[5]) == 16:
                name = "acknowledge"
            else:
                name = "claim" if len(words) == 10 and len(words[7]) == 16 else "other"
            found[name].append(row[2])
        print(f"Redis's thread at saturated new alerts, 64 a request, {spent:.1f} s:")
        for name, times in sorted(found.items()):
            print(f"  {name:12} {len(times):5} calls, mean {sum(times) / len(times):6.0f} µs, {sum(times) / spent / 1e4:5.1f} % of the time")
        client.close()


def stalls(bench: Bench) -> None:
    for kind, rate in RATES.items():
        print(f"p99 at {rate} {kind} alerts/s, one a request, {SECONDS:.0f} s each, and the longest fsync meanwhile:")
        for _ in range(ROUNDS):
            with bench.host() as host:
                client = host.client()
                client.call("CONFIG", "SET", "latency-monitor-threshold", "1")
                run = send(host, kind, 1, SECONDS, connections=64, rate=rate)
                events = client.call("LATENCY", "LATEST")
                assert isinstance(events, list)
                longest = [event[3] for event in events if event[0] == b"aof-fsync-always"]
                print(f"  p99 {run.p99:6.1f} ms, median {run.p50:.1f}; fsync {longest[0] if longest else 0} ms")
                client.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("executable", type=Path)
    with Bench(parser.parse_args().executable) as bench:
        calls(bench)
        stalls(bench)
    return 0


if __name__ == "__main__":
    sys.exit(main())
