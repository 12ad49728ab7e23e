"""API keys at the door of the API: every route of the application, asked without a key and with each scope."""

from __future__ import annotations

import hashlib
import json
import secrets
import subprocess
from collections.abc import Iterator, MutableMapping
from typing import Any

import httpx2
import pytest
import structlog
from fastapi.routing import APIRoute, APIRouter
from fastapi.testclient import TestClient
from sqlalchemy import select

from app import migrate
from app.access import KEY_COOKIE, SIGN_IN
from app.api.api_keys import key_required
from app.errors import InvalidInput, KeyNeeded, NotFound, SettingsError
from app.main import ROUTERS, create_app
from app.models.api_key import ApiKey, Scope
from app.services import api_keys, resources
from app.services.library import Library
from app.settings import load_settings
from app.web.pages import router as console_router
from chaos.servers.postgres import PostgresServer
from tests.command_line import alexandria
from tests.integration.api.answers import create
from tests.integration.api.conftest import MakeLibrary, nobody_listens, open_test_library
from tests.integration.api.serving import served

pytestmark = pytest.mark.integration

SOME_ID = "0198c0de-0000-7000-8000-000000000001"
READ, WRITE, ADMIN = {Scope.READ}, {Scope.WRITE}, {Scope.ADMIN}
# Every operation and the scopes that it needs. A new one is added here with its own.
NEEDS: dict[tuple[str, str], set[Scope]] = {
    ("GET", "/livez"): set(),
    ("GET", "/readyz"): set(),
    ("GET", SIGN_IN): set(),
    ("POST", SIGN_IN): set(),
    ("POST", "/console/sign-out"): set(),
    ("POST", "/ingest"): WRITE,
    ("POST", "/resources"): WRITE,
    ("GET", "/resources"): READ,
    ("GET", "/resources/{resource_id}"): READ,
    ("PUT", "/resources/{resource_id}"): WRITE,
    ("DELETE", "/resources/{resource_id}"): WRITE,
    ("GET", "/resources/{resource_id}/status"): READ,
    ("GET", "/resources/{resource_id}/quality"): READ,
    ("GET", "/consistency"): READ,
    ("GET", "/resources/{resource_id}/quality/history"): READ,
    ("GET", "/quality/degradation"): READ,
    ("GET", "/quality/outliers"): READ,
    ("GET", "/quality/distribution"): READ,
    ("GET", "/resources/{resource_id}/citations"): READ,
    ("GET", "/resources/{resource_id}/neighbors"): READ,
    ("GET", "/graph/overview"): READ,
    ("GET", "/authors"): READ,
    ("GET", "/authors/{author_id}"): READ,
    ("POST", "/authors/{author_id}/merge"): WRITE,
    ("POST", "/authors/{author_id}/split"): WRITE,
    ("GET", "/resources/{resource_id}/classification"): READ,
    ("PUT", "/resources/{resource_id}/classification"): WRITE,
    ("DELETE", "/resources/{resource_id}/classification"): WRITE,
    ("GET", "/classification/tree"): READ,
    ("POST", "/classification/codes"): ADMIN,
    ("PUT", "/classification/codes/{code}"): ADMIN,
    ("DELETE", "/classification/codes/{code}"): ADMIN,
    ("GET", "/classification/models"): READ,
    ("GET", "/classification/review"): READ,
    ("POST", "/interactions"): WRITE,
    ("GET", "/interactions"): READ,
    ("DELETE", "/users/{user_id}/interactions"): WRITE,
    ("GET", "/profile"): READ,
    ("GET", "/recommendations"): READ,
    ("POST", "/batches"): WRITE,
    ("GET", "/batches"): READ,
    ("GET", "/batches/{batch_id}"): READ,
    ("GET", "/batches/{batch_id}/items"): READ,
    ("POST", "/batches/{batch_id}/cancel"): WRITE,
    ("GET", "/export"): ADMIN,
    ("POST", "/import"): ADMIN,
    ("GET", "/search"): READ,
    ("POST", "/search"): READ,
    ("GET", "/tasks/{call_id}"): READ,
    ("GET", "/dead-letters"): READ,
    ("GET", "/dead-letters/{letter_id}"): READ,
    ("POST", "/dead-letters/replay"): ADMIN,
    ("POST", "/dead-letters/{letter_id}/replay"): ADMIN,
    ("DELETE", "/dead-letters/{letter_id}"): ADMIN,
    ("GET", "/console/dead-letters"): READ,
    ("POST", "/console/dead-letters/{letter_id}/replay"): ADMIN,
    ("POST", "/console/dead-letters/{letter_id}/discard"): ADMIN,
    ("GET", "/events/history"): READ,
    ("GET", "/events/stream"): READ,
    ("GET", "/db/pool"): READ,
    ("GET", "/cache/stats"): READ,
    ("GET", "/broker/status"): READ,
    ("GET", "/workers/status"): READ,
    ("GET", "/metrics"): READ,
    ("GET", "/"): READ,
    ("GET", "/console/recent"): READ,
    ("GET", "/console/status"): READ,
    ("GET", "/console/added"): READ,
    ("POST", "/console/add-page"): WRITE,
    ("POST", "/console/add-files"): WRITE,
    ("GET", "/console/authors/{author_id}"): READ,
    ("GET", "/library/{resource_id}"): READ,
    ("GET", "/library/{resource_id}/state"): READ,
    ("GET", "/library/{resource_id}/text"): READ,
    ("GET", "/library/{resource_id}/edit"): READ,
    ("POST", "/library/{resource_id}/edit"): WRITE,
    ("POST", "/library/{resource_id}/refresh"): WRITE,
    ("POST", "/library/{resource_id}/delete"): WRITE,
}
OPEN = {("GET", "/livez"), ("GET", "/readyz"), ("GET", SIGN_IN), ("POST", SIGN_IN)}


