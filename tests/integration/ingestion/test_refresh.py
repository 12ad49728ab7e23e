"""What becomes of a page that is fetched, edited and fetched again: no accepted request and no edit is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.orm import undefer

from app.errors import FetchUnavailable
from app.events import execution
from app.events.execution import StartedCall
from app.models.base import now
from app.models.outbox import CallState, TaskCall
from app.models.resource import IngestionState, Resource
from app.services import consistency, ingestion, ingestion_requests, resources, search_indexing
from app.services.library import Library
from app.services.unit_of_work import UnitOfWork
from tests.integration.ingestion.bad_input import answering
from tests.unit.content.web_server import WebServer

pytestmark = pytest.mark.integration


def publish(web: WebServer, text: str, *, path: str | None = None, title: str = "A mill") -> str:
    """The path of a page with this text."""
    path = path or f"/{uuid4()}"
    page = f"<html><head><title>{title}</title></head><body><main><p>{text}</p></main></body></html>"
    web.answers[path] = answering(page.encode(), Content_Type="text/html; charset=utf-8")
    return path


def request(library: Library, web: WebServer, path: str) -> tuple[UUID, UUID]:
    """The resource, and the call that is to read it."""
    receipt = ingestion_requests.request_url(library, web.url(path), refresh=True)
    assert receipt.call_id is not None
    return receipt.resource_id, receipt.call_id


def start(library: Library, call_id: UUID) -> StartedCall:
    with library.database.writer() as session:
        call = session.get_one(TaskCall, call_id)
        call.state = CallState.SENT
        session.flush()
        started = execution.start(
            session,
            call_id,
            generation=call.generation,
            owner=str(uuid4()),
            lease=timedelta(minutes=1),
            moment=now(),
        )
    assert started is not None
    return started


def run(library: Library, call: StartedCall, *, before_writing: Callable[[], None] = lambda: None) -> None:
    """What a worker does with the call."""

    @contextmanager
    def work() -> Iterator[UnitOfWork]:
        before_writing()
        with library.work(call=call) as unit:
            yield unit

    assert call.subject is not None
    ingestion.ingest(library, call.subject, work=work)


def fetch(library: Library, web: WebServer, path: str) -> UUID:
    resource_id, call_id = request(library, web, path)
    run(library, start(library, call_id))
    return resource_id


def read(library: Library, resource_id: UUID) -> Resource:
    with library.database.reader() as session:
        return session.get_one(Resource, resource_id, options=[undefer(Resource.content)])


def ingestion_status(library: Library, resource_id: UUID) -> dict[str, object]:
    with library.database.reader() as session:
        status = consistency.resource_status(
            session, session.get_one(Resource, resource_id), embedding_model=library.embedding_model
        )
    shown: dict[str, object] = status["ingestion"]
    return shown


def test_a_refresh_accepted_while_the_old_page_is_being_read_fetches_the_new_one(
    library: Library, web: WebServer
) -> None:
    path = publish(web, "The old words.")
    resource_id, first = request(library, web, path)
    accepted: list[UUID] = []

    def the_page_changes() -> None:
        publish(web, "The new words.", path=path)
        accepted.append(request(library, web, path)[1])

    run(library, start(library, first), before_writing=the_page_changes)
    between = read(library, resource_id)
    [second] = accepted
    run(library, start(library, second))

    assert second != first
    assert (between.content, between.ingestion_status) == ("The old words.", IngestionState.PENDING)
    after = read(library, resource_id)
    assert (after.content, after.ingestion_status) == ("The new words.", IngestionState.COMPLETED)


def test_a_failure_does_not_hide_the_refresh_that_is_still_to_come(library: Library, web: WebServer) -> None:
    path = f"/{uuid4()}"
    resource_id, first = request(library, web, path)
    accepted: list[UUID] = []
    call = start(library, first)

    run(library, call, before_writing=lambda: accepted.append(request(library, web, path)[1]))

    assert read(library, resource_id).ingestion_status == IngestionState.PENDING
    publish(web, "Here at last.", path=path)
    run(library, start(library, accepted[0]))
    assert read(library, resource_id).content == "Here at last."


def test_a_slow_reading_of_the_old_page_never_replaces_the_new_one(library: Library, web: WebServer) -> None:
    path = publish(web, "The old words.")
    resource_id, first = request(library, web, path)
    slow = start(library, first)

    def another_is_faster() -> None:
        publish(web, "The new words.", path=path)
        run(library, start(library, request(library, web, path)[1]))

    run(library, slow, before_writing=another_is_faster)

    assert read(library, resource_id).content == "The new words."


def test_a_refresh_fetches_the_address_that_was_asked_for_whatever_the_source_says(
    library: Library, web: WebServer
) -> None:
    path, other = publish(web, "The mill."), publish(web, "Another page.")
    resource_id = fetch(library, web, path)
    resources.update(library, resource_id, {"source": web.url(other)})
    publish(web, "The mill, rebuilt.", path=path)

    assert fetch(library, web, path) == resource_id

    assert read(library, resource_id).content == "The mill, rebuilt."


def test_a_page_of_a_very_long_address_is_known_again(library: Library, web: WebServer) -> None:
    path = publish(web, "The mill.")
    # Of no pattern, so that no database can store it smaller than it is.
    long = f"{path}?q=" + "".join(uuid4().hex for _ in range(120))

    resource_id = fetch(library, web, long)

    assert fetch(library, web, long) == resource_id
    found = read(library, resource_id)
    assert (found.content, found.fetch_url) == ("The mill.", web.url(long))


def test_an_unchanged_page_never_reverts_a_correction(library: Library, web: WebServer) -> None:
    path = publish(web, "Teh mill.")
    resource_id = fetch(library, web, path)
    resources.update(library, resource_id, {"content": "The mill.", "title": "My mill"})

    fetch(library, web, path)

    found = read(library, resource_id)
    assert (found.content, found.title, found.content_version) == ("The mill.", "My mill", 2)


def test_a_changed_page_never_replaces_a_correction(library: Library, web: WebServer) -> None:
    path = publish(web, "Teh mill.")
    resource_id = fetch(library, web, path)
    resources.update(library, resource_id, {"content": "The mill."})

    for text in ("Teh mill, rebuilt.", "Teh mill, burnt down."):
        publish(web, text, path=path)
        fetch(library, web, path)

    found = read(library, resource_id)
    assert (found.content, found.content_version) == ("The mill.", 2)


def test_what_was_written_before_the_first_reading_stays(library: Library, web: WebServer) -> None:
    path = publish(web, "The page.", title="The page's title")
    resource_id, call_id = request(library, web, path)
    resources.update(library, resource_id, {"content": "My own words.", "title": "My own title"})

    run(library, start(library, call_id))

    found = read(library, resource_id)
    assert (found.content, found.title) == ("My own words.", "My own title")
    assert (found.format, found.ingestion_status) == ("text/html", IngestionState.COMPLETED)


def test_a_title_given_before_the_first_reading_stays(library: Library, web: WebServer) -> None:
    path = publish(web, "The page.", title="The page's title")
    resource_id, call_id = request(library, web, path)
    resources.update(library, resource_id, {"title": "My own title"})

    run(library, start(library, call_id))

    found = read(library, resource_id)
    assert (found.content, found.title) == ("The page.", "My own title")


@pytest.mark.parametrize(
    ("media_type", "charset", "text"),
    [
        ("text/html", "shift_jis", "<html><body><main><p>梟は夜に鳴く。鼠は昼に眠る。</p></main></body></html>"),
        ("text/plain", "iso-8859-2", "Zażółć gęślą jaźń, příliš žluťoučký kůň."),
    ],
)
def test_the_charset_that_the_server_declares_is_believed(
    library: Library, web: WebServer, media_type: str, charset: str, text: str
) -> None:
    path = f"/{uuid4()}"
    web.answers[path] = answering(text.encode(charset), Content_Type=f"{media_type}; charset={charset}")

    content = read(library, fetch(library, web, path)).content

    assert content
    assert content in text


def test_a_failed_reading_says_when_it_began(library: Library, web: WebServer) -> None:
    resource_id = fetch(library, web, f"/{uuid4()}")

    found = read(library, resource_id)
    assert found.ingestion_status == IngestionState.FAILED
    assert found.ingestion_started_at is not None
    assert found.ingestion_finished_at is not None
    assert found.ingestion_started_at <= found.ingestion_finished_at


def test_the_status_says_why_a_document_is_still_waited_for(library: Library, web: WebServer) -> None:
    resource_id, call_id = request(library, web, f"/{uuid4()}")
    call = start(library, call_id)
    error = FetchUnavailable("the server answered 503")
    with library.database.writer() as session:
        execution.try_again(session, call, error=error, delay=timedelta(minutes=1), moment=now())

    shown = ingestion_status(library, resource_id)

    assert (shown["state"], shown["error"]) == ("pending", execution.describe(error))


def test_nothing_is_fresh_before_there_is_a_text(library: Library, web: WebServer) -> None:
    resource_id, call_id = request(library, web, f"/{uuid4()}")
    with library.database.reader() as session:
        resource = session.scalars(select(Resource).where(Resource.id == resource_id)).one()
        before = consistency.resource_status(session, resource, embedding_model=library.embedding_model)["derived"]

    run(library, start(library, call_id))

    with library.database.reader() as session:
        after = consistency.resource_status(
            session, session.get_one(Resource, resource_id), embedding_model=library.embedding_model
        )
    assert {kind["state"] for kind in before.values()} == {"stale"}
    assert {kind["state"] for kind in after["derived"].values()} == {"failed"}
    assert all(kind["error"] == after["ingestion"]["error"] for kind in after["derived"].values())


def test_a_page_with_one_endless_keyword_is_indexed(library: Library, web: WebServer) -> None:
    path = f"/{uuid4()}"
    # Of no pattern, so that no database can store it smaller than it is.
    keyword = "".join(chr(0x4E00 + byte) for _ in range(60) for byte in uuid4().bytes)
    page = f"<html><head><meta name=keywords content='{keyword}'></head><body><main><p>A mill.</p></main></body></html>"
    web.answers[path] = answering(page.encode(), Content_Type="text/html; charset=utf-8")
    resource_id = fetch(library, web, path)

    search_indexing.update(library, resource_id, work=library.work)

    assert read(library, resource_id).subject == [keyword[:200]]
