"""Two runs of `alexandria export` to one file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.commands.api_client import ApiClient
from app.commands.export_run import export_to
from app.errors import ApiUnavailable, InvalidInput

HEADER = json.dumps({"record": "library", "format": 1, "counts": {"resource": 2}}).encode() + b"\n"
RECORDS = [b'{"record":"resource","number":1}\n', b'{"record":"resource","number":2}\n']


class Exports(ApiClient):
    """A library of two records."""

    def __init__(self, *, count: int = 2) -> None:
        super().__init__("http://127.0.0.1:9", patience_seconds=0)
        self.count = count

    def lines(self, path: str) -> Iterator[bytes]:
        assert path == "/export"
        yield from (HEADER, *RECORDS[: self.count])


def silent(_done: int, _total: int) -> None:
    """Nobody watches."""


def test_a_second_export_to_a_file_is_refused_while_the_first_writes_it(tmp_path: Path) -> None:
    file = tmp_path / "library.ndjson"
    refused: list[str] = []

    def meanwhile(done: int, _total: int) -> None:
        if done == 1:
            with pytest.raises(InvalidInput) as error:
                export_to(Exports(), file, tell=silent)
            refused.append(error.value.detail)

    assert export_to(Exports(), file, tell=meanwhile) == 2

    assert refused == [f"another export is writing {tmp_path / 'library.ndjson.part'}"]
    assert file.read_bytes() == b"".join((HEADER, *RECORDS))
    assert [path.name for path in tmp_path.iterdir()] == ["library.ndjson"]


def test_what_an_export_left_that_ended_early_is_begun_anew(tmp_path: Path) -> None:
    file = tmp_path / "library.ndjson"
    with pytest.raises(ApiUnavailable, match="1 of 2"):
        export_to(Exports(count=1), file, tell=silent)
    assert not file.exists()

    assert export_to(Exports(), file, tell=silent) == 2
    assert file.read_bytes() == b"".join((HEADER, *RECORDS))
