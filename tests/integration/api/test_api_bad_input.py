from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import func, select

from app.models.base import Base
from app.models.outbox import EventRecord, TaskCall
from app.models.resource import PendingUpload, Resource
from app.services.library import Library
from tests.integration.api.answers import assert_problem, create

TABLES: tuple[type[Base], ...] = (Resource, PendingUpload, EventRecord, TaskCall)


@pytest.fixture
def nothing_written(library: Library) -> Iterator[None]:
    """Refused requests leave every table as it was."""
    before = count_rows(library)
    yield
    assert count_rows(library) == before


def count_rows(library: Library) -> dict[str, int]:
    with library.database.reader() as session:
        return {table.__tablename__: session.scalar(select(func.count()).select_from(table)) or 0 for table in TABLES}


pytestmark = pytest.mark.usefixtures("nothing_written")

BY_ID = [("GET", ""), ("PUT", ""), ("DELETE", ""), ("GET", "/status"), ("GET", "/quality")]


@pytest.mark.parametrize(("method", "rest"), BY_ID)
def test_an_unknown_id_is_not_found(client: TestClient, method: str, rest: str) -> None:
    body: dict[str, Any] | None = {} if method == "PUT" else None
    assert_problem(client.request(method, f"/resources/{uuid4()}{rest}", json=body), 404, "not-found")


def test_an_unknown_call_is_not_found(client: TestClient) -> None:
    assert_problem(client.get(f"/tasks/{uuid4()}"), 404, "not-found")


@pytest.mark.parametrize(("method", "rest"), BY_ID)
@pytest.mark.parametrize("malformed", ["1", "not-an-id", "%00", "0198c0de-0000-7000-8000-00000000000g", "%ff%fe"])
def test_a_malformed_id_is_invalid(client: TestClient, method: str, rest: str, malformed: str) -> None:
    body: dict[str, Any] | None = {} if method == "PUT" else None
    problem = assert_problem(client.request(method, f"/resources/{malformed}{rest}", json=body), 422, "invalid-input")
    assert problem["errors"][0]["loc"] == ["path", "resource_id"]


def test_an_unknown_route_is_a_problem_too(client: TestClient) -> None:
    assert_problem(client.get("/nowhere"), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/resources", "GET, HEAD, POST"),
        ("POST", "/resources/0198c0de-0000-7000-8000-000000000000", "GET, HEAD, PUT, DELETE"),
        ("GET", "/ingest", "POST"),
        ("HEAD", "/ingest", "POST"),
        ("POST", "/readyz", "GET, HEAD"),
        ("POST", "/", "GET, HEAD"),
        ("HEAD", "/events/stream", "GET"),
    ],
)
def test_a_wrong_method_is_told_all_that_are_possible(client: TestClient, method: str, path: str, allowed: str) -> None:
    refused = client.request(method, path)
    assert (refused.status_code, refused.headers["allow"]) == (405, allowed)
    assert refused.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/resources", "/openapi.json", "/metrics", "/nowhere"])
def test_head_answers_as_get_does_without_the_body(client: TestClient, path: str) -> None:
    head, got = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["content-type"] == got.headers["content-type"]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/resources"),
        ("POST", "/ingest"),
        ("POST", "/search"),
        ("DELETE", "/resources/0198c0de-0000-7000-8000-000000000000"),
    ],
)
def test_a_page_of_another_site_changes_nothing(client: TestClient, site: str, method: str, path: str) -> None:
    answer = client.request(method, path, json={"title": "a", "text": "a"}, headers={"Sec-Fetch-Site": site})
    assert_problem(answer, 403, "cross-site-request")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost:9999"}, 403),  # another program of this machine
        ({"Origin": "null"}, 403),  # a sandboxed frame, a file
        ({"Origin": ""}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "http://evil.example", "Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "http://localhost"}, 404),
        ({"Origin": "HTTP://LOCALHOST"}, 404),
        ({"Origin": "https://library.example", "Sec-Fetch-Site": "same-origin"}, 404),  # a proxy has changed the Host
        ({}, 404),  # a program
    ],
)
def test_without_sec_fetch_site_the_origin_tells_another_site(
    client: TestClient, headers: dict[str, str], status: int
) -> None:
    answer = client.delete("/resources/0198c0de-0000-7000-8000-000000000000", headers=headers)

    assert answer.status_code == status, answer.text
    assert client.get("/resources", headers=headers).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "10.0.0.1:8000", "", "[::2]"])
