"""The progress of an ingestion: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from app.commands.ingest_run import Progress

_LINE_EVERY_SECONDS = 5.0


@contextmanager
def shown_progress(total: int, *, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """Yields what takes the counts. On stderr, so that stdout holds the summary only."""
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        with _bar(total) as tell:
            yield tell
    else:
        yield _Lines().tell


@contextmanager
def _bar(total: int) -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Bar(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=total)

        def tell(progress: Progress) -> None:
            bar.update(task, completed=progress.processed + progress.failed, description=_words(progress))

        yield tell


class _Lines:
    def __init__(self) -> None:
        self._next_at = time.monotonic() + _LINE_EVERY_SECONDS
        self._said = ""

    def tell(self, progress: Progress) -> None:
        words = _words(progress)
        finished = progress.processed + progress.failed == progress.total
        if words != self._said and (finished or time.monotonic() >= self._next_at):
            typer.echo(f"{words} of {progress.total}", err=True)
            self._said, self._next_at = words, time.monotonic() + _LINE_EVERY_SECONDS


def _words(progress: Progress) -> str:
    return f"uploaded {progress.uploaded}, processed {progress.processed}, failed {progress.failed}"
