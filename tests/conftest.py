"""Servers and surroundings of every test.

Each test process has a Redis and a PostgreSQL of its own; RabbitMQ is shared by the processes of a run
and each test gets a virtual host. A server that is not installed is an error, never a skip.

Processes run beside each other by modules. A test that measures time uses `alone`: the others end
their test and wait. Such tests (`MEASURING`) are of one process: none waits for another. Its tests, the main job among
them, are what the whole run waits for: the other processes leave it the processors.
"""

from __future__ import annotations

import functools
import gc
import os
import random
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import hypothesis
import pytest
import structlog
from pydantic import AliasChoices
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling, Scheduling

from app.settings import Settings, get_settings
from chaos import warm_start
from chaos.servers.base import Server
from chaos.servers.postgres import PostgresServer
from chaos.servers.rabbit import RabbitAccess
from chaos.servers.redis import RedisServer
from chaos.servers.shared_rabbit import SharedRabbit
from chaos.turns import Turns
from tests.reused_database import ReusedDatabase

# Thousands of tests lie in memory; looking through them again and again would double the time they take to collect.
gc.set_threshold(100_000, 20, 20)

Alone = Callable[[], AbstractContextManager[None]]
SHARED_RABBIT = pytest.StashKey[SharedRabbit]()
TURNS = pytest.StashKey[Turns]()
SERVERS = pytest.StashKey[list[Server]]()
# The main job comes last of them: once the others are through, it can use all processors.
MEASURING = (
    "tests/e2e/test_response_times.py",
    "tests/e2e/test_main_job.py",
    "tests/e2e/faults/test_broker_outage.py",
)
# An edited page is classified twenty seconds later: what asks for no rest fills that time, and the others follow it.
WITH_A_LIBRARY = (
    *("tests/e2e/test_main_job.py::test_after_a_change", "tests/e2e/test_main_job.py::test_an_exact_phrase"),
    *("tests/e2e/test_main_job.py::test_questions_in_other_words", "tests/"),
)
NICENESS = 7  # a fifth of the weight of the process that measures
# One to five minutes each, most of which they wait: begun last they would be waited for.
LONGEST = (
    "tests/conformance/faults/test_worker_death.py",
    "tests/e2e/faults/test_kills.py",
    "tests/e2e/faults/test_broker_switch.py",
    "tests/conformance/faults/test_redis_workers.py",
    "tests/e2e/faults/test_rabbitmq_faults.py",
    "tests/conformance/faults/test_rabbitmq_workers.py",
)
# While the first of those that measure want to be alone, the others have tests that end at once. Then the slow ones.
ORDER = (*MEASURING, *LONGEST, "tests/unit/", "tests/e2e/", "tests/conformance/", "tests/integration/", "tests/")

hypothesis.settings.register_profile(
    "alexandria",
    deadline=None,  # the machine is shared; what must be fast has a test of its own
    derandomize=False,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("alexandria")


def _setting_names() -> set[str]:
    names = {name.upper() for name in Settings.model_fields}
    for field in Settings.model_fields.values():
        if isinstance(field.validation_alias, AliasChoices):
            names.update(str(choice) for choice in field.validation_alias.choices)
    return names


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # Until something of ours chooses how to log: structlog's own choice takes seconds for a traceback.
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])
    for name in _setting_names():
        os.environ.pop(name, None)
    # By default PostgreSQL cuts off whoever is silent in a transaction for ten seconds; a shared machine may be so too.
    os.environ["DB_IDLE_IN_TRANSACTION_SECONDS"] = "120"
    if config.option.hypothesis_seed is None:  # xdist hands the choice of the first process to its workers
        config.option.hypothesis_seed = str(random.SystemRandom().getrandbits(32))


def pytest_sessionstart(session: pytest.Session) -> None:
    assert session.config.cache is not None
    warm_start.begin(session.config.cache.mkdir("warm-start") / f"{os.getpid()}.log")
    session.config.stash[TURNS] = Turns(session.config.cache.mkdir("turns"))
    session.config.stash[SERVERS] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    libraries = list(dict.fromkeys(_library_of(item) for item in items))  # one after the other: each is filled once
    items.sort(key=lambda item: (_rank(item, ORDER), libraries.index(_library_of(item)), _rank(item, WITH_A_LIBRARY)))