def test_the_name_of_another_site_is_refused(client: TestClient, host: str) -> None:
    assert_problem(client.get("/resources", headers={"Host": host}), 421, "unknown-host")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:9", "[::1]:8000"])
def test_every_name_of_this_machine_is_served(client: TestClient, host: str) -> None:
    assert client.get("/livez", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("path", ["/resources", "/search", "/ingest"])
@pytest.mark.parametrize("body", [b"{", b"", b"\xff\xfe", b'{"title": "\xff"}', b"[" * 100_000])
def test_a_body_that_is_not_json_is_refused(client: TestClient, path: str, body: bytes) -> None:
    answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/resources", {"title": "x", "tilte": "y"}),
        ("/resources", {"title": "x", "version": 3}),
        ("/resources", {"title": "x", "id": str(uuid4())}),
        ("/search", {"text": "x", "page": 2}),
        ("/search", {"text": "x", "filters": {"colour": ["red"]}}),
        ("/ingest", {"url": "https://example.org/", "priority": 9}),
    ],
)
def test_an_unknown_field_is_named(client: TestClient, path: str, body: dict[str, Any]) -> None:
    problem = assert_problem(client.post(path, json=body), 422, "invalid-input")
    unknown = (set(body) | set(body.get("filters", {}))) - {"title", "text", "filters", "url"}
    assert problem["errors"][0]["loc"][-1] in unknown


def test_an_unknown_query_parameter_of_a_search_is_refused(client: TestClient) -> None:
    assert_problem(client.get("/search", params={"query": "x", "lang": "en"}), 422, "invalid-input")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"creator": "Nobody"},
        {"title": None},
        {"title": 7},
        {"title": "x" * 1001},
        {"content": ["x"]},
        {"title": "x", "subject": "biology"},
        {"title": "x", "subject": [""]},
        {"title": "x", "subject": ["s"] * 101},
        {"title": "x", "date_created": 0},
        {"title": "x", "date_created": "2020-13-01"},
        {"title": "x", "date_created": "2020-01-01T00:00:00"},
        {"title": "x", "publication_year": "1999"},
        {"title": "x", "publication_year": True},
        {"title": "x", "publication_year": 10**30},
        {"title": "x", "language": "english please"},
        {"title": "x", "read_status": "burnt"},
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(client: TestClient, fields: dict[str, Any]) -> None:
    assert_problem(client.post("/resources", json=fields), 422, "invalid-input")


def post_escaped(client: TestClient, body: dict[str, Any]) -> Response:
    """As ASCII: a client that sends half of a pair writes it as an escape."""
    headers = {"Content-Type": "application/json"}
    return client.post("/resources", content=json.dumps(body), headers=headers)


@pytest.mark.parametrize("text", ["a\x00b", "\x00", "half a pair: \ud800", "\udfff"])
@pytest.mark.parametrize("field", ["title", "content", "source", "description"])
def test_text_that_cannot_be_stored_is_refused(client: TestClient, field: str, text: str) -> None:
    assert_problem(post_escaped(client, {"title": "x", field: text}), 422, "invalid-input")


def test_a_list_may_not_smuggle_such_text_nor_may_the_name_of_a_field(client: TestClient) -> None:
    assert_problem(client.post("/resources", json={"title": "x", "subject": ["a\x00"]}), 422, "invalid-input")
    assert_problem(post_escaped(client, {"title": "x", "\ud800": 1}), 422, "invalid-input")


@pytest.mark.parametrize("path", ["/search?query=a%00b", "/resources?creator=a%00b", "/dead-letters?task=%00"])
def test_nul_in_the_query_string_is_refused(client: TestClient, path: str) -> None:
    assert_problem(client.get(path), 422, "invalid-input")


def test_a_content_over_the_limit_is_too_large(client: TestClient) -> None:
    assert_problem(client.post("/resources", json={"content": "x" * 100_001}), 413, "too-large")


@pytest.mark.parametrize("path", ["/resources", "/ingest", "/search", "/nowhere"])
def test_an_announced_body_over_the_limit_is_too_large(client: TestClient, path: str) -> None:
    answer = client.post(path, content=b"x" * 400_001, headers={"Content-Type": "application/json"})
    assert_problem(answer, 413, "too-large")


