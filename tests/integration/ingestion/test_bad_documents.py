"""Bad input, each kind a row: that document says `failed` and why, the others complete, nothing is half-written."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import undefer

from app.errors import FetchRefused, TooLarge
from app.models.outbox import CallState, EventRecord, TaskCall
from app.models.resource import IngestionState, PendingUpload, Resource
from app.services import consistency, ingestion
from app.services.library import Library
from app.tasks.task_names import TaskName
from chaos.servers.postgres import PostgresServer
from chaos.servers.redis import RedisServer
from tests.integration.libraries import a_library
from tests.unit.content.pdf_files import encrypted, pdf_with_pages, text_page
from tests.unit.content.web_server import Answer, Handler, WebServer, unused_port, web_server

pytestmark = pytest.mark.integration

MAX_BYTES = 200_000
MAX_TEXT_CHARS = 50_000
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
SENTENCE = "The heron waited beside the frozen mill until the evening came. "
PDF = pdf_with_pages(*(text_page(f"Page {number}.", SENTENCE, SENTENCE) for number in range(8)))
HTML = f"<html><head><title>A mill</title></head><body><main><p>{SENTENCE * 5}</p></main></body></html>".encode()
BOMB_BYTES = 64 * 1024 * 1024


def zip_bomb(name: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, b" " * BOMB_BYTES)
    return packed.getvalue()


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Bytes as somebody sends them, no two alike, and the `type` of the error they end in."""

    data: bytes
    media_type: str | None = None
    name: str | None = None
    error: str = ""


BAD_UPLOADS = {
    "empty file": Upload(data=b"", name="empty.txt", error="document-empty"),
    "blank file": Upload(data=b" \r\n\t\n", name="blank.md", error="document-empty"),
    "html without text": Upload(data=b"<html><body></body></html>", name="page.html", error="document-empty"),
    "pdf with a password": Upload(
        data=encrypted(PDF, user_password="secret"), name="locked.pdf", error="document-encrypted"
    ),
    "png called pdf": Upload(data=PNG, name="scan.pdf", error="document-mislabelled"),
    "png declared as pdf": Upload(data=PNG + b"\x00", media_type="application/pdf", error="document-mislabelled"),
    "pdf called html": Upload(data=PDF, name="page.html", error="document-mislabelled"),
    "html called pdf": Upload(data=HTML, name="paper.pdf", error="document-mislabelled"),
    "truncated pdf": Upload(data=PDF[:400], name="torn.pdf", error="document-broken"),
    "flate bomb in a pdf": Upload(
        data=pdf_with_pages(b"BT /F1 12 Tf " + b" " * BOMB_BYTES + b" ET"),
        name="bomb.pdf",
        error="document-too-large",
    ),
    "zip bomb called html": Upload(data=zip_bomb("a"), name="page.html", error="document-mislabelled"),
    "zip bomb without a label": Upload(data=zip_bomb("b"), error="unsupported-type"),
    "gzip bomb called text": Upload(data=gzip.compress(b" " * BOMB_BYTES), name="a.txt", error="document-mislabelled"),
    "text over the limit": Upload(data=SENTENCE.encode() * 1000, name="huge.txt", error="document-too-large"),
}


def answering(body: bytes, *, status: int = 200, **headers: str) -> Answer:
    def answer(handler: Handler) -> None:
        handler.reply(status, body, **headers)

    return answer


BAD_PAGES: dict[str, tuple[Answer, str]] = {
    "gzip bomb": (
        answering(gzip.compress(b" " * BOMB_BYTES), Content_Type="text/html", Content_Encoding="gzip"),
        "document-too-large",
    ),
    "flate bomb": (
        answering(zlib.compress(b" " * BOMB_BYTES), Content_Type="text/html", Content_Encoding="deflate"),
        "document-too-large",
    ),
    "damaged gzip": (
        answering(b"this is not gzip", Content_Type="text/html", Content_Encoding="gzip"),
        "document-broken",
    ),
    "body over the limit": (answering(b"x " * MAX_BYTES, Content_Type="text/plain"), "document-too-large"),
    "empty page": (answering(b"", Content_Type="text/html"), "document-empty"),
    "png called html": (answering(PNG, Content_Type="text/html"), "document-mislabelled"),
    "image": (answering(PNG, Content_Type="image/png"), "unsupported-type"),
    "no such page": (answering(b"gone", status=404), "fetch-failed"),
    "redirect to loopback": (
        answering(b"", status=302, Location=f"http://127.0.0.1:{unused_port()}/admin"),
        "fetch-refused",
    ),
    "redirect to localhost": (answering(b"", status=301, Location="http://localhost/"), "fetch-refused"),
    "redirect to the metadata service": (
        answering(b"", status=307, Location="http://169.254.169.254/latest/meta-data/"),
        "fetch-refused",
    ),
    "redirect to a v4-mapped address": (
        answering(b"", status=302, Location="http://[::ffff:127.0.0.1]/"),
        "fetch-refused",
    ),
    "redirect to a file": (answering(b"", status=302, Location="file:///etc/passwd"), "fetch-refused"),
    "redirect to itself": (answering(b"", status=302, Location="#again"), "fetch-refused"),
}

