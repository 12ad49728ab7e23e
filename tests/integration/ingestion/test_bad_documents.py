"""Bad input, each kind a row: that document says `failed` and why, the others complete, nothing is half-written."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import undefer

from app.errors import FetchRefused, TooLarge
from app.models.outbox import CallState, EventRecord, TaskCall
from app.models.resource import IngestionState, PendingUpload, Resource
from app.services import consistency, ingestion, ingestion_requests
from app.services.library import Library
from app.tasks.task_names import TaskName
from tests.integration.ingestion.bad_input import (
    BAD_PAGES,
    BAD_UPLOADS,
    FORBIDDEN_AT_THE_DOOR,
    HTML,
    MAX_BYTES,
    NOT_QUITE_TEXT,
    PDF,
    SENTENCE,
    Upload,
    answering,
)
from tests.unit.content.web_server import WebServer

pytestmark = pytest.mark.integration


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
    failed = ingestion_requests.request_url(library, web.url(path)).resource_id
    good = ingestion_requests.request_url(library, web.url(f"/good.html?beside={path}")).resource_id

    ingestion.ingest(library, failed, work=library.work)
    ingestion.ingest(library, good, work=library.work)

    assert_failed(library, failed, error=error)
    assert_completed(library, good)


@pytest.mark.parametrize("url", FORBIDDEN_AT_THE_DOOR)
def test_a_forbidden_address_is_refused_at_the_door_and_leaves_nothing(library: Library, url: str) -> None:
    before = count(library)

    with pytest.raises(FetchRefused) as refused:
        ingestion_requests.request_url(library, url)

    assert refused.value.status == 422
    assert refused.value.detail
    assert count(library) == before


def test_an_upload_over_the_limit_is_refused_at_the_door_and_leaves_nothing(library: Library) -> None:
    before = count(library)

    with pytest.raises(TooLarge):
        ingestion_requests.request_upload(library, b"x" * (MAX_BYTES + 1), media_type="text/plain", file_name="a.txt")

    assert count(library) == before


@pytest.mark.parametrize(
    "upload",
    NOT_QUITE_TEXT,
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

    receipt = ingestion_requests.request_upload(library, torn.data, media_type=None, file_name=torn.name)

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
    first = ingestion_requests.request_url(library, url).resource_id
    ingestion.ingest(library, first, work=library.work)
    assert_failed(library, first, error="fetch-failed")
    web.answers["/comes-back.html"] = answering(HTML, Content_Type="text/html")

    again = ingestion_requests.request_url(library, url)
    ingestion.ingest(library, again.resource_id, work=library.work)

    web.answers.pop("/comes-back.html")
    assert again.resource_id == first
    assert_completed(library, first)


def send(library: Library, upload: Upload) -> UUID:
    return ingestion_requests.request_upload(
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
        status = consistency.resource_status(session, resource, embedding_model=library.embedding_model)
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