def operations() -> Iterator[tuple[str, str]]:
    """Of every router of the application, read from the routers themselves."""
    routers: list[APIRouter] = [*ROUTERS, console_router]
    while routers:
        for route in routers.pop().routes:
            if isinstance(route, APIRoute):
                yield from ((method, route.path) for method in route.methods or ())
            else:
                routers.append(route.original_router)  # type: ignore[attr-defined]  # an included router has no public name


def ask(client: TestClient, operation: tuple[str, str], key: str | None = None) -> Any:
    method, path = operation
    for name in ("resource_id", "call_id", "letter_id", "author_id", "batch_id", "code", "user_id"):
        path = path.replace(f"{{{name}}}", SOME_ID)
    parameters = {"follow": "false"} if path == "/events/stream" else {}
    headers = {"X-API-Key": key} if key else {}
    return client.request(method, path, params=parameters, headers=headers, follow_redirects=False)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def guarded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer
) -> Iterator[Library]:
    """A library whose API listens for others."""
    path = tmp_path_factory.mktemp("keys") / "library.sqlite3"
    url = f"sqlite:///{path}" if request.param == "sqlite" else postgres_server.create_database()
    addresses = {"broker_url": nobody_listens(), "cache_url": nobody_listens(), "database_url": url}
    library = open_test_library(load_settings(**addresses, api_host="0.0.0.0", rate_limit_per_minute=3))
    migrate.upgrade(library.settings)
    yield library
    library.database.engine.dispose()
    if request.param == "postgresql":
        postgres_server.drop_database(url)


@pytest.fixture(scope="module")
def client(guarded: Library) -> Iterator[TestClient]:
    with TestClient(create_app(guarded), base_url="http://library.example") as client:
        yield client


@pytest.fixture
def make_key(guarded: Library) -> Any:
    def make(*scopes: Scope) -> str:
        return api_keys.create(guarded.database, name=f"test-{secrets.token_hex(4)}", scopes=scopes)

    return make


def test_the_table_names_every_route_of_the_application() -> None:
    assert set(operations()) == set(NEEDS)


@pytest.mark.parametrize("operation", NEEDS, ids=" ".join)
def test_without_a_key_only_the_health_checks_and_the_sign_in_answer(
    client: TestClient, operation: tuple[str, str]
) -> None:
    answer = ask(client, operation)

    if operation in OPEN:
        assert answer.headers["content-type"] != "application/problem+json"
    else:
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["type"].endswith("api-key-needed")