FORBIDDEN_AT_THE_DOOR = [
    "http://169.254.169.254/",
    "http://127.0.0.1/",
    "http://localhost/",
    "http://10.0.0.1/",
    "http://192.168.1.1/index.html",
    "http://172.16.0.9/",
    "http://[::1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[fd00::1]/",
    "http://0x7f000001/",
    "http://2130706433/",
    "file:///etc/passwd",
    "ftp://example.com/file",
    "gopher://example.com/",
    "http://user:password@example.com/",
    "http://example.com:22/",
]


@pytest.fixture(scope="module")
def web() -> Iterator[WebServer]:
    with web_server() as server:
        server.answers["/good.html"] = answering(HTML, Content_Type="text/html")
        yield server


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def library(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: PostgresServer,
    redis_server: RedisServer,
    web: WebServer,
) -> Iterator[Library]:
    path: Path = tmp_path_factory.mktemp("bad-documents") / "library.sqlite3"
    url = f"sqlite:///{path}" if request.param == "sqlite" else postgres_server.create_database()
    with a_library(
        database_url=url,
        cache_url=redis_server.database_url(6),
        ingest_max_bytes=MAX_BYTES,
        ingest_max_text_chars=MAX_TEXT_CHARS,
        ingest_fetch_timeout_seconds=10,
        ingest_allowed_private_hosts=(web.authority,),
    ) as library:
        yield library
    if request.param == "postgresql":
        postgres_server.drop_database(url)


@pytest.mark.parametrize("kind", BAD_UPLOADS)
def test_a_bad_upload_fails_with_its_reason_and_its_neighbours_complete(library: Library, kind: str) -> None:
    bad = BAD_UPLOADS[kind]
    before = good_upload(library, "before")
    failed = send(library, bad)
    after = good_upload(library, "after")

    for resource_id in (before, failed, after):
        ingestion.ingest(library, resource_id, work=library.work)

    assert_failed(library, failed, error=bad.error)
    assert_completed(library, before)
    assert_completed(library, after)


@pytest.mark.parametrize("kind", BAD_PAGES)
def test_a_bad_page_fails_with_its_reason_and_its_neighbour_completes(
    library: Library, web: WebServer, kind: str
) -> None:
    path = "/" + kind.replace(" ", "-")
    web.answers[path], error = BAD_PAGES[kind]
    failed = ingestion.request_url(library, web.url(path)).resource_id
    good = ingestion.request_url(library, web.url(f"/good.html?beside={path}")).resource_id

    ingestion.ingest(library, failed, work=library.work)
    ingestion.ingest(library, good, work=library.work)

    assert_failed(library, failed, error=error)
    assert_completed(library, good)


@pytest.mark.parametrize("url", FORBIDDEN_AT_THE_DOOR)
def test_a_forbidden_address_is_refused_at_the_door_and_leaves_nothing(library: Library, url: str) -> None:
    before = count(library)

    with pytest.raises(FetchRefused) as refused:
        ingestion.request_url(library, url)

    assert refused.value.status == 422
    assert refused.value.detail
    assert count(library) == before


def test_an_upload_over_the_limit_is_refused_at_the_door_and_leaves_nothing(library: Library) -> None:
    before = count(library)

    with pytest.raises(TooLarge):
        ingestion.request_upload(library, b"x" * (MAX_BYTES + 1), media_type="text/plain", file_name="a.txt")

    assert count(library) == before


@pytest.mark.parametrize(
    "upload",
    [
        Upload(data=b"Caf\xe9 society, \xff\xfe and \xc3( more words.", name="latin.txt"),
        Upload(data=b"Words\x00with\x00nothing\x00between them", name="nul.txt"),
        Upload(data=b"<html><body><main><p>A mill\x00 \xe9t\xe9 \xed\xa0\x80" + b" words" * 40, name="bad.html"),
        Upload(data="Lone \ud800 surrogate and more words".encode("utf-8", "surrogatepass"), name="lone.md"),
        Upload(data="A mill in UTF-16".encode("utf-16"), name="wide.txt"),
        Upload(data=bytes(range(256)) * 20, name="everything.txt"),
    ],
    ids=lambda upload: upload.name,
)
def test_bytes_that_are_no_text_are_decoded_or_refused_and_never_stored_broken(
    library: Library, upload: Upload
) -> None:
    resource_id = send(library, upload)

    ingestion.ingest(library, resource_id, work=library.work)

    resource = read(library, resource_id)
    if resource.ingestion_status == IngestionState.FAILED:
        assert_failed(library, resource_id, error=str((resource.ingestion_error or {})["type"]))
        return
    assert_completed(library, resource_id)
    for text in (resource.content or "", resource.title):
        assert "\x00" not in text
        assert text.encode("utf-8").decode("utf-8") == text