@pytest.mark.parametrize("media_type", ["application/json", "multipart/form-data; boundary=b"])
@pytest.mark.parametrize("path", ["/resources", "/ingest"])
def test_a_chunked_body_over_the_limit_is_too_large(client: TestClient, path: str, media_type: str) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        for _ in range(50):
            yield b"x" * 10_000

    answer = client.post(path, content=chunks(), headers={"Content-Type": media_type})
    assert_problem(answer, 413, "too-large")


def test_an_upload_over_the_document_limit_is_too_large(client: TestClient) -> None:
    answer = client.post("/ingest", files={"file": ("big.txt", b"x" * 200_001, "text/plain")})
    assert_problem(answer, 413, "too-large")


@pytest.mark.parametrize("path", ["/resources", "/search", "/ingest"])
def test_a_body_of_another_type_is_unsupported(client: TestClient, path: str) -> None:
    answer = client.post(path, content=b"<a/>", headers={"Content-Type": "application/xml"})
    assert_problem(answer, 415, "unsupported-type")


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("picture.png", "image/png"), ("archive.zip", "application/zip"), ("sheet.xlsx", "application/octet-stream")],
)
def test_a_file_of_another_type_is_unsupported(client: TestClient, name: str, media_type: str) -> None:
    answer = client.post("/ingest", files={"file": (name, b"\x89PNG", media_type)})
    assert_problem(answer, 415, "unsupported-type")


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1/",
        "http://localhost/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://10.0.0.1/",
        "http://192.168.1.1/",
        "http://0.0.0.0/",
        "http://2130706433/",
        "http://example.org:22/",
        "http://user:secret@example.org/",
        "file:///etc/passwd",
        "ftp://example.org/file",
        "gopher://example.org/",
        "javascript:alert(1)",
        "https://",
        "no address at all",
    ],
)
def test_an_address_that_may_not_be_fetched_is_refused_at_the_door(client: TestClient, url: str) -> None:
    problem = assert_problem(client.post("/ingest", json={"url": url}), 422, "fetch-refused")
    assert "secret" not in problem["detail"]


def test_an_address_with_nul_or_without_end_is_invalid(client: TestClient) -> None:
    assert_problem(client.post("/ingest", json={"url": "https://example.org/\x00"}), 422, "invalid-input")
    assert_problem(client.post("/ingest", json={"url": "https://example.org/" + "x" * 2048}), 422, "invalid-input")


def test_a_form_needs_exactly_one_file(client: TestClient) -> None:
    two = [("file", ("a.txt", b"a", "text/plain")), ("file", ("b.txt", b"b", "text/plain"))]
    assert_problem(client.post("/ingest", files=two), 422, "invalid-input")
    assert_problem(client.post("/ingest", files={"other": ("a.txt", b"a", "text/plain")}), 422, "invalid-input")
    assert_problem(client.post("/ingest", files={"file": (None, b"no file name")}), 422, "invalid-input")
    broken = client.post("/ingest", content=b"no part", headers={"Content-Type": "multipart/form-data"})
    assert_problem(broken, 400, "malformed-request")


@pytest.mark.parametrize("key", ["", "x" * 201, "two words"])
def test_an_idempotency_key_has_a_shape(client: TestClient, key: str) -> None:
    answer = client.post("/resources", json={"title": "x"}, headers={"Idempotency-Key": key})
    assert_problem(answer, 422, "invalid-input")


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "sort=colour", "cursor=nonsense", "cursor=AAAA"])
def test_a_page_that_cannot_be_is_refused(client: TestClient, query: str) -> None:
    assert_problem(client.get(f"/resources?{query}"), 422, "invalid-input")


@pytest.mark.parametrize(
    "text",
    [
        "'; DROP TABLE resources; --",
        '" OR 1=1 --',
        "NEAR(a b, 3) AND title:* OR NOT ^x",
        '"unclosed',
        "-",
        "a:b:c:d",
        "(((",
        "* ^ { } [ ] \\",
        "& | ! <-> :*",
        "%_%",
        "\u202e\u0000"[:1] + "\U0001f4a9" * 50,
        "",
        " ",
    ],
)
@pytest.mark.parametrize("mode", ["keyword", "semantic", "hybrid"])
def test_a_query_of_any_syntax_finds_something_or_nothing(client: TestClient, text: str, mode: str) -> None:
    by_get = client.get("/search", params={"query": text, "mode": mode})
    by_post = client.post("/search", json={"text": text, "mode": mode})
    assert (by_get.status_code, by_post.status_code) == (200, 200), by_get.text
    assert by_get.json() == by_post.json()["items"]