@pytest.mark.parametrize("operation", [one for one in NEEDS if one not in OPEN], ids=" ".join)
def test_a_key_opens_what_its_scope_says_and_nothing_else(
    client: TestClient, operation: tuple[str, str], make_key: Any
) -> None:
    needed = NEEDS[operation]
    without = make_key(*(set(Scope) - needed))

    refused = ask(client, operation, without)
    allowed = ask(client, operation, make_key(*(needed or {Scope.READ})))

    assert (refused.status_code == 403) == bool(needed)
    if needed and not operation[1].startswith(("/console", "/library")) and operation[1] != "/":
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["type"].endswith("scope-needed")
    assert allowed.status_code not in {401, 403}


@pytest.mark.parametrize("path", ["/openapi.json", "/no/such/path", "/docs"])
def test_what_is_no_operation_needs_a_key_too(client: TestClient, path: str, make_key: Any) -> None:
    assert client.get(path).status_code == 401
    assert client.get(path, headers={"X-API-Key": make_key(Scope.READ)}).status_code in {200, 404}


def test_a_key_is_shown_by_either_header(client: TestClient, make_key: Any) -> None:
    key = make_key(Scope.READ)

    assert client.get("/resources", headers={"X-API-Key": key}).status_code == 200
    assert client.get("/resources", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    assert client.get("/resources", headers={"Authorization": f"bearer  {key}"}).status_code == 200
    assert client.get("/resources", headers={"Authorization": f"Basic {key}"}).status_code == 401
    assert client.get(f"/resources?api_key={key}").status_code == 401


@pytest.mark.parametrize(
    "shown", ["", "alx_", "x" * 5000, "alx_00000000_" + "0" * 64, "alx_é", "' OR 1=1 --", "alx_0000000g_" + "0" * 64]
)
def test_what_is_no_key_is_refused(client: TestClient, shown: str) -> None:
    assert client.get("/resources", headers=[(b"X-API-Key", shown.encode())]).status_code == 401


def test_the_secret_of_another_key_under_this_prefix_is_refused(client: TestClient, make_key: Any) -> None:
    one, other = make_key(Scope.READ), make_key(Scope.READ)
    mixed = "_".join([*one.split("_")[:2], other.split("_")[2]])

    assert client.get("/resources", headers={"X-API-Key": mixed}).status_code == 401


def test_a_revoked_key_is_refused_by_the_next_request(client: TestClient, guarded: Library, make_key: Any) -> None:
    key = make_key(Scope.READ)
    assert client.get("/resources", headers={"X-API-Key": key}).status_code == 200

    api_keys.revoke(guarded.database, key.split("_")[1])

    answer = client.get("/resources", headers={"X-API-Key": key})
    assert answer.status_code == 401
    assert answer.json()["detail"] == "this API key is unknown or revoked"


def test_an_open_stream_of_events_ends_with_its_key(guarded: Library, make_key: Any) -> None:
    key = make_key(Scope.READ)

    with (
        served(create_app(guarded)) as address,
        httpx2.Client(base_url=address, headers={"X-API-Key": key, "Host": "library.example"}, timeout=20) as http,
        http.stream("GET", "/events/stream") as stream,
    ):
        lines = stream.iter_lines()
        _write(guarded)
        assert any(line.startswith("event:") for line in lines)
        api_keys.revoke(guarded.database, key.split("_")[1])
        _write(guarded)

        rest = list(lines)  # ends

    assert not any("resource.deleted" in line for line in rest)


def _write(library: Library) -> None:
    with library.work() as unit:
        resources.create(library, {"title": "A document"}, unit=unit)


def test_only_the_hash_of_a_secret_is_kept(guarded: Library, make_key: Any) -> None:
    key = make_key(Scope.READ)
    _, prefix, secret = key.split("_")
    with guarded.database.reader() as session:
        row = session.scalars(select(ApiKey).where(ApiKey.prefix == prefix)).one()

    assert row.secret_sha256 == hashlib.sha256(secret.encode()).digest()
    assert len(bytes.fromhex(secret)) * 8 == 256
    assert secret not in repr(vars(row))


@pytest.fixture
def every_log_line() -> Iterator[list[MutableMapping[str, Any]]]:
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(0))
    with structlog.testing.capture_logs() as lines:
        yield lines
    structlog.configure(wrapper_class=before)


