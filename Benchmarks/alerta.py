#!/usr/bin/env -S python3 -B
"""alerta.py EXECUTABLE: a host beside Alerta, the peer that keeps alerts in a database too: both shapes, in turns.

Alerta is its own release from PyPI in a venv, served by gunicorn with two workers a core, with a PostgreSQL of its own that
waits for its log at each commit, as it does by default. 64 alerts a request go to its route for Alertmanager's webhook."""
from __future__ import annotations

import argparse
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from bench import machine, save, table
from load import Run, Wrk, send
from measures import KINDS, SHAPES, Row
from systems import CORES, Bench, Failure, Process, eventually, free_port, get

PACKAGES = ("alerta-server==9.1.0", "psycopg2-binary==2.9.10", "gunicorn==23.0.0")


class Alerta:
    """Installed once; `served` starts it on an empty database."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        # Beside the runs' directories, which are removed between them.
        self.venv = bench.work.with_name(bench.work.name + ".venv")
        subprocess.run([sys.executable, "-m", "venv", str(self.venv)], check=True)
        subprocess.run([str(self.venv / "bin" / "pip"), "install", "--quiet", *PACKAGES], check=True)
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not found:
            raise Failure("there is no PostgreSQL: package postgresql")
        self.programs = found[-1].parent

    def close(self) -> None:
        shutil.rmtree(self.venv, ignore_errors=True)

    @contextmanager
    def served(self) -> Iterator[str]:
        """The URL that takes Alertmanager's webhook. PostgreSQL does not run as root: it is the user postgres then."""
        data, port, database = self.bench.fresh("postgres"), free_port(), free_port()
        more: dict[str, object] = {}
        if os.getuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(data, user.pw_uid, user.pw_gid)
            more = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        subprocess.run([str(self.programs / "initdb"), "--auth=trust", "--username=alerta", f"--pgdata={data}/data"],
                       stdout=subprocess.DEVNULL, check=True, cwd="/", **more)  # type: ignore[call-overload]
        postgres = self.bench.start("postgres", [
            str(self.programs / "postgres"), "-D", f"{data}/data", "-k", str(data), "-h", "127.0.0.1", "-p", str(database),
        ], CORES, cwd="/", **more)
        ready = [str(self.programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(database), "-U", "alerta"]
        eventually("PostgreSQL", lambda: subprocess.run(ready, stdout=subprocess.DEVNULL, check=False).returncode == 0)
        settings = data / "alertad.conf"
        settings.write_text("AUTH_REQUIRED = False\nPLUGINS = []\nSECRET_KEY = 'bench'\nLOG_LEVEL = 'ERROR'\n"
                            "ALLOWED_ENVIRONMENTS = ['Production']\nDEFAULT_ENVIRONMENT = 'Production'\n")
        url = f"postgresql://alerta@127.0.0.1:{database}/postgres"
        server = self.bench.start("alerta", [
            # Loaded before the workers are made: each would create the tables, and all but one fail.
            str(self.venv / "bin" / "gunicorn"), "--preload", "--workers", str(2 * len(CORES)), "--bind", f"127.0.0.1:{port}",
            "--log-level", "error", "alerta:create_app()",
        ], CORES, cwd=str(data), env=os.environ | {"DATABASE_URL": url, "ALERTA_SVR_CONF_FILE": str(settings)})
        try:
            eventually("Alerta ready", lambda: get(port, "/management/gtg")[0] == 200)
            yield f"http://127.0.0.1:{port}/webhooks/prometheus"
        finally:
            self.bench.stop(server)
            self.bench.stop(postgres)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("executable", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    words = parser.parse_args()
    pairs: dict[tuple[int, str], list[tuple[Run, Run]]] = {(alerts, kind): [] for alerts in SHAPES for kind in KINDS}
    with Bench(words.executable.resolve(), words.rounds, words.seconds) as bench:
        alerta = Alerta(bench)
        try:
            about = machine(bench.work.parent)
            about["Alerta"] = ", ".join(PACKAGES)
            for _ in range(bench.rounds):
                for (alerts, kind), runs in pairs.items():
                    with bench.host() as host:
                        ours = send(host, kind, alerts, bench.seconds)
                    with alerta.served() as url:
                        Wrk(url, kind, alerts, 2, shape="webhook").result()
                        # A request of 64 takes it a second or so: a run is long enough for some on each connection.
                        theirs = Wrk(url, kind, alerts, max(bench.seconds, 10), shape="webhook").result()
                    runs.append((ours, theirs))
        finally:
            alerta.close()
    rows = []
    for (alerts, kind), runs in pairs.items():
        reached = sorted(other.rate * alerts for _, other in runs)
        rows.append(Row("3", f"of Alerta's rate, {alerts} a request, {kind}", "×", [one.rate / other.rate for one, other in runs],
                        100, True, f"Alerta {reached[0]:.0f} to {reached[-1]:.0f} alerts/s"))
    print("\n".join(f"{name}: {text}" for name, text in about.items()))
    print(f"\n{table(rows)}")
    path = save("alerta", {"machine": about, "rounds": words.rounds, "seconds": words.seconds,
                           "rows": [asdict(row) for row in rows]})
    print(f"\n{path}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"alerta: {failure}")
