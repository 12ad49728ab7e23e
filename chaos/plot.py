"""A plot of one result: open calls and stale data over time, with what happened. SVG, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT = 760, 240
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 26, 34
LINES = (("open calls", 1, "#1f6feb"), ("stale", 2, "#d1242f"))


def svg(result: dict[str, Any]) -> str:
    """The picture of what `results.write` wrote."""
    samples: list[list[float]] = result["samples"]
    end: float = max([seconds for seconds, *_ in samples] + [seconds for seconds, _ in result["marks"]] + [1.0])
    most: float = max([max(calls, stale) for _, calls, stale in samples] + [1])

    def x(seconds: float) -> float:
        return LEFT + seconds / end * (WIDTH - LEFT - RIGHT)

    def y(count: float) -> float:
        return HEIGHT - BOTTOM - count / most * (HEIGHT - TOP - BOTTOM)

    title = escape("{scenario} {title}, {broker}".format(**result))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-size="11">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="16">{title}</text>',
        *_marks(result["marks"], x),
        *_axis(end, most, x, y),
    ]
    for place, (name, column, colour) in enumerate(LINES):
        points = " ".join(f"{x(sample[0]):.1f},{y(sample[column]):.1f}" for sample in samples)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(f'<text x="{WIDTH - 160 + 80 * place}" y="16" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _marks(marks: Sequence[Sequence[Any]], x: Any) -> list[str]:
    return [
        f'<line x1="{x(seconds):.1f}" x2="{x(seconds):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="{colour}"'
        f' stroke-dasharray="3 3"><title>{escape(str(what))} at {seconds:g} s</title></line>'
        for seconds, what in marks
        for colour in ["#1a7f37" if what == "healed" else "#9a6700"]
    ]


def _axis(end: float, most: float, x: Any, y: Any) -> list[str]:
    base = HEIGHT - BOTTOM
    return [
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}" stroke="black"/>',
        f'<line x1="{LEFT}" x2="{LEFT}" y1="{TOP}" y2="{base}" stroke="black"/>',
        *(
            f'<text x="{x(end * n / 4):.1f}" y="{base + 16}" text-anchor="middle">{end * n / 4:.0f} s</text>'
            for n in range(5)
        ),
        *(
            f'<text x="{LEFT - 6}" y="{y(most * n / 2) + 4:.1f}" text-anchor="end">{most * n / 2:.0f}</text>'
            for n in range(3)
        ),
    ]
