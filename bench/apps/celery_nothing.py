"""Celery over a transport that does nothing: its own ceiling.

Messages are made in memory, as many as `BENCH_CALLS` says, and acknowledging is removing from a dict.
Each poll is one `PING` of Redis, so that the event loop has something to wake it. Events of tasks are told as stock
does, by a `PUBLISH` that waits for its answer; ours does not wait for it, and so can be above this.
"""

from __future__ import annotations

import base64
import json
import os
from itertools import islice
from time import monotonic
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis, virtual

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


TRANSPORT_ALIASES["redis"] = f"{__name__}:Transport"

from bench.apps.celery_stock import app  # noqa: E402  # after the alias: a Celery app looks its transport up early

__all__ = ["app"]
