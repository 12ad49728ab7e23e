"""`alexandria export` and `import` against a real server: whole files, broken ones, and those cut off."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest
from fastapi.testclient import TestClient
from starlette.types import Message

from app.commands.api_client import ApiClient
from app.commands.export_run import export_to
from app.commands.import_run import ImportRun
from app.errors import ApiUnavailable, InvalidInput
from app.main import create_app
from tests.integration.api.conftest import MakeLibrary, nobody_listens
from tests.integration.api.serving import served
from tests.integration.libraries import a_library

pytestmark = pytest.mark.integration

Told = list[tuple[int, int]]


CODES = 99
"""Every library begins with so many."""
RECORDS = CODES + 120
SETTINGS = {"max_body_bytes": 100_000, "exports_max": 1, "rate_limit_loopback_per_minute": 0}


@pytest.fixture
def client(make_library: MakeLibrary) -> Iterator[ApiClient]:
    with served(create_app(make_library(**SETTINGS))) as address, ApiClient(address, patience_seconds=0.0) as client:
        yield client


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The export of a library of 120 documents."""
    directory = tmp_path_factory.mktemp("exported")
    library = a_library(
        database_url=f"sqlite:///{directory / 'library.sqlite3'}",
        broker_url=nobody_listens(),
        cache_url=nobody_listens(),
        **SETTINGS,
    )
    with library as its_library, served(create_app(its_library)) as address, ApiClient(address) as client:
        for number in range(120):
            client.post("/resources", {"title": f"Owl {number}"})
        assert export_to(client, directory / "library.ndjson", tell=silent) == RECORDS
    return (directory / "library.ndjson").read_bytes()


@pytest.fixture
def file(exported: bytes, tmp_path: Path) -> Path:
    """The export, to be read into an empty library."""
    file = tmp_path / "library.ndjson"
    file.write_bytes(exported)
    return file


def silent(_done: int, _total: int) -> None:
    """Nobody watches."""


def run(client: ApiClient, file: Path, *, strict: bool = False, tell: Callable[[int, int], None] = silent) -> ImportRun:
    importing = ImportRun(client=client, file=file, tell=tell)
    importing.run(strict=strict)
    return importing


def titles(client: ApiClient) -> set[str]:
    return {found["title"] for found in client.resources()}


def test_a_file_is_read_back_with_its_progress_told(client: ApiClient, file: Path) -> None:
    told: Told = []

    done = run(client, file, tell=lambda *counts: told.append(counts))

    assert told == [(done, RECORDS) for done in (50, 100, 150, 200, RECORDS)]
    assert (done.outcomes, done.failures, done.missing) == ({"created": 120, "unchanged": CODES}, [], 0)
    assert titles(client) == {f"Owl {number}" for number in range(120)}
    assert run(client, file).outcomes == {"unchanged": RECORDS}


def test_what_was_deleted_comes_back_as_a_later_version(client: ApiClient, file: Path) -> None:
    run(client, file)
    for one in client.resources():
        client.delete(f"/resources/{one['id']}")

    assert run(client, file).outcomes == {"created": 120, "unchanged": CODES}
    assert titles(client) == {f"Owl {number}" for number in range(120)}
    assert run(client, file).outcomes == {"unchanged": CODES, "kept": 120}


def test_broken_lines_and_one_that_is_too_long_are_named_by_their_numbers(client: ApiClient, file: Path) -> None:
    lines = file.read_bytes().split(b"\n")
    record = json.loads(lines[1 + CODES])
    lines[160] = b"{"
    lines[170] = json.dumps({**record, "content": "x" * 200_000}).encode()
    file.write_bytes(b"\n".join(lines))

    done = run(client, file)

    assert [line for line, _ in done.failures] == [161, 171]
    assert done.outcomes == {"created": 118, "unchanged": CODES}


def test_strict_takes_nothing_when_one_line_is_broken(client: ApiClient, file: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b'"title":"Owl 99"', b'"title":99'))
    refused = run(client, file, strict=True)
    assert (len(refused.failures), refused.outcomes) == (1, {})
    assert titles(client) == set()

    file.write_bytes(whole)
    assert run(client, file, strict=True).outcomes == {"created": 120, "unchanged": CODES}


def test_a_file_that_was_cut_off_says_how_much_is_missing(client: ApiClient, file: Path) -> None:
    lines = file.read_bytes().split(b"\n")
    file.write_bytes(b"\n".join(lines[:131]))

    assert run(client, file).missing == RECORDS - 130
    file.write_bytes(b"\n".join([*lines[:131], *[b"", b" \r"] * 50]))
    assert run(client, file).missing == RECORDS - 130


@pytest.mark.parametrize(
    "text", [b"", b"An owl.", b"[]", b'{"record":"library","format":2,"counts":{}}', b'{"record":"resource"}']
)
def test_what_is_no_export_is_refused_as_a_whole(client: ApiClient, tmp_path: Path, text: bytes) -> None:
    (tmp_path / "owl.txt").write_bytes(text)

    with pytest.raises(InvalidInput):
        run(client, tmp_path / "owl.txt")


def test_an_export_that_ends_early_leaves_the_last_one_as_it_is(client: ApiClient, file: Path) -> None:
    class Cut(ApiClient):
        """Loses its server in the middle."""

        def lines(self, path: str) -> Iterator[bytes]:
            whole = list(super().lines(path))
            yield from whole[: len(whole) // 2]

    before = file.read_bytes()
    run(client, file)
    with Cut(client.address) as cut, pytest.raises(ApiUnavailable, match=f"{RECORDS // 2} of {RECORDS}"):
        export_to(cut, file, tell=silent)

    assert file.read_bytes() == before


def test_only_so_many_exports_run_at_once(make_library: MakeLibrary) -> None:
    app = create_app(make_library(exports_max=1))
    client = TestClient(app, base_url="http://localhost")
    app.state.context.exports.acquire()
    refused = client.get("/export")
    app.state.context.exports.release()

    assert (refused.status_code, refused.json()["detail"].split()[-3:]) == (429, ["allows", "are", "running"])
    assert [client.get("/export").status_code for _ in range(3)] == [200] * 3


def test_a_client_that_leaves_before_the_first_line_keeps_nobody_from_exporting(make_library: MakeLibrary) -> None:
    app = create_app(make_library(exports_max=1))
    heard = iter([{"type": "http.request", "body": b"", "more_body": False}])
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/export",
        "raw_path": b"/export",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }

    async def receive() -> Message:
        return next(heard, {"type": "http.disconnect"})

    async def send(_message: Message) -> None:
        """Nobody is there."""

    anyio.run(app, scope, receive, send)

    assert app.state.context.exports.acquire(blocking=False)
