"""The servers that scenarios run on: some for a whole run, some for one scenario alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from chaos.given_broker import GivenBroker
from chaos.processes import HarnessError
from chaos.servers.base import Server
from chaos.servers.postgres import PostgresServer
from chaos.servers.rabbit import RabbitServer
from chaos.servers.redis import RedisServer
from chaos.servers.sentinel import SentinelServer
from chaos.servers.toxiproxy import ToxiproxyServer

BROKERS = ("redis", "rabbitmq")
BrokerServer = RedisServer | RabbitServer | SentinelServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where one scenario runs: its own database, broker and cache, past every proxy.

    `own_broker`: None when the broker is an operator's. `spare_url`: a broker of the other kind, if it was asked for.
    """

    database_url: str
    broker_url: str
    cache_url: str
    database: PostgresServer
    own_broker: BrokerServer | None
    cache: RedisServer
    spare_url: str = ""

    @property
    def broker(self) -> BrokerServer:
        """To be broken."""
        if self.own_broker is None:
            raise HarnessError("the broker is an operator's: only the lines to it are broken")
        return self.own_broker

    @property
    def contents_url(self) -> str:
        """Where the broker's messages are now: behind a Sentinel, with the master."""
        return self.own_broker.master().url if isinstance(self.own_broker, SentinelServer) else self.broker_url


class Site:
    """PostgreSQL and RabbitMQ are started when first needed and shared: a scenario gets a database and a virtual host.

    A scenario that breaks the broker itself gets one of its own. With `given`, that broker is used and none started.
    """

    def __init__(self, given: GivenBroker | None = None) -> None:
        self._given = given
        self._running = ExitStack()
        self._postgres: PostgresServer | None = None
        self._rabbit: RabbitServer | None = None
        self._versions: dict[str, str] = {}
        self._toxiproxy_version = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    @contextmanager
    def ground(
        self, broker: str, *, own_broker: bool = False, sentinel: bool = False, spare: bool = False
    ) -> Iterator[Ground]:
        """For one scenario on `redis` or `rabbitmq`; with `sentinel`, on a Redis with a replica and a Sentinel.

        `spare`: with a broker of the other kind beside it. `BrokerRefused` where the given one is no longer free.
        """
        self._versions = {}
        if self._postgres is None:
            self._postgres = self._running.enter_context(PostgresServer(max_connections=300))
        postgres = self._postgres
        self._versions["postgresql"] = postgres.running_version()
        database_url = postgres.create_database()
        with ExitStack() as stack:
            stack.callback(postgres.drop_database, database_url)
            cache = stack.enter_context(RedisServer())
            self._note(cache)
            server: BrokerServer | None
            if self._given is not None:
                self._given.expect_free()
                server, url = None, self._given.url
                self._versions[f"given {self._given.kind}"] = self._given.version
            elif sentinel:
                server = stack.enter_context(SentinelServer())
                url = server.url
                self._note(server)
            else:
                server, url = self._broker(stack, broker, own=own_broker)
            [other] = set(BROKERS) - {broker}
            yield Ground(
                database_url=database_url,
                broker_url=url,
                cache_url=cache.url,
                database=postgres,
                own_broker=server,
                cache=cache,
                spare_url=self._broker(stack, other, own=False)[1] if spare else "",
            )

    def versions(self, *, lines: bool) -> dict[str, str]:
        """Of all servers that took part in the latest scenario, as they said; with `lines`, Toxiproxy too."""
        if lines and not self._toxiproxy_version:
            with ToxiproxyServer() as one:  # those of the lines are gone
                self._toxiproxy_version = one.running_version()
        return self._versions | ({"toxiproxy": self._toxiproxy_version} if lines else {})

    def _note(self, server: Server) -> None:
        self._versions[server.name] = server.running_version()

    def _broker(self, stack: ExitStack, name: str, *, own: bool) -> tuple[RedisServer | RabbitServer, str]:
        server, url = self._started(stack, name, own=own)
        self._note(server)
        return server, url

    def _started(self, stack: ExitStack, name: str, *, own: bool) -> tuple[RedisServer | RabbitServer, str]:
        if name == "redis":
            redis = stack.enter_context(RedisServer())
            return redis, redis.url
        if own:
            rabbit = stack.enter_context(RabbitServer())
            return rabbit, rabbit.url
        if self._rabbit is None:
            self._rabbit = self._running.enter_context(RabbitServer())
        return self._rabbit, stack.enter_context(self._rabbit.vhost())
