"""The progress of an export or import: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

_LINE_EVERY_SECONDS = 5.0
Tell = Callable[[int, int], None]


@contextmanager
def shown_progress(*, quiet: bool = False) -> Iterator[Tell]:
    """Yields what takes the records so far and in all. On stderr, so that stdout holds the summary only."""
    if quiet:
        yield lambda _done, _total: None
    elif sys.stderr.isatty():
        with _bar() as tell:
            yield tell
    else:
        yield _lines()


@contextmanager
def _bar() -> Iterator[Tell]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("records"), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines() -> Tell:
    next_at = time.monotonic() + _LINE_EVERY_SECONDS

    def tell(done: int, total: int) -> None:
        nonlocal next_at
        if time.monotonic() >= next_at:
            typer.echo(f"{done} of {total} records", err=True)
            next_at = time.monotonic() + _LINE_EVERY_SECONDS

    return tell
