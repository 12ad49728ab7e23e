"""One run of `alexandria import`: lines sent in their order, and what became of each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from app.commands.api_client import ApiClient
from app.errors import ApiRefused
from app.services.archives import check_header

LINES_AT_ONCE = 50
BYTES_AT_ONCE = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    first_line: int
    lines: list[bytes]


@dataclass(slots=True, kw_only=True)
class ImportRun:
    """Reads `file` line by line. `missing`: how many records the first line promised that did not come."""

    client: ApiClient
    file: Path
    tell: Callable[[int, int], None]
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, str]] = field(default_factory=list)
    missing: int = 0
    done: int = 0

    def run(self, *, strict: bool) -> None:
        """Send every line. `strict`: only when a look at all of them has found none that could not be taken.

        Raises `InvalidInput` when the file is no export, `ApiUnavailable`.
        """
        total = self._total()
        if strict:
            self._send_all(total, check=True)
            if self.failures or self.missing:
                self.outcomes.clear()
                return
        self._send_all(total, check=False)

    def _total(self) -> int:
        with self.file.open("rb") as lines:
            first = lines.readline(100_000)
        try:
            said = json.loads(first)
        except (ValueError, RecursionError):
            said = {}
        return sum(check_header(said if isinstance(said, dict) else {}).values())

    def _send_all(self, total: int, *, check: bool) -> None:
        self.outcomes.clear()
        self.done = 0
        for batch in self._batches():
            self._send(batch, check=check)
            self.done += sum(map(bool, map(bytes.strip, batch.lines)))  # a blank line is no record
            self.tell(self.done, total)
        self.missing = max(total - self.done, 0)

    def _send(self, batch: _Batch, *, check: bool) -> None:
        try:
            report = self.client.post_lines("/import", batch.lines, check=check)
        except ApiRefused as error:
            if len(batch.lines) > 1:  # one of them is too much for the API: which?
                for number, line in enumerate(batch.lines):
                    self._send(_Batch(first_line=batch.first_line + number, lines=[line]), check=check)
                return
            self.failures.append((batch.first_line, error.detail))
            return
        self.outcomes.update(report["outcomes"])
        self.failures += [(batch.first_line + one["line"] - 1, one["detail"]) for one in report["failures"]]

    def _batches(self) -> Iterator[_Batch]:
        """Lines after the first, some at once."""
        lines: list[bytes] = []
        first = 2
        with self.file.open("rb") as file:
            file.readline()
            for number, line in enumerate(file, start=2):
                if not lines:
                    first = number
                lines.append(line.rstrip(b"\n"))
                if len(lines) >= LINES_AT_ONCE or sum(map(len, lines)) >= BYTES_AT_ONCE:
                    yield _Batch(first_line=first, lines=lines)
                    lines = []
        if lines:
            yield _Batch(first_line=first, lines=lines)
