"""The three deployments that every end-to-end promise is held on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaos.servers.postgres import PostgresServer
from chaos.servers.rabbit import RabbitAccess
from chaos.servers.redis import RedisServer, ValkeyServer
from tests.e2e.deployment import Deployment

DEPLOYMENTS = ("sqlite-valkey", "postgresql-redis", "postgresql-rabbitmq")


@pytest.fixture(scope="module", params=DEPLOYMENTS)
def deployment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Servers of one kind, with an empty database and an empty broker."""
    with _servers_of(request, tmp_path_factory.mktemp("deployment")) as deployment:
        yield deployment


@contextmanager
def _servers_of(request: pytest.FixtureRequest, directory: Path) -> Iterator[Deployment]:
    with ValkeyServer() as cache:
        if request.param == "sqlite-valkey":
            with ValkeyServer() as broker:
                url = f"sqlite:///{directory / 'alexandria.sqlite3'}"
                yield Deployment(name=request.param, database_url=url, broker_url=broker.url, cache_url=cache.url)
            return
        postgres: PostgresServer = request.getfixturevalue("postgres_server")
        database = postgres.create_database()
        if request.param == "postgresql-redis":
            with RedisServer() as redis:
                yield Deployment(name=request.param, database_url=database, broker_url=redis.url, cache_url=cache.url)
        else:
            rabbit: RabbitAccess = request.getfixturevalue("rabbit")
            with rabbit.vhost() as url:
                yield Deployment(name=request.param, database_url=database, broker_url=url, cache_url=cache.url)
        postgres.drop_database(database)
