"""The servers that scenarios run on: some for a whole run, some for one scenario alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from chaos.servers.postgres import PostgresServer
from chaos.servers.rabbit import RabbitServer
from chaos.servers.redis import RedisServer
from chaos.servers.sentinel import SentinelServer

BROKERS = ("redis", "rabbitmq")
BrokerServer = RedisServer | RabbitServer | SentinelServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where one scenario runs: its own database, broker and cache, past every proxy."""

    database_url: str
    broker_url: str
    cache_url: str
    database: PostgresServer
    broker: BrokerServer
    cache: RedisServer

    @property
    def contents_url(self) -> str:
        """Where the broker's messages are now: behind a Sentinel, with the master."""
        return self.broker.master().url if isinstance(self.broker, SentinelServer) else self.broker_url


class Site:
    """PostgreSQL and RabbitMQ are started when first needed and shared: a scenario gets a database and a virtual host.

    A scenario that breaks the broker itself gets one of its own.
    """

    def __init__(self) -> None:
        self._running = ExitStack()
        self._postgres: PostgresServer | None = None
        self._rabbit: RabbitServer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    @contextmanager
    def ground(self, broker: str, *, own_broker: bool = False, sentinel: bool = False) -> Iterator[Ground]:
        """For one scenario on `redis` or `rabbitmq`; with `sentinel`, on a Redis with a replica and a Sentinel."""
        if self._postgres is None:
            self._postgres = self._running.enter_context(PostgresServer(max_connections=300))
        postgres = self._postgres
        database_url = postgres.create_database()
        with ExitStack() as stack:
            stack.callback(postgres.drop_database, database_url)
            cache = stack.enter_context(RedisServer())
            if sentinel:
                server: BrokerServer = stack.enter_context(SentinelServer())
                url = server.url
            else:
                server, url = self._broker(stack, broker, own=own_broker)
            yield Ground(
                database_url=database_url,
                broker_url=url,
                cache_url=cache.url,
                database=postgres,
                broker=server,
                cache=cache,
            )

    def versions(self) -> dict[str, str]:
        """Of the servers, as their programs say."""
        said = {"redis": RedisServer().version()}
        if self._rabbit is not None:
            said["rabbitmq"] = self._rabbit.version()
        return said

    def _broker(self, stack: ExitStack, name: str, *, own: bool) -> tuple[RedisServer | RabbitServer, str]:
        if name == "redis":
            redis = stack.enter_context(RedisServer())
            return redis, redis.url
        if own:
            rabbit = stack.enter_context(RabbitServer())
            return rabbit, rabbit.url
        if self._rabbit is None:
            self._rabbit = self._running.enter_context(RabbitServer())
        return self._rabbit, stack.enter_context(self._rabbit.vhost())
