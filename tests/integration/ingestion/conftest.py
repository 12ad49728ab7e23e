"""A web server that the tests write the pages of, and a library that may fetch from it, on each database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services.library import Library
from chaos.servers.postgres import PostgresServer
from chaos.servers.redis import RedisServer
from tests.integration.ingestion.bad_input import HTML, MAX_BYTES, MAX_TEXT_CHARS, answering
from tests.integration.libraries import a_library
from tests.unit.content.web_server import WebServer, web_server


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
