#!/usr/bin/env -S python3 -B
"""plot.py RESULTS.json: what scaling.py measured, as SVG: a panel for each axis, the median and the range of the rounds."""
from __future__ import annotations

import json
import math
import statistics
import sys
from pathlib import Path

WIDTH, HEIGHT, LEFT, TOP, GAP = 380, 230, 62, 34, 18
COLOURS = {"repeated": "#0b6e99", "new": "#c2571a"}


def rounded(value: float) -> float:
    """The next of 1, 2 and 5 times a power of ten."""
    power = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def short(value: float) -> str:
    return f"{value / 1e6:g}M" if value >= 1e6 else f"{value / 1e3:g}k" if value >= 1e3 else f"{value:g}"


def panel(axis: str, points: list[dict], x: float, y: float) -> list[str]:
    width, height = WIDTH - LEFT - GAP, HEIGHT - TOP - 44
    places = sorted({point["at"] for point in points})
    top = rounded(max(max(point["rates"]) for point in points))
    low, high = math.log(places[0]), math.log(places[-1])

    def across(at: int) -> float:
        return x + LEFT + (math.log(at) - low) / ((high - low) or 1) * width

    def up(rate: float) -> float:
        return y + TOP + height - rate / top * height

    size = f"{points[0]['alerts']} a request"
    lines = [f'<text x="{x + LEFT}" y="{y + 20}" class="title">{axis}'
             + ("" if axis == "alerts a request" else f", {size}") + "</text>"]
    for place in range(5):
        rate = top * place / 4
        lines.append(f'<path d="M{x + LEFT} {up(rate):.1f}h{width}" class="grid"/>')
        lines.append(f'<text x="{x + LEFT - 6}" y="{up(rate) + 4:.1f}" text-anchor="end">{short(rate)}</text>')
    for at in places:
        lines.append(f'<text x="{across(at):.1f}" y="{y + TOP + height + 18}" text-anchor="middle">{short(at)}</text>')
    for kind, colour in COLOURS.items():
        mine = sorted((point for point in points if point["kind"] == kind), key=lambda point: point["at"])
        if not mine:
            continue
        path = " ".join(f"{across(point['at']):.1f},{up(statistics.median(point['rates'])):.1f}" for point in mine)
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for point in mine:
            middle = across(point["at"])
            lines.append(f'<path d="M{middle:.1f} {up(min(point["rates"])):.1f}V{up(max(point["rates"])):.1f}" stroke="{colour}"/>')
            lines.append(f'<circle cx="{middle:.1f}" cy="{up(statistics.median(point["rates"])):.1f}" r="3.5" fill="{colour}"/>')
    return lines


def plot(content: dict) -> str:
    axes = list(dict.fromkeys(point["axis"] for point in content["points"]))
    rows = math.ceil(len(axes) / 2)
    width, height = 2 * WIDTH + GAP, rows * HEIGHT + 34
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        "<style>text{font:12px sans-serif;fill:#333}.title{font-weight:bold}.grid{stroke:#ddd}</style>",
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for place, axis in enumerate(axes):
        mine = [point for point in content["points"] if point["axis"] == axis]
        lines += panel(axis, mine, place % 2 * (WIDTH + GAP), place // 2 * HEIGHT)
    across = float(LEFT)
    for kind, colour in COLOURS.items():
        lines.append(f'<circle cx="{across}" cy="{height - 18}" r="4" fill="{colour}"/>'
                     f'<text x="{across + 10}" y="{height - 14}">{kind}, alerts/s</text>')
        across += 140
    return "\n".join([*lines, "</svg>"]) + "\n"


if __name__ == "__main__":
    print(plot(json.loads(Path(sys.argv[1]).read_text())), end="")
