"""The healthy server is Redis, the one a test may break is Valkey: the scripts run on both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from app.cache.redis_cache import RedisCache
from chaos.servers.redis import RedisServer, ValkeyServer

PATIENT_SECONDS = 10.0
"""For tests that are not about the deadline, on a machine that may be busy."""

CacheMaker = Callable[..., RedisCache]


@pytest.fixture
def server(redis_server: RedisServer) -> RedisServer:
    """A healthy, empty server."""
    with redis_server.client() as client:
        client.flushall()
    return redis_server


@pytest.fixture
def own_server() -> Iterator[ValkeyServer]:
    """A server this test may freeze, kill or fill."""
    with ValkeyServer() as server:
        yield server


@pytest.fixture
def make_cache() -> Iterator[CacheMaker]:
    with ExitStack() as stack:

        def make(*, url: str, deadline_seconds: float = PATIENT_SECONDS, namespace: str = "") -> RedisCache:
            cache = RedisCache(url=url, deadline_seconds=deadline_seconds, namespace=namespace)
            return stack.enter_context(closing(cache))

        yield make


@pytest.fixture
def cache(server: RedisServer, make_cache: CacheMaker) -> RedisCache:
    return make_cache(url=server.url)


@pytest.fixture
def cache_settings(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of a process whose cache is the healthy server."""
    monkeypatch.setenv("CACHE_URL", server.url)
    monkeypatch.setenv("CACHE_DEADLINE_SECONDS", str(PATIENT_SECONDS))
