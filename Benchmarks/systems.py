"""What is measured: hosts, Redis and Alertmanager, each started on a free port of the loopback and stopped by its own pid."""
from __future__ import annotations

import http.client
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

STORM = "  - {use: storm}\n"
ADAPTERS = "  - {use: prometheus, path: /api/v2/alerts, authenticate: none}\n"
TICKS = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
# PIN=0 leaves all places to the kernel.
PIN = len(CORES) > 1 and os.environ.get("PIN", "1") != "0"


@dataclass
class Places:
    """Where processes run that are started now: anywhere, or `apart`."""

    redis: list[int] = field(default_factory=lambda: CORES)
    host: list[int] = field(default_factory=lambda: CORES)
    sender: list[int] = field(default_factory=lambda: CORES)


PLACES = Places()


@contextmanager
def apart() -> Iterator[None]:
    """Redis has the first core, hosts the others, and what sends the last one: on two cores a host and its sender share theirs."""
    if PIN:
        PLACES.redis, PLACES.host, PLACES.sender = CORES[:1], CORES[1:], CORES[-1:]
    try:
        yield
    finally:
        PLACES.redis, PLACES.host, PLACES.sender = CORES, CORES, CORES


class Failure(Exception):
    """What was measured did not work: there is no figure."""


def pin(pid: int, cores: list[int]) -> None:
    for task in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(task), cores)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(what: str, condition: Callable[[], bool], seconds: float = 60, pause: float = 0.02) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except (OSError, http.client.HTTPException):
            pass
        if time.monotonic() > end:
            raise Failure(f"never saw: {what}")
        time.sleep(pause)


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


class RedisClient:
    """The few words of Redis's protocol that are needed here, with names that are any bytes."""

    def __init__(self, address: str | int) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(60)
        self.socket.connect(address if isinstance(address, str) else ("127.0.0.1", address))
        self.lines = self.socket.makefile("rb")

    def close(self) -> None:
        self.lines.close()
        self.socket.close()

    def send(self, *words: bytes | str) -> None:
        raw = [word.encode() if isinstance(word, str) else word for word in words]
        self.socket.sendall(b"*%d\r\n" % len(raw) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in raw))

    def receive(self) -> object:
        line = self.lines.readline().rstrip(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.lines.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.receive() for _ in range(int(rest))]
        raise Failure(f"Redis said {line!r}")

    def call(self, *words: bytes | str) -> object:
        self.send(*words)
        return self.receive()

    def info(self, section: str, name: str) -> int:
        text = self.call("INFO", section)
        assert isinstance(text, bytes)
        found = re.search(rf"^{name}:(\d+)", text.decode(), re.MULTILINE)
        if not found:
            raise Failure(f"Redis's INFO {section} has no {name}")
        return int(found[1])

    def keys(self) -> Iterator[bytes]:
        cursor: object = b"0"
        while True:
            reply = self.call("SCAN", cursor if isinstance(cursor, bytes) else b"0", "COUNT", "1000")
            assert isinstance(reply, list)
            cursor = reply[0]
            yield from reply[1]
            if cursor == b"0":
                return


