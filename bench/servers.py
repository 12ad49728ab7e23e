"""The brokers of one run: started when first asked for, empty each time they are handed out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from chaos.servers.postgres import PostgresServer
from chaos.servers.rabbit import RabbitServer
from chaos.servers.redis import RedisServer

Broker = Callable[[], AbstractContextManager[str]]
"""An empty broker's URL, for the time of one measurement."""


class Servers:
    """One Redis (append-only file, written out every second), one RabbitMQ, one PostgreSQL (with fsync)."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._redis: RedisServer | None = None
        self._rabbit: RabbitServer | None = None
        self._postgres: PostgresServer | None = None

    def versions(self) -> dict[str, str]:
        """Of those that run."""
        running: dict[str, RedisServer | RabbitServer | None] = {"redis": self._redis, "rabbitmq": self._rabbit}
        return {name: server.version() for name, server in running.items() if server is not None}

    @contextmanager
    def redis(self) -> Iterator[str]:
        """See `Broker`."""
        if self._redis is None:
            self._redis = self._stack.enter_context(RedisServer())
        with self._redis.client() as client:
            client.flushall()
        yield self._redis.url

    @contextmanager
    def rabbitmq(self) -> Iterator[str]:
        """See `Broker`."""
        if self._rabbit is None:
            self._rabbit = self._stack.enter_context(RabbitServer())
        with self._rabbit.vhost() as url:
            yield url

    def postgres(self) -> PostgresServer:
        """The server, for its `create_database`."""
        if self._postgres is None:
            self._postgres = self._stack.enter_context(PostgresServer(durable=True))
        return self._postgres
