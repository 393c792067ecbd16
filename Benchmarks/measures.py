"""The targets: what is measured for each, in one run on one machine, the systems in turns (A B A B)."""
from __future__ import annotations

import json
import os
import random
import signal
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import load
from load import Bodies, Run, Sender, Wrk, post_new, send
from systems import Bench, Failure, Host, apart

KINDS = ("repeated", "new")
SHAPES = (1, 64)
MIB = 1 << 20


def spaced(number: float) -> str:
    return (f"{number:,.0f}" if number == int(number) else f"{number:g}").replace(",", " ")


@dataclass
class Row:
    """A figure: the median of `values`. `bound` is None where there is no target."""

    target: str
    what: str
    unit: str
    values: list[float]
    bound: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        if self.bound is None:
            return None
        return self.median >= self.bound if self.at_least else self.median <= self.bound


@dataclass
class Rates:
    """What `rates` found, by system, kind and alerts a request: the rounds' runs, or rates in requests/s."""

    runs: dict[tuple[str, str, int], list[Run]] = field(default_factory=lambda: defaultdict(list))
    script: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    best: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def rate(self, kind: str, alerts: int) -> float:
        return statistics.median(run.rate for run in self.runs["host", kind, alerts])


def rates(bench: Bench) -> tuple[list[Row], Rates]:
    """Targets 1, 2, 3 and 5: a host, Alertmanager and the script alone, each on an empty store, in turns. What is compared with the
    script has Redis on a core of its own, as the script has; what is compared with Alertmanager has all cores, as that has."""
    found = Rates()
    for _ in range(bench.rounds):
        for alerts in SHAPES:
            for kind in KINDS:
                with bench.host() as host:
                    found.runs["host", kind, alerts].append(send(host, kind, alerts, bench.seconds))
                with bench.alertmanager() as other:
                    Wrk(other.url, kind, alerts, 1).result()
                    run = Wrk(other.url, kind, alerts, bench.seconds, watched={"alertmanager": other}).result()
                    found.runs["alertmanager", kind, alerts].append(run)
        for kind in KINDS:
            with apart(), bench.host() as host:
                found.runs["host apart", kind, 64].append(send(host, kind, 64, bench.seconds))
            with apart(), bench.redis() as redis:
                calls = load.gate_calls(bench, redis, 64)
                counts = [1, 2, 4, 8, 16, 32]
                random.shuffle(counts)
                # Some hundred calls say how many a second takes.
                rate = load.benchmark(redis, calls, kind, 64, 8, 1)
                tried = {count: load.benchmark(redis, calls, kind, 64, count, 1, rate) for count in counts}
                connections = max(tried, key=lambda count: tried[count])
                found.best[kind].append(connections)
                rate = load.benchmark(redis, calls, kind, 64, connections, bench.seconds, tried[connections])
                found.script[kind].append(rate)
    return list(_rate_rows(found)), found


def _rate_rows(found: Rates) -> Iterator[Row]:
    def each(system: str, kind: str, alerts: int) -> list[float]:
        return [run.rate for run in found.runs[system, kind, alerts]]

    def ratio(first: list[float], second: list[float]) -> list[float]:
        return [one / other for one, other in zip(first, second, strict=True)]

    for kind in KINDS:
        values = [100 * value for value in ratio(each("host apart", kind, 64), found.script[kind])]
        yield Row("1", f"end to end of the script's rate, 64 a request, {kind}", "%", values, 85, True,
                  "redis-benchmark at its best of 1 to 32 connections, " + ", ".join(map(str, found.best[kind])))
    for kind, bound in (("repeated", 80_000.0), ("new", 30_000.0)):
        yield Row("2", f"the script alone, 64 signals a call, {kind}", "signals/s",
                  [rate * 64 for rate in found.script[kind]], bound, True,
                  "the bound is for a machine where the prototype's gave 55 000 and 20 000")
    bounds: dict[tuple[int, str], float] = {(1, "repeated"): 1.5, (1, "new"): 1, (64, "repeated"): 1.2}
    for alerts, kind in ((1, "repeated"), (1, "new"), (64, "repeated"), (64, "new")):
        yield Row("3", f"of Alertmanager's rate, {alerts} a request, {kind}", "×",
                  ratio(each("host", kind, alerts), each("alertmanager", kind, alerts)), bounds.get((alerts, kind)), True,
                  "the host is durable, Alertmanager in memory; 32 connections")
    for alerts, most in ((64, 8.0), (1, 45.0)):
        for kind in KINDS:
            yield Row("5", f"the host's CPU per alert, {alerts} a request, {kind}", "µs",
                      [run.cost["host"] / alerts * 1e6 for run in found.runs["host", kind, alerts]], most)
    for (system, kind, alerts), runs in found.runs.items():
        busy = {name: statistics.median(run.busy[name] for run in runs) for name in runs[0].busy}
        yield Row("", f"{system}, {alerts} a request, {kind}", "alerts/s", [run.rate * alerts for run in runs],
                  note=f"p99 {statistics.median(run.p99 for run in runs):.1f} ms; cores busy: "
                       + ", ".join(f"{name} {value:.2f}" for name, value in busy.items()))


