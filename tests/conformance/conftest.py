"""A healthy broker, or one to break, of each kind; transports that are closed afterwards.

The servers are this machine's, or with TEST_SERVERS=debian-13 those of Debian 13 (chaos/servers/userland.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from app.transports.base import Transport
from app.transports.registry import open_transport
from chaos.servers.redis import RedisServer, ValkeyServer
from tests.conformance.brokers import SERVERS, WITNESSES, BrokerServer, FragileLab, Lab, versioned
from tests.conformance.workers import Worker

KINDS = tuple(WITNESSES)
TransportMaker = Callable[[str], Transport]
WorkerMaker = Callable[..., Worker]


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture
def valkey_url(valkey_server: ValkeyServer) -> str:
    with valkey_server.client() as client:
        client.flushall()
    return valkey_server.url


@pytest.fixture(params=KINDS, ids=versioned)
def lab(request: pytest.FixtureRequest) -> Lab:
    kind = str(request.param)
    url = request.getfixturevalue("rabbit_url" if kind == "rabbitmq" else f"{kind}_url")
    return Lab(name=kind, url=url, witness=WITNESSES[kind](url))


@pytest.fixture(scope="session")
def fragile_servers() -> Iterator[Callable[[str], BrokerServer]]:
    """Servers that tests break, each started when first asked for."""
    with ExitStack() as stack:
        running: dict[str, BrokerServer] = {}

        def get(kind: str) -> BrokerServer:
            if kind not in running:
                server = SERVERS[kind]()
                stack.enter_context(server)
                running[kind] = server
            return running[kind]

        yield get


@pytest.fixture(params=KINDS, ids=versioned)
def fragile(request: pytest.FixtureRequest, fragile_servers: Callable[[str], BrokerServer]) -> Iterator[FragileLab]:
    """Alive at the start of the test, and alive and empty again after it."""
    kind = str(request.param)
    server = fragile_servers(kind)
    witness = WITNESSES[kind](server.url)
    yield FragileLab(name=kind, url=server.url, witness=witness, server=server)
    server.resume()
    if not server.process.running:
        server.start()
    if isinstance(server, RedisServer):
        with server.client() as client:
            client.flushall()
        return
    with closing(open_transport(server.url)) as transport:
        transport.declare(deadline_seconds=10)
    witness.take_all("default")


@pytest.fixture
def transport_to() -> Iterator[TransportMaker]:
    with ExitStack() as stack:
        yield lambda url: stack.enter_context(closing(open_transport(url)))


@pytest.fixture
def transport(lab: Lab, transport_to: TransportMaker) -> Transport:
    """A transport to the healthy broker, with its queues."""
    transport = transport_to(lab.url)
    transport.declare(deadline_seconds=10)
    return transport


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[WorkerMaker]:
    """Start a stock Celery worker: of an app that is configured from `broker_for`, or of another."""
    with ExitStack() as stack:

        def start(
            url: str,
            *,
            app: str = "tests.conformance.worker_app",
            queues: str = "default",
            environment: Mapping[str, str] | None = None,
        ) -> Worker:
            worker = Worker(url=url, app=app, queues=queues, directory=tmp_path, environment=environment)
            return stack.enter_context(worker)

        yield start
