"""`python -m bench [ROW…] [--seed N] [--trial DIRECTORY [--rounds N] [--share X]]`, and `python -m bench --table`."""

from __future__ import annotations

import argparse
import os
import random
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from bench import results, table
from bench.results import FEWEST_ROUNDS, RESULTS
from bench.rounds import Rounds
from bench.rows import ROWS
from bench.servers import Servers


def main() -> int:
    """Measure the rows in one run, write their files and the table. 1: one of them has not reached what it is to."""
    options = _options()
    measured = [] if options.table else list(options.rows or ROWS)
    if not options.table:
        seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
        print(f"seed {seed}; load average {os.getloadavg()[0]:.2f}: a quiet machine has less than 0.5", file=sys.stderr)
        with ExitStack() as stack:
            servers = Servers(stack)
            for row in measured:
                _measure(
                    row, servers, Rounds(count=options.rounds, seed=seed, share=options.share), options.trial or RESULTS
                )
    where = options.trial or RESULTS
    print(table.write(where, where / "table.md" if options.trial else RESULTS.parent / "README.md"))
    missed = table.missed(where, measured)
    for one in missed:
        print(f"not reached: {one}", file=sys.stderr)
    return 1 if missed else 0


def _measure(row: str, servers: Servers, rounds: Rounds, where: Path) -> None:
    began = datetime.now(UTC)
    found = ROWS[row].measure(servers, rounds)
    path = results.write(
        row, ROWS[row].title, found, rounds=rounds, began=began, servers=servers.versions(), where=where
    )
    print(f"{row}  written to {path}", file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; all when none is named")
    parser.add_argument("--rounds", type=int, default=FEWEST_ROUNDS)
    parser.add_argument("--share", type=float, default=1.0, help="of the calls, ingestions or documents of a row")
    parser.add_argument("--seed", type=int, help="of the order of the sides; drawn, printed and stored when not given")
    parser.add_argument("--trial", type=Path, metavar="DIRECTORY", help="write there, and leave the kept results alone")
    parser.add_argument("--table", action="store_true", help="only write the table anew")
    options = parser.parse_args()
    unknown = set(options.rows) - set(ROWS)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    if (options.rounds < FEWEST_ROUNDS or options.share < 1) and not options.trial:
        parser.error(
            f"fewer than {FEWEST_ROUNDS} rounds, or fewer calls, are a trial: say where with --trial DIRECTORY"
        )
    return options


if __name__ == "__main__":
    raise SystemExit(main())
