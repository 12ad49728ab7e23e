"""What is really on a broker, told by redis-py and pika and not by our own code."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import pika
import pika.adapters.blocking_connection
import redis

from chaos.polling import poll_until

STEPS_FIRST_SERVED_FIRST = range(10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A message as another client reads it. `place`: 0 is served before 1, and so on."""

    place: int
    task: str
    call_id: str
    args: list[Any]
    kwargs: dict[str, Any]
    headers: dict[str, Any]
    properties: dict[str, Any]


class Witness(Protocol):
    def take_all(self, queue: str) -> list[Seen]:
        """All messages of a queue, which is empty afterwards; in the order they are served."""

    def count(self, queue: str) -> int: ...

    def let_die(self, queue: str, *, reason: str = "rejected") -> int:
        """Make every message of a queue a dead one, as the broker does it; returns how many died."""

    def count_dead(self, queue: str) -> int: ...

    def put(self, queue: str, raw: bytes, **properties: Any) -> None:
        """Whatever a stranger sends: on Redis the whole element, on RabbitMQ the body."""


class RedisWitness:
    def __init__(self, url: str) -> None:
        self._url = url

    def take_all(self, queue: str) -> list[Seen]:
        with redis.Redis.from_url(self._url, socket_timeout=5) as client:
            return [
                self._seen(json.loads(raw), step)
                for step in STEPS_FIRST_SERVED_FIRST
                for raw in reversed(client.lpop(self._key(queue, step), 1_000_000) or [])
            ]

    def count(self, queue: str) -> int:
        with redis.Redis.from_url(self._url, socket_timeout=5) as client:
            return sum(int(client.llen(self._key(queue, step))) for step in STEPS_FIRST_SERVED_FIRST)

    def let_die(self, queue: str, *, reason: str = "rejected") -> int:
        died = 0
        with redis.Redis.from_url(self._url, socket_timeout=5) as client:
            for step in STEPS_FIRST_SERVED_FIRST:
                while (raw := client.rpop(self._key(queue, step))) is not None:
                    seconds, micros = client.time()
                    death = {"reason": reason, "count": 1, "time": seconds + micros / 1e6, "queue": queue}
                    client.lpush(f"{queue}.dead", json.dumps(death).encode() + b"\n" + raw)
                    died += 1
        return died

    def count_dead(self, queue: str) -> int:
        with redis.Redis.from_url(self._url, socket_timeout=5) as client:
            return int(client.llen(f"{queue}.dead"))

    def put(self, queue: str, raw: bytes, **properties: Any) -> None:
        with redis.Redis.from_url(self._url, socket_timeout=5) as client:
            client.lpush(queue, raw)

    @staticmethod
    def _key(queue: str, step: int) -> str:
        return queue if step == 0 else f"{queue}\x06\x16{step}"

    @staticmethod
    def _seen(envelope: dict[str, Any], step: int) -> Seen:
        args, kwargs, _ = json.loads(base64.b64decode(envelope["body"]))
        assert envelope["content-type"] == "application/json"
        assert envelope["properties"]["body_encoding"] == "base64"
        headers = envelope["headers"]
        return Seen(
            place=step,
            task=headers["task"],
            call_id=headers["id"],
            args=args,
            kwargs=kwargs,
            headers=headers,
            properties=envelope["properties"],
        )


class RabbitWitness:
    def __init__(self, url: str) -> None:
        self._url = url

    @contextmanager
    def channel(self) -> Iterator[pika.adapters.blocking_connection.BlockingChannel]:
        connection = pika.BlockingConnection(pika.URLParameters(self._url))
        try:
            yield connection.channel()
        finally:
            connection.close()

    def take_all(self, queue: str) -> list[Seen]:
        seen: list[Seen] = []
        with self.channel() as channel:
            while True:
                got, properties, body = channel.basic_get(queue, auto_ack=True)
                if got is None:
                    return seen
                seen.append(self._seen(properties, body))

    def count(self, queue: str) -> int:
        with self.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).method.message_count)

    def let_die(self, queue: str, *, reason: str = "rejected") -> int:
        """`rejected` is how a message dies here by somebody's hand; the other reasons are the broker's own."""
        with self.channel() as channel:
            before = channel.queue_declare(f"{queue}.dead", passive=True).method.message_count
            died = 0
            while (got := channel.basic_get(queue))[0] is not None:
                channel.basic_nack(got[0].delivery_tag, requeue=False)
                died += 1
        poll_until(
            lambda: self.count_dead(queue) >= before + died,
            within_seconds=10,
            what=f"{died} messages are in {queue}.dead",
        )
        return died

    def count_dead(self, queue: str) -> int:
        return self.count(f"{queue}.dead")

    def put(self, queue: str, raw: bytes, **properties: Any) -> None:
        with self.channel() as channel:
            channel.basic_publish("", queue, raw, pika.BasicProperties(**properties))

    @staticmethod
    def _seen(properties: pika.BasicProperties, body: bytes) -> Seen:
        args, kwargs, _ = json.loads(body)
        assert properties.content_type == "application/json"
        headers = dict(properties.headers or {})
        return Seen(
            place=9 - (properties.priority or 0),
            task=headers["task"],
            call_id=headers["id"],
            args=args,
            kwargs=kwargs,
            headers=headers,
            properties=vars(properties),
        )
