#!/usr/bin/env -S python3 -B
"""refresh.py: puts the newest results of bench.py, scaling.py and alerta.py into docs/performance.md, between their markers, and
the plot beside it. What has no result is left as it is."""
from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from bench import RESULTS, cells
from measures import Row
from plot import plot

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
FIELDS = ("target", "what", "unit", "values", "bound", "at_least", "note")


def markdown(lines: list[list[str]]) -> str:
    head, *rest = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    return "\n".join([head, "|" + "---|" * len(lines[0]), *rest])


def about(content: dict) -> str:
    lines = [f"- {name}: {text}" for name, text in content["machine"].items()]
    return "\n".join([f"Medians of {content['rounds']} rounds of {content['seconds']:g} s, in turns, on:", "", *lines])


def targets(content: dict) -> str:
    rows = [Row(**{name: row[name] for name in FIELDS}) for row in content["rows"]]
    head = ["target", "what", "measured", "min–max", "bound", "", "how"]
    return f"{about(content)}\n\n{markdown([head, *map(cells, rows)])}"


def scaling(content: dict) -> str:
    (DOCUMENT.parent / "scaling.svg").write_text(plot(content))
    return f"{about(content)}\n\n![alerts/s by hosts, connections, alerts a request and fingerprints](scaling.svg)\n\n" \
        + markdown(content["table"])


def put(document: str, name: str, text: str) -> str:
    marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not marked.search(document):
        sys.exit(f"refresh: {DOCUMENT} has no markers for {name}")
    return marked.sub(lambda found: f"{found[1]}\n{text}\n\n{found[2]}", document)


def main() -> None:
    document, found = DOCUMENT.read_text(), False
    for name, write in (("bench", targets), ("scaling", scaling), ("alerta", targets)):
        newest = sorted(RESULTS.glob(f"{name}-*.json"))[-1:]
        for path in newest:
            document, found = put(document, name, write(json.loads(path.read_text()))), True
    if not found:
        sys.exit(f"refresh: {RESULTS} has no results; see docs/performance.md")
    DOCUMENT.write_text(document)


if __name__ == "__main__":
    main()
