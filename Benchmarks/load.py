"""What sends: wrk to a host or to Alertmanager, redis-benchmark to Redis, and bodies for what must be counted exactly."""
from __future__ import annotations

import http.client
import itertools
import json
import os
import re
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from systems import PLACES, Bench, Failure, Host, Process, Redis, RedisClient, pin

HERE = Path(__file__).resolve().parent
CONNECTIONS = 32
FINGERPRINTS = 1024
_names = iter(range(0, 999_000_000, 1_000_000))


@dataclass
class Run:
    """Of one run of wrk. Latencies are milliseconds; `busy` is cores that were used, `cost` CPU seconds a request."""

    rate: float
    count: int
    p50: float
    p99: float
    worst: float
    busy: dict[str, float] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)


class Wrk:
    """A wrk that runs; `result` waits for it."""

    def __init__(self, url: str, kind: str, alerts: int, seconds: float, connections: int = CONNECTIONS,
                 fingerprints: int = FINGERPRINTS, rate: float = 0, shape: str = "prometheus", token: str = "",
                 watched: dict[str, Process] | None = None) -> None:
        self.watched = watched or {}
        self.before = {name: process.cpu() for name, process in self.watched.items()}
        start = next(_names) if kind == "new" else 0
        header = ["--header", token] if token else []
        self.begun = time.monotonic()
        self.child = subprocess.Popen([
            "wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{max(1, round(seconds))}s",
            "--timeout", "30s", *header, "--script", str(HERE / "post.lua"), url, "--", kind, str(alerts), str(fingerprints),
            str(start), str(rate), shape,
        ], stdout=subprocess.PIPE, text=True)
        pin(self.child.pid, PLACES.sender)

    def result(self, some: bool = True) -> Run:
        """Fails without an answer, unless `some` is false: large requests may take longer than a short warming up."""
        assert self.child.stdout
        text = self.child.stdout.read()
        _, status, usage = os.wait4(self.child.pid, 0)
        self.child.returncode = os.waitstatus_to_exitcode(status)
        spent = time.monotonic() - self.begun
        used = {name: process.cpu() - self.before[name] for name, process in self.watched.items()}
        used["wrk"] = usage.ru_utime + usage.ru_stime
        found = re.search(r"^RESULT (.*)$", text, re.MULTILINE)
        if not found:
            raise Failure(f"wrk failed:\n{text}")
        said = json.loads(found[1])
        if said["status"] or said["broken"] or (some and not said["requests"]):
            raise Failure(f"not every answer was a 2xx: {found[1]}")
        count = said["requests"]
        return Run(rate=count / said["seconds"], count=count, p50=said["p50"], p99=said["p99"], worst=said["max"],
                   busy={name: cpu / spent for name, cpu in used.items()},
                   cost={name: cpu / max(1, count) for name, cpu in used.items()})


def send(host: Host, kind: str, alerts: int, seconds: float, connections: int = CONNECTIONS,
         fingerprints: int = FINGERPRINTS, rate: float = 0, warm: float = 1) -> Run:
    """Warms up, then measures. What is repeated has been seen when the measuring begins; with a rate, the warming has it too, or
    its backlog would be measured."""
    if warm:
        if rate:
            warm = max(warm, 1.5 * fingerprints / alerts / rate)
        Wrk(host.url, kind, alerts, warm, connections, fingerprints, rate).result(some=False)
    return Wrk(host.url, kind, alerts, seconds, connections, fingerprints, rate,
               watched={"host": host, "redis": host.redis}).result()


class Bodies:
    """The same alerts as wrk sends, for as many as are asked for and with names of their own."""

    def __init__(self) -> None:
        text = (HERE / "alert.json").read_text().strip()
        text = text.replace("STARTS", _stamp(-60)).replace("ENDS", _stamp(6 * 3600))
        self.before, self.after = text.split("NAME")

    def body(self, names: list[str]) -> bytes:
        return ("[" + ",".join(self.before + name + self.after for name in names) + "]").encode()


def _stamp(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() + seconds))