@pytest.mark.parametrize("path", ["/resources", "/dead-letters", "/events/history", "/search?query=a"])
def test_an_unknown_query_parameter_is_refused_by_its_name(client: TestClient, path: str) -> None:
    problem = assert_problem(client.get(path, params={"query": "a", "limti": "3"}), 422, "invalid-input")
    assert ["query", "limti"] in [error["loc"] for error in problem["errors"]]
    assert client.get(path, params={"query": "a"} if "search" in path else {"limit": "3"}).status_code == 200


def cursor_of(sort: str, value: str) -> str:
    packed = json.dumps([sort, value, str(uuid4())]).encode()
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def test_a_cursor_continues_only_a_list_of_its_own_order(client: TestClient) -> None:
    cursor = cursor_of("title", "A title")
    assert client.get("/resources", params={"cursor": cursor, "sort": "title"}).status_code == 200
    assert_problem(client.get("/resources", params={"cursor": cursor, "sort": "-title"}), 422, "invalid-input")
    assert_problem(client.get("/resources", params={"cursor": cursor}), 422, "invalid-input")


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2026-01-01T00:00:00", "yesterday"]
)
def test_a_cursor_at_no_moment_of_the_calendar_is_refused(client: TestClient, moment: str) -> None:
    cursor = cursor_of("-created_at", moment)
    assert_problem(client.get("/resources", params={"cursor": cursor}), 422, "invalid-input")


@pytest.mark.parametrize("charset", ["undefined", "punycode", "idna", "unicode_escape", "no-such-charset", "utf-16"])
@pytest.mark.parametrize("path", ["/ingest", "/console/add-page", "/console/add-files"])
def test_a_form_in_a_strange_charset_is_read_or_refused(client: TestClient, path: str, charset: str) -> None:
    headers = {"Content-Type": f"multipart/form-data; boundary=x; charset={charset}", "HX-Request": "true"}
    part = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n--x--\r\n'
    for field, value in (
        (b"url", b"\\ud800"),
        (b"url", b"http://example.org/\\ud800"),
        (b"file", b"a"),
        (b"\xff", b"a"),
    ):
        response = client.post(path, content=part % (field, value), headers=headers)
        assert 400 <= response.status_code < 500 or b"example" in value, (field, value, response.text)
        assert response.status_code < 500, (field, value, response.text)


def multipart(*, filename: bytes, media_type: bytes) -> bytes:
    disposition = b'Content-Disposition: form-data; name="file"; filename="' + filename + b'"'
    return b"--x\r\n" + disposition + b"\r\nContent-Type: " + media_type + b"\r\n\r\nsome text\r\n--x--\r\n"


def test_a_media_type_that_cannot_be_stored_is_refused(client: TestClient) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    body = multipart(filename=b"a.txt", media_type=b"text/plain; a=\x00")
    assert_problem(client.post("/ingest", content=body, headers=headers), 422, "invalid-input")


class TestAfterAChange:
    """These write, so the tables move."""

    @pytest.fixture
    def nothing_written(self) -> None:
        """Not here."""

    @pytest.mark.parametrize("path", ["/ingest", "/console/add-files"])
    def test_half_a_surrogate_pair_in_a_file_name_is_replaced(self, client: TestClient, path: str) -> None:
        headers = {"Content-Type": "multipart/form-data; boundary=x; charset=unicode_escape"}
        body = multipart(filename=rb"\ud800\x00.txt", media_type=b"text/plain")
        answer = client.post(path, content=body, headers=headers, follow_redirects=False)
        assert answer.status_code in {202, 303}, answer.text
        resource_id = answer.headers["location"].split("/")[2]
        assert client.get(f"/resources/{resource_id}").json()["title"] == "?.txt"

    def test_a_refused_change_leaves_the_resource_as_it_was(self, client: TestClient) -> None:
        created = create(client, content="kept")
        path = f"/resources/{created['id']}"
        assert_problem(client.put(path, json={"content": "lost\x00"}), 422, "invalid-input")
        problem = assert_problem(client.put(path, json={"content": "lost", "colour": 1}), 422, "invalid-input")
        assert problem["errors"][0]["loc"][-1] == "colour"
        assert_problem(client.put(path, json={"content": "lost", "version": 9}), 409, "version-conflict")
        assert client.get(path).json() == created
