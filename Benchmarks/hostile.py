#!/usr/bin/env -S python3 -B
"""hostile.py EXECUTABLE: peak memory of a host for bodies that no honest sender posts, to each adapter's route. Prints for each the memory above that
of the host at rest, by the length of the body, and how long another request waited meanwhile. Fails over 12 times the body, 32 MiB and what the host
remembers to write again (persist.replay): its buffer is empty at first."""
from __future__ import annotations

import argparse
import http.client
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from systems import ADAPTERS, Bench, Host

MIB = 1 << 20
FACTOR, SPARE, REPLAY = 12, 32 * MIB, 16 * MIB
SIZES = [128 << 10, 5 * MIB + MIB // 2, 60 * MIB]
ROUTES = {"prometheus": "/api/v2/alerts", "alertmanager": "/alertmanager", "kubernetes-events": "/events"}
CONFIGURED = ADAPTERS + "".join(f"  - {{use: {name}, path: {path}, authenticate: none}}\n"
                                for name, path in ROUTES.items() if name != "prometheus")
AROUND = {
    "prometheus": (b"[", b"]"), "alertmanager": (b'{"version":"4","alerts":[', b"]}"),
    "kubernetes-events": (b'{"kind":"EventList","apiVersion":"v1","items":[', b"]}"),
}


def repeated(unit: bytes, size: int, most: int = 1 << 62) -> bytes:
    """`unit`, again and again behind commas, up to `size` bytes."""
    return b",".join([unit] * max(1, min(most, size // (len(unit) + 1))))


def items(unit: bytes) -> Callable[[str, int], bytes]:
    def body(route: str, size: int) -> bytes:
        before, after = AROUND[route]
        return before + repeated(unit, size) + after
    return body


def one(before: bytes, unit: bytes, after: bytes, comma: bytes = b",") -> Callable[[str, int], bytes]:
    """One item that is as long as the body."""
    def body(route: str, size: int) -> bytes:
        head, tail = AROUND[route]
        return head + before + comma.join([unit] * max(1, size // (len(unit) + len(comma)))) + after + tail
    return body


def tiny(route: str, number: int, labels: bytes) -> bytes:
    """An item that is read, and no other's problem."""
    if route == "kubernetes-events":
        return (b'{"reason":"R","type":"Warning","involvedObject":{"kind":"P","name":"%d"},"message":"%s"}'
                % (number, labels.replace(b'"', b"'")))
    status = b'"status":"firing",' if route == "alertmanager" else b""
    return b'{%s"labels":{"n":"%d"%s}}' % (status, number, labels)


def problems(labels: int, least: int) -> Callable[[str, int], bytes]:
    """Items that are read, with so many tiny labels; as many as a body may hold, `least` bytes each at least."""
    def body(route: str, size: int) -> bytes:
        before, after = AROUND[route]
        more = b"".join(b',"l%02x":"b"' % number for number in range(labels))
        length = max(least, len(tiny(route, 100_000, more)) + 1)
        found = (tiny(route, number, more).ljust(length - 1) for number in range(max(1, size // length)))
        return before + b",".join(found) + after
    return body


def crowded(route: str, size: int) -> bytes:
    """As many problems as a body of any length may hold."""
    before, after = AROUND[route]
    return before + b",".join(tiny(route, number, b"") for number in range(min(20_000, size // 24))) + after


def ends(route: str, size: int) -> bytes:
    """The same, and none of them was ever told."""
    if route == "kubernetes-events":
        return crowded(route, size)
    end = b'"status":"resolved"' if route == "alertmanager" else b'"endsAt":"2020-01-01T00:00:00Z"'
    before, after = AROUND[route]
    found = (b'{%s,"labels":{"e":"%d.%d"}}' % (end, size, number) for number in range(min(20_000, size // 64)))
    return before + b",".join(found) + after


def version(route: str, size: int) -> bytes:
    """What names the document is as long as the half of it, and then there are items."""
    long = b"v" * (size // 2)
    rest = repeated(b"0", size // 2)
    if route == "kubernetes-events":
        return b'{"kind":"EventList","apiVersion":"%s","items":[%s]}' % (long, rest)
    if route == "alertmanager":
        return b'{"version":"%s","alerts":[%s]}' % (long, rest)
    return b'["%s",%s]' % (long, rest)


def around(route: str, size: int) -> bytes:
    """Nothing where the items belong, and much beside it."""
    rest = repeated(b'{"x":[1,2]}', size)
    if route == "kubernetes-events":
        return b'{"kind":"EventList","apiVersion":"v1","items":[],"x":[%s]}' % rest
    if route == "alertmanager":
        return b'{"version":"4","alerts":[],"x":[%s]}' % rest
    return b'[{"x":[%s]}]' % rest


def unended(route: str, size: int) -> bytes:
    return AROUND[route][0] + repeated(b'{"labels":{"alertname":"A"}}', size)


def twice(route: str, size: int) -> bytes:
    unit = b'"a":"b"'
    name = b"involvedObject" if route == "kubernetes-events" else b"labels"
    return one(b'{"reason":"R","type":"Warning","%s":{' % name, unit, b"}}")(route, size)


SHAPES: dict[str, Callable[[str, int], bytes]] = {
    "zeros": items(b"0"),
    "empty objects": items(b"{}"),
    "empty strings": items(b'""'),
    "arrays of one": items(b"[0]"),
    "items without labels": items(b'{"type":"Warning","labels":{}}'),
    "bad items of 500 bytes": items(b'{"type":"Warning","labels":{"a":1,"b":"%s"}}' % (b"x" * 470)),
    "bad items of 17 kB": items(b'{"type":"Warning","reason":"R","labels":{"alertname":"%s"}}' % (b"x" * 17_000)),
    "20 000 tiny problems": crowded,
    "20 000 tiny ends": ends,
    "problems of 512 bytes": problems(0, 513),
    "problems of 50 tiny labels": problems(50, 513),
    "problems of 255 tiny labels": problems(255, 513),
    "one long string": one(b'{"type":"Warning","labels":{"a":"', b"x" * 64, b'"}}', b""),
    "one string of escapes": one(b'{"type":"Warning","labels":{"a":"', rb"\u0041\n", b'"}}', b""),
    "one item of zeros": one(b'{"type":"Warning","x":[', b"0", b"]}"),
    "one item of numbers": one(b'{"type":"Warning","x":[', b"1e9", b"]}"),
    "one item of spaced zeros": one(b'{"type":"Warning","x":[', b"0 ", b"]}"),
    "one item of pairs": one(b'{"type":"Warning","x":{', b'"a":0', b"}}"),
    "one name again and again": twice,
    "deep nesting": one(b"", b"[", b"", b""),
    "a long version": version,
    "much beside the items": around,
    "no end": unended,
}


@dataclass
class Figure:
    status: int
    memory: int
    waited: float


def settle(host: Host) -> int:
    """The memory at rest: freed pages go back within a second or two."""
    known, since = host.resident(), time.monotonic()
    while time.monotonic() - since < 1.5:
        time.sleep(0.1)
        now = host.resident()
        if abs(now - known) > 256 << 10:
            known, since = now, time.monotonic()
    return host.resident()


def measure(host: Host, path: str, body: bytes) -> Figure:
    rest = settle(host)
    host.forget_peak()
    longest, done = 0.0, threading.Event()

    def others() -> None:
        """Another sender, on connections of its own: they come to either event loop."""
        nonlocal longest
        while not done.is_set():
            began = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=60)
            connection.request("GET", "/-/ready")
            connection.getresponse().read()
            connection.close()
            longest = max(longest, time.monotonic() - began)
            time.sleep(0.005)

    other = threading.Thread(target=others)
    other.start()
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=120)
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    response.read()
    connection.close()
    # It may go on behind a 503 for its deadline.
    settle(host)
    done.set()
    other.join()
    return Figure(response.status, host.resident("VmHWM") - rest, longest)


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("executable", type=Path)
    options.add_argument("--shape", action="append", help="only shapes with this in their name")
    options.add_argument("--route", action="append", choices=list(ROUTES))
    options.add_argument("--most", type=float, default=64, help="MiB of a body")
    given = options.parse_args()
    over, worst = [], 0.0
    print(f"{'route':18} {'shape':28} {'body':>9} {'status':>6} {'memory':>9} {'per byte':>9} {'of bound':>9} {'others waited':>14}")
    with Bench(given.executable.resolve()) as bench:
        for route, path in ROUTES.items():
            for name, make in SHAPES.items():
                if (given.route and route not in given.route) or (given.shape and not any(word in name for word in given.shape)):
                    continue
                # A host and a store of its own: dead letters of the shape before would fill it.
                host = Host(bench, bench.executable, adapters=CONFIGURED)
                for size in (size for size in SIZES if size <= given.most * MIB):
                    body = make(route, size)
                    figure = measure(host, path, body)
                    part = figure.memory / (FACTOR * len(body) + SPARE + REPLAY)
                    worst = max(worst, part)
                    if part > 1:
                        over.append(f"{route}, {name}, {len(body)} bytes")
                    print(f"{route:18} {name:28} {len(body) / MIB:5.2f} MiB {figure.status:6} {figure.memory / MIB:5.1f} MiB"
                          f" {figure.memory / len(body):9.1f} {100 * part:7.0f} % {1000 * figure.waited:11.0f} ms", flush=True)
                bench.stop(host.child)
    print(f"most: {100 * worst:.0f} % of {FACTOR} times the body and {(SPARE + REPLAY) // MIB} MiB")
    for line in over:
        print(f"over: {line}")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