def test_latin_letters_outside_utf_8_are_read(library: Library) -> None:
    resource_id = send(library, Upload(data="Été à la mer, déjà vu.".encode("latin-1") * 3, name="ete.txt"))

    ingestion.ingest(library, resource_id, work=library.work)

    assert "déjà vu" in (read(library, resource_id).content or "")


def test_a_failed_upload_that_is_sent_again_is_tried_again(library: Library) -> None:
    torn = Upload(data=PDF[:500], name="torn again.pdf", error="document-broken")
    first = send(library, torn)
    ingestion.ingest(library, first, work=library.work)
    assert_failed(library, first, error="document-broken")

    receipt = ingestion.request_upload(library, torn.data, media_type=None, file_name=torn.name)

    assert (receipt.resource_id, receipt.created) == (first, False)
    resource = read(library, first)
    assert (resource.ingestion_status, resource.ingestion_error) == (IngestionState.PENDING, None)
    with library.database.reader() as session:
        assert session.get_one(PendingUpload, first).data == torn.data
        call = session.get_one(TaskCall, receipt.call_id)
        assert (call.task, call.state) == (TaskName.INGEST_RESOURCE, CallState.WAITING)
    ingestion.ingest(library, first, work=library.work)
    assert_failed(library, first, error="document-broken", times=2)


def test_a_failed_page_that_has_come_back_completes_when_asked_for_again(library: Library, web: WebServer) -> None:
    url = web.url("/comes-back.html")
    first = ingestion.request_url(library, url).resource_id
    ingestion.ingest(library, first, work=library.work)
    assert_failed(library, first, error="fetch-failed")
    web.answers["/comes-back.html"] = answering(HTML, Content_Type="text/html")

    again = ingestion.request_url(library, url)
    ingestion.ingest(library, again.resource_id, work=library.work)

    web.answers.pop("/comes-back.html")
    assert again.resource_id == first
    assert_completed(library, first)


def send(library: Library, upload: Upload) -> UUID:
    return ingestion.request_upload(
        library, upload.data, media_type=upload.media_type, file_name=upload.name
    ).resource_id


def good_upload(library: Library, name: str) -> UUID:
    number = count(library)
    return send(library, Upload(data=f"{name} {number}. {SENTENCE * 3}".encode(), name=f"{name}.txt"))


def count(library: Library) -> int:
    with library.database.reader() as session:
        return session.scalar(select(func.count()).select_from(Resource)) or 0


def read(library: Library, resource_id: UUID) -> Resource:
    with library.database.reader() as session:
        return session.get_one(Resource, resource_id, options=[undefer(Resource.content)])


def assert_failed(library: Library, resource_id: UUID, *, error: str, times: int = 1) -> None:
    """It says why, and nothing of it is left behind."""
    resource = read(library, resource_id)
    assert resource.ingestion_status == IngestionState.FAILED
    assert resource.ingestion_error is not None
    assert resource.ingestion_error["type"] == error, resource.ingestion_error
    assert resource.ingestion_error["detail"]
    assert resource.content is None
    assert resource.content_version == 0
    with library.database.reader() as session:
        assert session.get(PendingUpload, resource_id) is None
        status = consistency.resource_status(session, resource)
        failures = [event for event in events_of(library, resource_id) if event.name == "ingestion.failed"]
    assert status["ingestion"]["state"] == "failed"
    assert status["ingestion"]["error"] == resource.ingestion_error
    assert [failure.data["error"] for failure in failures] == [resource.ingestion_error] * times
    assert not {event.name for event in events_of(library, resource_id)} & {"resource.created", "ingestion.completed"}


def assert_completed(library: Library, resource_id: UUID) -> None:
    resource = read(library, resource_id)
    assert (resource.ingestion_status, resource.ingestion_error) == (IngestionState.COMPLETED, None)
    assert resource.content
    assert resource.content_version == 1
    with library.database.reader() as session:
        assert session.get(PendingUpload, resource_id) is None
    names = [event.name for event in events_of(library, resource_id)]
    assert names.count("resource.created") == names.count("ingestion.completed") == 1


def events_of(library: Library, resource_id: UUID) -> list[EventRecord]:
    with library.database.reader() as session:
        return list(session.scalars(select(EventRecord).where(EventRecord.subject == resource_id)))
