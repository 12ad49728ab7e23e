"""`alexandria ingest` against a real server: what it sends, and what it says of what it cannot send."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.commands.api_client import ApiClient
from app.commands.ingest_run import IngestRun, Item, State, items_of
from app.main import create_app
from tests.integration.api.conftest import MakeLibrary
from tests.integration.api.serving import served

pytestmark = pytest.mark.integration


@pytest.fixture
def address(make_library: MakeLibrary) -> Iterator[str]:
    with served(create_app(make_library())) as address:
        yield address


def sent(client: ApiClient, items: list[Item]) -> list[Item]:
    IngestRun(client=client, items=items, tell=lambda _: None).run(wait=False)
    return items


def test_a_file_whose_name_is_no_utf8_is_sent_like_any_other(address: str, tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("An owl sees at night.")
    (tmp_path / "plain.txt").write_text("A mouse hears by day.")

    with ApiClient(address) as client:
        items = sent(client, items_of([str(tmp_path)]))

        assert [item.state for item in items] == [State.SENT, State.SENT]
        assert sorted(Path(item.label).name for item in items) == ["caf\ufffd.txt", "plain.txt"]
        assert {found["id"] for found in client.resources()} == {item.resource_id for item in items}


class BrokenClient(ApiClient):
    """Fails in a way that nobody has foreseen."""

    def upload(self, file: Path, *, media_type: str | None) -> Any:
        if file.name == "bad.txt":
            raise ValueError("an owl")
        return super().upload(file, media_type=media_type)


def test_a_file_that_fails_in_an_unforeseen_way_has_its_reason_and_stops_no_other(address: str, tmp_path: Path) -> None:
    for name in ("a.txt", "bad.txt", "c.txt"):
        (tmp_path / name).write_text(f"An owl sees {name} at night.")

    with BrokenClient(address) as client:
        items = sent(client, items_of([str(tmp_path)]))

    assert [item.state for item in items] == [State.SENT, State.FAILED, State.SENT]
    assert items[1].reason == "it could not be sent: ValueError: an owl"