class Sender:
    """One connection that is kept, and posts one body after the other."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.connection.connect()
        assert self.connection.sock
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, body: bytes) -> int:
        self.connection.request("POST", "/api/v2/alerts", body, {"Content-Type": "application/json"})
        response = self.connection.getresponse()
        response.read()
        return response.status

    def get(self, path: str) -> int:
        self.connection.request("GET", path)
        response = self.connection.getresponse()
        response.read()
        return response.status

    def close(self) -> None:
        self.connection.close()


def post_new(host: Host, count: int, word: str = "Counted", each: int = 64) -> None:
    bodies, sender = Bodies(), Sender(host.port)
    for first in range(0, count, each):
        status = sender.post(bodies.body([f"{word}{place}" for place in range(first, min(first + each, count))]))
        if status != 200:
            raise Failure(f"{status} for new alerts")
    sender.close()


# The script alone -----------------------------------------------------------------------------------------------------

_NAMED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}


def _words(line: bytes) -> list[bytes]:
    """The words of a line of MONITOR."""
    def plain(found: re.Match[bytes]) -> bytes:
        text = found[1]
        return bytes([int(text[1:], 16)]) if len(text) == 3 else _NAMED.get(text, text)

    return [re.sub(rb"\\(x[0-9a-f]{2}|.)", plain, word) for word in re.findall(rb'"((?:[^"\\]|\\.)*)"', line)]


def gate_calls(bench: Bench, redis: Redis, alerts: int) -> dict[str, list[bytes]]:
    """The words of the calls that a host makes for a request of new alerts, and when it comes again, read from Redis itself
    (MONITOR), made fit for redis-benchmark: twelve bytes in the middle of each fingerprint and each storm group are its
    `__rand_int__`. The host has ended when this returns, and the Redis knows the script."""
    calls: dict[str, list[bytes]] = {}
    with bench.host(redis=redis) as host:
        sender, bodies = Sender(host.port), Bodies()
        body = bodies.body([f"Recorded{place}" for place in range(alerts)])
        for kind in ("new", "repeated"):
            monitor = redis.client()
            monitor.call("MONITOR")
            if sender.post(body) != 200:
                raise Failure("the request to record was refused")
            end = time.monotonic() + 30
            while kind not in calls:
                if time.monotonic() > end:
                    raise Failure("the host's call was not seen")
                words = _words(monitor.lines.readline())
                if not words or words[0].lower() != b"evalsha":
                    continue
                if words[1] == calls["new"][1] if calls else sum(map(len, words)) > alerts * 500:
                    calls[kind] = words
            monitor.close()
        sender.close()
        host.drained(alerts)
        names = {bytes.fromhex(json.loads(line)["fingerprint"]) for line in host.lines.read_bytes().splitlines()}
        client = redis.client()
        for key in client.keys():
            if key.split(b":", 2)[1] == b"g":
                names.update(client.call("HKEYS", key))
        client.close()
    return {kind: _randomized(call, names, alerts) for kind, call in calls.items()}


def _randomized(call: list[bytes], names: set[bytes], alerts: int) -> list[bytes]:
    whole, held = [], 0
    for word in call:
        for name in names:
            held += word.count(name)
            middle = len(name) // 2
            word = word.replace(name, name[:middle - 6] + b"__rand_int__" + name[middle + 6:])
        # A word of a command line holds no zero byte. Those of hashes may as well be ones; a script that read another meaning
        # into them would fail or accept less, which is looked for.
        whole.append(word.replace(b"\0", b"\1"))
    if held < alerts:
        raise Failure("the recorded call does not hold its fingerprints")
    return whole


_RUNS = itertools.count()


def benchmark(redis: Redis, calls: dict[str, list[bytes]], kind: str, alerts: int, connections: int, seconds: float,
              rate: float = 200) -> float:
    """Calls a second by redis-benchmark, of about `seconds` at the rate that is expected."""
    client, count = redis.client(), max(connections, round(rate * seconds))
    # Random numbers below this: 64 alerts of 16 numbers each are 1 024 fingerprints.
    span = max(1, FINGERPRINTS // alerts) if kind == "repeated" else 2_000_000_000
    # It seeds its numbers with its time and its process id, and two runs can have the same: two bytes tell them apart.
    number = next(_RUNS) if kind == "new" else 0
    run = bytes((1 + number // 255 % 255, 1 + number % 255))

    def some(call: list[bytes], count: int) -> float:
        words = [re.sub(rb"..__rand_int__", run + b"__rand_int__", word, flags=re.DOTALL) for word in call]
        child = subprocess.Popen(
            [b"redis-benchmark", b"-p", b"%d" % redis.port, b"-c", b"%d" % connections, b"-n", b"%d" % count, b"-r",
             b"%d" % span, b"--csv", *words], stdout=subprocess.PIPE)
        pin(child.pid, PLACES.sender)
        text = child.communicate()[0]
        # The first column is the whole call, which is any bytes; the second of eight is what is asked for.
        found = re.search(rb'"([0-9.]+)"(?:,"[0-9.]+"){6}\s*$', text)
        if child.returncode or not found:
            raise Failure(f"redis-benchmark failed: {text[-300:]!r}")
        return float(found[1])

    if kind == "repeated":
        # Each of sixteen numbers at each place, but for one chance in ten thousand millions.
        some(calls["new"], 500)
    depth, failed, seen = _queued(client), _failed(client), _sightings(client) if kind == "repeated" else 0
    found = some(calls[kind], count)
    if _failed(client) > failed:
        raise Failure("the script refused calls of redis-benchmark")
    done = _queued(client) - depth if kind == "new" else _sightings(client) - seen
    if done < 0.99 * count * alerts:
        raise Failure(f"redis-benchmark's calls were not all taken as {kind}: {done} of {count} x {alerts}")
    client.close()
    return found


def _sightings(client: RedisClient) -> int:
    """The sum of what records say of how often they were seen."""
    count = 0
    # SCAN may name one twice.
    for key in set(client.keys()):
        if key.split(b":", 2)[-2:-1] == [b"r"]:
            record = client.call("GET", key)
            assert isinstance(record, bytes)
            count += int.from_bytes(record[4:8], "little")
    return count


def _failed(client: RedisClient) -> int:
    text = client.call("INFO", "commandstats")
    assert isinstance(text, bytes)
    found = re.search(rb"^cmdstat_evalsha:.*failed_calls=(\d+)", text, re.MULTILINE)
    return int(found[1]) if found else 0


def _queued(client: RedisClient) -> int:
    size = client.call("ZCARD", "{portcullis}:q:file")
    return size if isinstance(size, int) else 0
