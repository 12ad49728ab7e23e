"""The load on the API while things break: a seeded mix of creates, edits and deletes at a steady rate."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from chaos.client import LedgerClient
from chaos.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """At least `writes` in all, `per_second`; once there are `resources`, edits and now and then a delete.

    `fast_writes`: as many are enough in the fast set. `deletes`: the share of writes that delete. `words`: the length
    of a text.
    """

    writes: int = 100
    fast_writes: int = 60
    per_second: float = 3.0
    resources: int = 30
    deletes: float = 0.04
    words: int = 12

    def described(self, *, is_fast: bool) -> str:
        """In words, for the results."""
        least = self.fast_writes if is_fast else self.writes
        return (
            f"≥ {least} writes at {self.per_second:g}/s over {self.resources} resources,"
            f" {self.deletes:.0%} deletes, {self.words} words each"
        )


AUTHORS = 7
COMPARED = Load(per_second=5.0)
"""Where the times of writes are compared: more of them."""


class Workload:
    """A thread that writes until it is stopped. Inside the `with` it writes."""

    def __init__(self, url: str, ledger: Ledger, load: Load, *, seed: int) -> None:
        self._client = LedgerClient(url, ledger)
        self._ledger = ledger
        self._load = load
        self._random = random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write_until_stopped, name="workload", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Finish the write in hand and write no more. Twice is quiet."""
        self._stop.set()
        self._thread.join(60)
        self._client.close()

    def _write_until_stopped(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            self.write()
            due = max(due + 1 / self._load.per_second, time.monotonic())  # what was late is not caught up in a burst

    def write(self) -> None:
        """One more of the mix."""
        live = [one for one, entry in self._ledger.entries.items() if not (entry.maybe_deleted or entry.left_alone)]
        text = text_of(self._random, words=self._load.words)
        if len(live) < self._load.resources:
            number = len(self._ledger.entries)
            self._client.create(title=f"Ledger {number}", content=text, creator=f"Ledger, Ada {number % AUTHORS}")
        elif self._random.random() < self._load.deletes:
            self._client.delete(self._random.choice(live))
        else:
            self._client.edit(self._random.choice(live), content=text)


def text_of(source: random.Random, *, words: int) -> str:
    """A text that no other draw of the seed gives."""
    return f"Entry {source.getrandbits(64):016x} " + " ".join(f"word{source.randrange(5000)}" for _ in range(words))