class Process:
    """One process, with what /proc says of it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def cpu(self) -> float:
        """Seconds of all its threads, in user space and in the kernel's."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def forget_peak(self) -> None:
        """From here on `VmHWM` is the peak since now."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def resident(self, kind: str = "VmRSS") -> int:
        """`RssFile` is what of it are pages of the executable and its libraries, which the kernel can drop and share."""
        found = re.search(rf"^{kind}:\s*(\d+)", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        if not found:
            raise Failure(f"process {self.pid} has ended")
        return int(found[1]) * 1024


class Redis(Process):
    def __init__(self, bench: Bench) -> None:
        directory = bench.fresh("redis")
        self.port = free_port()
        self.child = bench.start("redis", [
            "redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(directory), "--save", "",
            "--appendonly", "yes", "--appendfsync", "always", "--no-appendfsync-on-rewrite", "no",
            "--maxmemory-policy", "noeviction", "--auto-aof-rewrite-min-size", "256mb",
            "--lazyfree-lazy-expire", "yes",
        ], PLACES.redis)
        super().__init__(self.child.pid)
        eventually("Redis", lambda: self.client().call("PING") == b"PONG")

    def client(self) -> RedisClient:
        return RedisClient(self.port)


class Host(Process):
    """A host on an empty store of its own, or on the Redis that is given."""

    def __init__(self, bench: Bench, executable: Path, redis: Redis | None = None, storm: str = STORM,
                 sink: str = "", wrapper: tuple[str, ...] = (), wait: bool = True, adapters: str = ADAPTERS) -> None:
        self.port, self.admin = free_port(), free_port()
        self.directory = bench.fresh("host")
        self.external = redis
        self.lines = self.directory / "signals.jsonl"
        store = f"{{url: 'redis://127.0.0.1:{redis.port}/0'}}" if redis else f"{{embedded: {{directory: {self.directory}}}}}"
        configuration = self.directory / "portcullis.yaml"
        configuration.write_text(
            f"server: {{listen: 127.0.0.1:{self.port}, admin: 127.0.0.1:{self.admin}}}\n"
            f"state: {{redis: {store}, timeout: 5s}}\n"
            f"adapters:\n{adapters}"
            f"policies:\n  - {{use: deduplicate}}\n{storm}  - {{use: persist, durability: fsync, backlog: 10000000}}\n"
            f"sinks:\n  - {sink or f'{{use: jsonl, name: file, path: {self.lines}, when_full: refuse}}'}\n")
        self.child = bench.start("host", [*wrapper, str(executable), "serve", "--config", str(configuration)], PLACES.host)
        super().__init__(self.child.pid)
        if wait:
            self.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v2/alerts"

    def wait(self) -> None:
        eventually("the store open", lambda: self.metric("portcullis_store_up") == 1)
        if self.external is None:
            pin(self.redis.pid, PLACES.redis)

    @property
    def redis(self) -> Process:
        return self.external or Process(int((self.directory / "redis.pid").read_text()))

    def client(self) -> RedisClient:
        return self.external.client() if self.external else RedisClient(str(self.directory / "redis.sock"))

    def metric(self, name: str) -> float:
        """The sum over its series."""
        found = re.findall(rf"^{name}(?:{{[^\n]*}})? (\S+)$", get(self.admin, "/metrics")[1], re.MULTILINE)
        return sum(float(value) for value in found)

    def drained(self, deliveries: int = 0) -> None:
        """Waits until nothing waits for the sink. The depth is a sample of once in a while: deliveries are counted."""
        eventually("all delivered", lambda: self.metric("portcullis_deliveries_total") >= deliveries
                   and self.metric("portcullis_queue_depth") == 0, seconds=300, pause=0.2)


class Alertmanager(Process):
    def __init__(self, bench: Bench) -> None:
        directory = bench.fresh("alertmanager")
        self.port = free_port()
        configuration = directory / "alertmanager.yml"
        configuration.write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
        self.child = bench.start("alertmanager", [
            "prometheus-alertmanager", f"--config.file={configuration}", f"--storage.path={directory}",
            f"--web.listen-address=127.0.0.1:{self.port}", "--cluster.listen-address=",
        ], CORES)
        super().__init__(self.child.pid)
        eventually("Alertmanager ready", lambda: get(self.port, "/-/ready")[0] == 200)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v2/alerts"


class Bench:
    """What runs and where. Nothing that it started, and no file, is left when it is closed."""

    def __init__(self, executable: Path, rounds: int = 3, seconds: float = 5, full: bool = False) -> None:
        self.executable, self.rounds, self.seconds, self.full = executable, rounds, seconds, full
        # Not /tmp where that is memory: an fsync must reach a disk.
        self.work = Path(tempfile.mkdtemp(prefix="portcullis-bench.", dir=os.environ.get("BENCH_DIR", "/var/tmp")))
        self.work.chmod(0o755)
        self.started: list[subprocess.Popen[bytes]] = []
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(SystemExit(143)))

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is Failure:
            for log in sorted(self.work.glob("*.log"), key=os.path.getmtime)[-3:]:
                # A request a line says little, and there are thousands.
                lines = [line for line in log.read_text(errors="replace").splitlines() if '"level":"info"' not in line]
                print(f"--- {log.name}\n" + "\n".join(lines[-25:]))
        try:
            self.stop()
        finally:
            for child in self.started:
                child.kill()
            shutil.rmtree(self.work, ignore_errors=True)

    def fresh(self, name: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=f"{name}.", dir=self.work))

    def start(self, name: str, words: list[str], cores: list[int], **more: object) -> subprocess.Popen[bytes]:
        with open(self.work / f"{name}.log", "ab") as log:
            child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **more)  # type: ignore[call-overload]
        self.started.append(child)
        pin(child.pid, cores)
        return child

    def stop(self, *children: subprocess.Popen[bytes]) -> None:
        """Ends these, or all, the last started first; whatever they left on disk goes with them."""
        for child in children or tuple(reversed(self.started)):
            if child.poll() is not None and child in self.started and child.returncode not in (0, -signal.SIGTERM):
                self.started.remove(child)
                raise Failure(f"{child.args!r} had ended by itself: {child.returncode}")
            child.terminate()
            try:
                child.wait(60)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            if child in self.started:
                self.started.remove(child)
        if not self.started:
            for directory in self.work.iterdir():
                if directory.is_dir():
                    shutil.rmtree(directory, ignore_errors=True)

    @contextmanager
    def host(self, executable: Path | None = None, redis: Redis | None = None, storm: str = STORM,
             sink: str = "") -> Iterator[Host]:
        host = Host(self, executable or self.executable, redis, storm, sink)
        try:
            yield host
        finally:
            self.stop(host.child)

    @contextmanager
    def redis(self) -> Iterator[Redis]:
        redis = Redis(self)
        try:
            yield redis
        finally:
            self.stop(redis.child)

    @contextmanager
    def alertmanager(self) -> Iterator[Alertmanager]:
        system = Alertmanager(self)
        try:
            yield system
        finally:
            self.stop(system.child)