def test_no_log_holds_a_key_but_each_request_says_whose_it_was(
    client: TestClient, make_key: Any, every_log_line: list[MutableMapping[str, Any]]
) -> None:
    key = make_key(Scope.READ)
    for headers in (
        {"X-API-Key": key},
        {"X-API-Key": f"{key}0"},
        {"Authorization": f"Bearer {key}"},
        {"Cookie": f"{KEY_COOKIE}={key}"},
    ):
        client.get("/resources", headers=headers)

    lines = [line for line in every_log_line if line["event"] == "request"]
    assert [(line["status"], (line["key"] or "")[:5]) for line in lines] == [
        (200, "test-"),
        (401, ""),
        (200, "test-"),
        (200, "test-"),
    ]
    assert key.split("_")[2] not in repr(every_log_line)


def test_the_last_use_is_noted_to_the_minute(client: TestClient, guarded: Library, make_key: Any) -> None:
    key = make_key(Scope.READ)

    def last_use() -> Any:
        with guarded.database.reader() as session:
            return session.scalars(select(ApiKey.last_used_at).where(ApiKey.prefix == key.split("_")[1])).one()

    assert last_use() is None
    client.get("/resources", headers={"X-API-Key": key})
    first = last_use()
    client.get("/resources", headers={"X-API-Key": key})

    assert first is not None
    assert last_use() == first


def test_the_rate_limit_counts_each_key_by_itself(client: TestClient, make_key: Any) -> None:
    one, other = make_key(Scope.WRITE), make_key(Scope.WRITE)

    def post(key: str) -> int:
        return client.post("/resources", json={"title": "A document"}, headers={"X-API-Key": key}).status_code

    assert [post(one) for _ in range(4)] == [201, 201, 201, 429]
    assert post(other) == 201


def test_the_names_of_keys_are_unique_while_in_force(guarded: Library) -> None:
    api_keys.create(guarded.database, name="twice", scopes=[Scope.READ])
    with pytest.raises(InvalidInput, match="in force already"):
        api_keys.create(guarded.database, name="twice", scopes=[Scope.READ])

    assert api_keys.revoke(guarded.database, "twice") == "twice"
    api_keys.create(guarded.database, name="twice", scopes=[Scope.READ])
    with pytest.raises(NotFound):
        api_keys.revoke(guarded.database, "never")


@pytest.mark.parametrize("name", ["", " x", "a" * 101, "a b", "ä", "-x"])
def test_a_name_that_would_be_hard_to_type_is_refused(guarded: Library, name: str) -> None:
    with pytest.raises(InvalidInput):
        api_keys.create(guarded.database, name=name, scopes=[Scope.READ])


def test_a_key_without_a_scope_is_refused(guarded: Library) -> None:
    with pytest.raises(InvalidInput):
        api_keys.create(guarded.database, name="idle", scopes=[])
    with pytest.raises(KeyNeeded):
        api_keys.recognise(guarded.database, "idle")


def test_the_reader_of_the_console_signs_in_and_out(guarded: Library, make_key: Any) -> None:
    with TestClient(create_app(guarded), base_url="https://library.example") as browser:
        page = {"Accept": "text/html,*/*", "Sec-Fetch-Site": "same-origin"}
        led = browser.get("/?q=owls", headers=page, follow_redirects=False)
        assert led.status_code == 303
        assert led.headers["location"] == f"{SIGN_IN}?next=%2F%3Fq%3Dowls"

        assert 'name="next" value="/?q=owls"' in browser.get(led.headers["location"], headers=page).text
        wrong = browser.post(SIGN_IN, data={"key": "alx_no", "next": "/"}, headers=page)
        assert wrong.status_code == 401
        assert "This is not an API key" in wrong.text

        data = {"key": f" {make_key(Scope.READ)} ", "next": "/?q=owls"}
        signed_in = browser.post(SIGN_IN, data=data, headers=page, follow_redirects=False)
        assert signed_in.headers["location"] == "/?q=owls"
        cookie = signed_in.headers["set-cookie"].lower()
        assert all(word in cookie for word in ("httponly", "samesite=strict", "secure"))
        assert browser.get("/?q=owls", headers=page).status_code == 200
        assert browser.get("/resources").status_code == 200
        assert browser.post("/console/add-page", data={"url": "https://example.org"}, headers=page).status_code == 403

        browser.post("/console/sign-out", headers=page, follow_redirects=False)
        assert browser.get("/resources").status_code == 401