def _rank(item: pytest.Item, starts: tuple[str, ...]) -> int:
    return next(rank for rank, start in enumerate(starts) if item.nodeid.startswith(start))


def _library_of(item: pytest.Item) -> str:
    """The deployment of a test of the main job."""
    return item.nodeid.partition("[")[2] if item.nodeid.startswith("tests/e2e/test_main_job.py") else ""


class ModuleScheduling(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Modules are dealt to the processes in their order, faults one by one; what measures goes to one process."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(MEASURING):
            return "measuring"
        return nodeid if "/faults/" in nodeid else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    return ModuleScheduling(config, log)


@functools.cache
def _step_back() -> None:
    """Once for this process and whatever it starts from now on; only root could take it back."""
    os.nice(NICENESS)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Around a whole test with its fixtures, and outside of its time limit."""
    if not item.nodeid.startswith(MEASURING):
        _step_back()
    with item.config.stash[TURNS].beside_others():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what the servers of its process said last: a client only sees that its connection ended."""
    report = yield
    if report.failed:
        for server in item.config.stash[SERVERS]:
            report.sections.append((f"the log of {server.name}", server.process.log_tail()))
    return report


def pytest_report_header(config: pytest.Config) -> str:
    return f"hypothesis: repeat with --hypothesis-seed={config.option.hypothesis_seed}"


def pytest_sessionfinish(session: pytest.Session) -> None:
    if SHARED_RABBIT in session.config.stash:
        session.config.stash[SHARED_RABBIT].leave()
    session.config.stash[TURNS].close()
    warm_start.end()


@pytest.fixture(autouse=True)
def _settings_read_afresh() -> None:
    get_settings.cache_clear()


@pytest.fixture
def alone(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> Alone:
    """`with alone():` measures time: the other processes of the run have ended their test and wait with the next."""
    assert request.node.nodeid.startswith(MEASURING)
    return pytestconfig.stash[TURNS].alone


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that all processes of this run, and no others, have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def redis_server(pytestconfig: pytest.Config) -> Iterator[RedisServer]:
    """The Redis of this process. A test that kills or stops a server starts one of its own instead."""
    with RedisServer() as server:
        pytestconfig.stash[SERVERS].append(server)
        yield server


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config) -> Iterator[PostgresServer]:
    """The PostgreSQL of this process. A test that kills or stops a server starts one of its own instead."""
    with PostgresServer() as server:
        pytestconfig.stash[SERVERS].append(server)
        yield server


@pytest.fixture(scope="session")
def rabbit(run_directory: Path, pytestconfig: pytest.Config) -> RabbitAccess:
    """The RabbitMQ of this run."""
    shared = SharedRabbit(run_directory)
    pytestconfig.stash[SHARED_RABBIT] = shared
    return shared.join()


@pytest.fixture
def _empty_redis(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.flushall()


@pytest.fixture
def redis_url(redis_server: RedisServer, _empty_redis: None) -> str:
    """An empty Redis database, for a broker."""
    return redis_server.database_url(0)


@pytest.fixture
def cache_url(redis_server: RedisServer, _empty_redis: None) -> str:
    """Another empty Redis database, for a cache."""
    return redis_server.database_url(2)


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A new PostgreSQL database without tables."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(scope="session")
def _reused_database(postgres_server: PostgresServer) -> ReusedDatabase:
    database = ReusedDatabase(postgres_server)
    database.make()
    return database


@pytest.fixture
def migrated_postgres_url(_reused_database: ReusedDatabase) -> Iterator[str]:
    """A PostgreSQL database with all tables, and with no rows but those of the migrations."""
    yield _reused_database.url
    _reused_database.clean()


@pytest.fixture
def rabbit_url(rabbit: RabbitAccess) -> Iterator[str]:
    """A new virtual host."""
    with rabbit.vhost() as url:
        yield url
