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