def latency(bench: Bench, found: Rates) -> list[Row]:
    """Target 4: p99 at half of the rate that was saturated. post.lua says what that p99 is one of."""
    rows = []
    for alerts, bound in ((1, 5.0), (64, 25.0)):
        for kind in KINDS:
            rate, runs = found.rate(kind, alerts) / 2, []
            for _ in range(bench.rounds):
                with bench.host() as host:
                    runs.append(send(host, kind, alerts, bench.seconds, connections=64, rate=rate))
            got = statistics.median(run.rate for run in runs)
            if got < 0.9 * rate:
                raise Failure(f"asked for {rate:.0f} requests/s, sent {got:.0f}")
            rows.append(Row("4", f"p99 at half the rate, {alerts} a request, {kind}", "ms", [run.p99 for run in runs], bound,
                            note=f"{got:.0f} requests/s; median {statistics.median(run.p50 for run in runs):.2f} ms"))
    return rows


def memory(bench: Bench) -> list[Row]:
    """Target 6. The host's resident memory with many fingerprints known, while requests repeat them."""
    known, requests = (1_000_000, 10_000_000) if bench.full else (100_000, 1_000_000)
    with bench.host() as host:
        filled = 0
        while filled < known:
            filled += Wrk(host.url, "new", 64, 5).result().count * 64
            host.drained(filled)
        done, marks = 0, []
        for upto in (requests // 5, requests):
            while done < upto:
                done += Wrk(host.url, "repeated", 1, 10).result().count
            marks.append(host.resident() / MIB)
        file = host.resident("RssFile") / MIB
    size = f"{spaced(known)} fingerprints, {spaced(requests)} requests"
    size += "" if bench.full else "; FULL=1 has 1 000 000 and 10 000 000"
    return [Row("6", "the host's resident memory", "MiB", [marks[1]], 48,
                note=f"{size}; {file:.0f} MiB of it are pages of the executable and its libraries"),
            Row("6", "growth over the last four fifths of the requests", "MiB", [marks[1] - marks[0]], 1,
                note=f"from {marks[0]:.1f} MiB; 1 MiB is taken as none")]


def store(bench: Bench) -> list[Row]:
    """Target 7. Redis's own count of its memory, before and after; without storms, whose windows are gone in two minutes."""
    count, sizes = 50_000, list[int]()
    known, waiting = list[float](), list[float]()
    silent = bench.work / "kubeconfig"
    silent.write_text("current-context: c\ncontexts: [{name: c, context: {cluster: c}}]\n"
                      "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n")
    nobody = f"{{use: kubernetes, name: file, namespace: bench, kubeconfig: {silent}, when_full: refuse}}"
    for sink, into in (("", known), (nobody, waiting)):
        with bench.host(storm="", sink=sink) as host:
            client = host.client()
            before = client.info("memory", "used_memory")
            post_new(host, count)
            if not sink:
                host.drained(count)
                line = host.lines.read_bytes().splitlines()[-1]
                sizes.append(len(json.dumps(json.loads(line)["signal"], separators=(",", ":"), ensure_ascii=False).encode()))
            else:
                time.sleep(1)
            into.append((client.info("memory", "used_memory") - before) / count)
            client.close()
    more, document = waiting[0] - known[0], sizes[0]
    return [Row("7", "Redis's memory per known fingerprint", "bytes", known, 250, note=f"of {spaced(count)}"),
            Row("7", "more per undelivered episode, of its document", "×", [more / document], 1.3,
                note=f"{more:.0f} bytes more, {waiting[0]:.0f} with its fingerprint; the document has {document}")]


def delivery(bench: Bench) -> list[Row]:
    """Target 8. What waits for jsonl, each second of a saturated intake of new signals."""
    seconds = max(20, int(4 * bench.seconds))
    with bench.host() as host:
        client, depths = host.client(), []
        running = Wrk(host.url, "new", 64, seconds)
        for _ in range(seconds - 1):
            time.sleep(1)
            depth = client.call("ZCARD", "{portcullis}:q:file")
            assert isinstance(depth, int)
            depths.append(depth)
        intake = running.result().rate * 64
        begun = time.monotonic()
        eventually_empty(host)
        drained = time.monotonic() - begun
    half = len(depths) // 2
    growth = statistics.linear_regression(range(len(depths) - half), depths[half:]).slope
    return [Row("8", "growth of what waits for jsonl, of the intake", "%", [100 * growth / intake], 2,
                note=f"{intake:.0f} new alerts/s for {seconds} s; {max(depths)} waited at most, {depths[-1]} at the end; "
                     f"empty {drained:.1f} s later; 2 % is taken as none")]


def eventually_empty(host: Host) -> None:
    client, end = host.client(), time.monotonic() + 300
    while client.call("ZCARD", "{portcullis}:q:file") != 0:
        if time.monotonic() > end:
            raise Failure("what waits was never delivered")
        time.sleep(0.1)


def large(bench: Bench) -> list[Row]:
    """Target 9. Bodies of 20 000 alerts, one after the other, and what others notice of them: senders of one alert, and a
    question that needs no store, over enough connections to meet every event loop: it waits for as long as its loop is held."""
    bodies, times, held, broken = Bodies(), list[float](), list[float](), list[str]()
    stop = threading.Event()
    with bench.host() as host:
        def ask() -> None:
            probes = [Sender(host.port) for _ in range(4 * (os.cpu_count() or 1))]
            while not stop.is_set():
                for probe in probes:
                    begun = time.monotonic()
                    if probe.get("/-/ready") != 200:
                        broken.append("/-/ready")
                    held.append((time.monotonic() - begun) * 1000)
                    time.sleep(0.001)

        big = [bodies.body([f"Large{turn}x{place}" for place in range(20_000)]) for turn in range(3)]
        sender = Sender(host.port)
        send(host, "repeated", 1, 1)
        quiet = send(host, "repeated", 1, bench.seconds, connections=16, rate=500, warm=0)
        asking = threading.Thread(target=ask)
        running = Wrk(host.url, "repeated", 1, 4 * bench.seconds, 16, rate=500)
        asking.start()
        end = time.monotonic() + 4 * bench.seconds - 1
        try:
            while time.monotonic() < end:
                begun = time.monotonic()
                status = sender.post(big[len(times) % len(big)])
                times.append(time.monotonic() - begun)
                if status != 200:
                    raise Failure(f"{status} for 20 000 alerts")
        finally:
            stop.set()
            asking.join()
            others = running.result()
        if broken:
            raise Failure("/-/ready was refused")
    new, known = times[:len(big)], times[len(big):]
    held.sort()
    return [Row("9", "20 000 new alerts in one request", "s", new, 2, note=f"{len(big[0]) / MIB:.0f} MiB each"
                + (f"; {statistics.median(known):.2f} s when they are known" if known else "")),
            Row("9", "p99 of others meanwhile, one alert a request", "ms", [others.p99], 50,
                note=f"500 requests/s; {quiet.p99:.1f} ms without"),
            Row("9", "longest wait for an event loop meanwhile", "ms", [held[-1]], 20,
                note=f"GET /-/ready {len(held)} times; p99 {held[len(held) * 99 // 100]:.1f} ms; has the asking in it")]


def start(bench: Bench) -> list[Row]:
    """Target 10: from nothing to the first alert that is taken, with the embedded store. Prometheus's route says 200 to it, others 201."""
    body, times = Bodies().body(["First"]), []
    for _ in range(max(5, bench.rounds)):
        begun = time.monotonic()
        host = Host(bench, bench.executable, wait=False)
        while True:
            if host.child.poll() is not None:
                raise Failure("the host ended")
            try:
                sender = Sender(host.port)
                status = sender.post(body)
                sender.close()
                if status == 200:
                    break
            except OSError:
                pass
            if time.monotonic() - begun > 20:
                raise Failure("nothing taken within 20 s")
            time.sleep(0.002)
        times.append((time.monotonic() - begun) * 1000)
        bench.stop(host.child)
    return [Row("10", "from start to the first alert taken, embedded store", "ms", times, 500)]


def outage(bench: Bench) -> list[Row]:
    """Target 10: Redis is there and does not answer (SIGSTOP). The first request finds it out and waits for state.timeout;
    those after it are refused at once, and only they are counted."""
    body, times = Bodies().body(["Outage"]), []
    with bench.host() as host:
        sender, redis = Sender(host.port), host.redis.pid
        if sender.post(body) != 200:
            raise Failure("the first alert was refused")
        os.kill(redis, signal.SIGSTOP)
        try:
            for _ in range(200):
                begun = time.monotonic()
                if sender.post(body) != 503:
                    raise Failure("not a 503 while Redis does not answer")
                times.append((time.monotonic() - begun) * 1000)
        finally:
            os.kill(redis, signal.SIGCONT)
        host.wait()
        sender.close()
    after = sorted(times[1:])
    return [Row("10", "a 503 while Redis does not answer, once known", "ms", [after[-1]], 50,
                note=f"the slowest of {len(after)}, median {statistics.median(after):.2f}; the first waited {times[0]:.0f} ms, "
                     "with state.timeout: 5s")]
