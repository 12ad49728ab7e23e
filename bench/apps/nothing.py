"""Transports that do nothing but what Celery's worker needs in order to go on: messages are made in memory."""

from __future__ import annotations

import base64
import json
import os
from itertools import islice
from time import monotonic
from typing import Any

from kombu.transport import redis, virtual
from kombu.utils.json import dumps

from app.transports.lease.announcements import Announcements

A_POLL_BRINGS = 50
ENVELOPE: dict[str, Any] = {
    "content-encoding": "utf-8",
    "content-type": "application/json",
    "headers": {
        "lang": "py",
        "task": "bench.note",
        "argsrepr": "(1,)",
        "kwargsrepr": "{}",
        "origin": "bench",
        "ignore_result": True,
        "retries": 0,
        "timelimit": [None, None],
    },
}
numbers = iter(range(int(os.environ.get("BENCH_CALLS", "0"))))


def message(number: int) -> str:
    """As kombu's Redis transport would have read it."""
    tag = f"bench-{number}"
    body = json.dumps([[number], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    properties = {
        "correlation_id": tag,
        "reply_to": tag,
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "default"},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": tag,
    }
    headers = ENVELOPE["headers"] | {"id": tag, "root_id": tag}
    encoded = base64.b64encode(body.encode()).decode()
    return json.dumps(ENVELOPE | {"body": encoded, "headers": headers, "properties": properties})


class QoS(redis.QoS):
    append = virtual.QoS.append
    ack = virtual.QoS.ack

    def can_consume(self) -> bool:
        """From half a window on: fewer polls leave more time for Celery itself."""
        held = len(self._delivered or ()) - len(self._dirty or ())
        return bool(not self.prefetch_count or held <= self.prefetch_count // 2)

    def restore_visible(self, *_: Any, **__: Any) -> None: ...

    def restore_unacked_once(self, *_: Any, **__: Any) -> None: ...


class Channel(redis.Channel):
    QoS = QoS

    def _brpop_start(self, timeout: float | None = None) -> None:  # noqa: ARG002
        if self.active_queues:
            self._in_poll = self.client.connection
            self._brpop_sent_at = monotonic()
            self._in_poll.send_command("PING")

    def _brpop_read(self, **options: Any) -> bool:
        try:
            self.client.parse_response(self.client.connection, "PING", **options)
            room = self.qos.can_consume_max_estimate()
            for number in islice(numbers, A_POLL_BRINGS if room is None else max(1, min(A_POLL_BRINGS, room))):
                self.connection._deliver(json.loads(message(number)), "default")  # noqa: SLF001 — kombu's own transports do
            return True
        finally:
            self._in_poll = None


class Transport(redis.Transport):
    Channel = Channel


class TellingChannel(Channel):
    _announcements: Announcements | None = None

    def _put_fanout(self, exchange: str, message: dict[str, Any], routing_key: str, **kwargs: Any) -> None:
        if exchange != "celeryev":
            super()._put_fanout(exchange, message, routing_key, **kwargs)  # type: ignore[misc]  # kombu's stub knows it not
            return
        if self._announcements is None:
            self._announcements = Announcements(self.pool)
        payload = dumps(message)
        for topic in self._get_publish_topics(exchange, routing_key):  # type: ignore[attr-defined]  # as above
            self._announcements.publish(topic, payload)


class TellingTransport(redis.Transport):
    Channel = TellingChannel