@pytest.mark.parametrize("wanted", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:1", ""])
def test_the_sign_in_leads_to_no_other_site(client: TestClient, wanted: str) -> None:
    assert 'name="next" value="/"' in client.get(SIGN_IN, params={"next": wanted}).text


def test_a_part_of_a_page_asked_for_without_a_key_leads_to_the_sign_in(client: TestClient) -> None:
    answer = client.get("/console/status", headers={"HX-Request": "true"})

    assert answer.status_code == 401
    assert answer.headers["hx-redirect"] == SIGN_IN


def test_a_refused_upload_hears_why(guarded: Library) -> None:
    with served(create_app(guarded)) as address:
        answer = httpx2.post(f"{address}/ingest", files={"file": ("a.txt", b"x" * 5_000_000)})

    assert answer.status_code == 401


def test_the_command_line_shows_its_key_and_says_what_is_missing_without(guarded: Library, make_key: Any) -> None:
    key = make_key(Scope.READ)

    def run(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return alexandria(*options, "consistency", "--json", "--api", address, environment=environment)

    with served(create_app(guarded)) as address:
        by_option, by_variable, without = run("--api-key", key), run(ALEXANDRIA_API_KEY=key), run()

    assert "kinds" in json.loads(by_option.stdout)
    assert "kinds" in json.loads(by_variable.stdout)
    assert without.returncode == 1
    assert without.stderr.startswith("alexandria: send a key as `X-API-Key` or `Authorization: Bearer`")


def came_to(host: str | None, port: int | None = 8000) -> dict[str, Any]:
    return {"server": None if host is None else (host, port)}


@pytest.mark.parametrize(
    ("require", "api_host", "server", "needed"),
    [
        ("auto", "127.0.0.1", came_to("127.0.0.1"), False),
        ("auto", "::1", came_to("::1"), False),
        ("auto", "localhost", came_to("127.0.0.1"), False),
        ("auto", "0.0.0.0", came_to("127.0.0.1"), True),
        ("auto", "192.0.2.1", came_to("192.0.2.1"), True),
        # `uvicorn app.main:app --host 0.0.0.0`: API_HOST does not know
        ("auto", "127.0.0.1", came_to("192.0.2.1"), True),
        ("auto", "127.0.0.1", came_to(None), True),
        ("auto", "127.0.0.1", came_to("/run/alexandria.sock", None), False),
        ("true", "127.0.0.1", came_to("127.0.0.1"), True),
        ("false", "0.0.0.0", came_to("192.0.2.1"), False),
    ],
)
def test_a_key_is_needed_unless_only_this_machine_can_ask(
    require: str, api_host: str, server: dict[str, Any], needed: bool
) -> None:
    settings = load_settings(require_api_key=require, api_host=api_host)

    assert key_required(settings)(server) is needed


def test_a_setting_that_means_nothing_is_refused() -> None:
    with pytest.raises(SettingsError, match="REQUIRE_API_KEY: Input should be 'auto', 'true' or 'false'"):
        load_settings(require_api_key="perhaps")


def test_on_loopback_nothing_is_asked_for_and_the_document_says_that_it_may_be(make_library: MakeLibrary) -> None:
    app = create_app(make_library())
    with TestClient(app, base_url="http://localhost") as client:
        create(client)
        document = client.get("/openapi.json").json()

    security = {
        (method.upper(), path): operation.get("security")
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }
    assert security == {
        operation: [{"ApiKey": sorted(needed)}, {"Bearer": sorted(needed)}, {}] if needed else None
        for operation, needed in NEEDS.items()
        if operation in security
    }
    assert document["components"]["securitySchemes"]["ApiKey"]["name"] == "X-API-Key"
