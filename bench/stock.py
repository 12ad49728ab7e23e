"""`python -m bench.stock [--adr]`: what stock kombu and we do on Redis, promise by promise, as a table.

Ends with 0 when we kept every promise and stock broke each: a promise that stock keeps proves nothing here.
"""

from __future__ import annotations

import argparse
import sys
from importlib import metadata
from pathlib import Path

from bench.promises import PROMISES, Promise, Seen
from bench.systems import ROOT, celery
from chaos.servers.redis import RedisServer

ADR = ROOT / "docs" / "adr" / "0018-what-stock-redis-does.md"
BEGIN, END = "<!-- written by python -m bench.stock --adr -->\n", "<!-- end -->\n"
SIDES = {
    "stock": celery("stock kombu", "celery_stock", pool="solo"),
    "ours": celery("ours", "celery_ours", pool="solo"),
}


def main() -> int:
    """Try every promise on both sides and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.stock", description=__doc__)
    parser.add_argument("--adr", action="store_true", help="also write the table into its decision record")
    options = parser.parse_args()
    seen = {title: {side: _try(title, promise, side) for side in SIDES} for title, promise in PROMISES.items()}
    table = _table(seen)
    print(table)
    if options.adr:
        _write(table, ADR)
    return 0 if all(one["ours"].kept and not one["stock"].kept for one in seen.values()) else 1


def _try(title: str, promise: Promise, side: str) -> Seen:
    with RedisServer() as server:
        seen = promise(SIDES[side], server)
    print(f"{side}: {title}: {'kept' if seen.kept else 'broken'}, {seen.what}", file=sys.stderr, flush=True)
    return seen


def _table(seen: dict[str, dict[str, Seen]]) -> str:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("celery", "kombu", "redis"))
    lines = [
        f"| promise | stock ({versions}; Redis {RedisServer().version()}) | ours |",
        "|---|---|---|",
        *(f"| {title} | {_cell(one['stock'])} | {_cell(one['ours'])} |" for title, one in seen.items()),
    ]
    return "\n".join(lines) + "\n"


def _cell(seen: Seen) -> str:
    return f"{'kept' if seen.kept else '**broken**'}: {seen.what}"


def _write(table: str, path: Path) -> None:
    text = path.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    path.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


if __name__ == "__main__":
    raise SystemExit(main())
