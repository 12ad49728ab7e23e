"""The three deployments that every end-to-end promise is held on, and who runs beside whom."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaos.servers.postgres import PostgresServer
from chaos.servers.rabbit import RabbitAccess
from chaos.servers.redis import RedisServer, ValkeyServer
from chaos.turns import Turns
from tests.e2e.deployment import Deployment

DEPLOYMENTS = ("sqlite-valkey", "postgresql-redis", "postgresql-rabbitmq")
TURNS = pytest.StashKey[Turns]()


def pytest_configure(config: pytest.Config) -> None:
    assert config.cache is not None
    config.stash[TURNS] = Turns(config.cache.mkdir("turns"))


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[TURNS].close()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Around a whole test with its fixtures, and outside of its time limit."""
    with item.config.stash[TURNS].beside_others():
        return (yield)


@pytest.fixture
def alone(pytestconfig: pytest.Config) -> Iterator[None]:
    """For a test that measures time: the other processes of the run have ended their test and wait with the next."""
    with pytestconfig.stash[TURNS].alone():
        yield


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
