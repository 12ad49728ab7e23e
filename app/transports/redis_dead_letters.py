"""Dead letters on Redis: a list for each queue, written by the script that takes a message from its worker.

An element is one line of JSON (`reason`, `count`, `time`, `queue`), then the message exactly as it was. The oldest
is at the right end. Nothing is moved: an element is read where it is, and removed by its own bytes once it is settled.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.transports.base import DeadMessage
from app.transports.dead_letters import read_dead
from app.transports.redis_format import WIRE_PRIORITIES, Command, dead_letters_key

Ask = Callable[..., list[Any]]
"""One round trip of commands; an error reply is returned in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Envelope:
    """Kombu's message, as far as it can be read."""

    body: bytes | None
    content_type: str | None
    headers: dict[str, Any]
    priority: int


_UNREADABLE = _Envelope(body=None, content_type=None, headers={}, priority=0)


def take(ask: Ask, queues: Sequence[str], *, limit: int) -> list[DeadMessage]:
    """The oldest of each queue, oldest first."""
    ranges: list[Command] = [("LRANGE", dead_letters_key(queue), -limit, -1) for queue in queues]
    return [
        _read(queue, element)
        for queue, elements in zip(queues, _checked(ask(*ranges)), strict=True)
        for element in reversed(elements)
    ]


def forget(ask: Ask, messages: Sequence[DeadMessage]) -> int:
    """Remove these very elements, each once."""
    removals: list[Command] = [("LREM", dead_letters_key(one.queue), -1, one.receipt) for one in messages]
    return sum(_checked(ask(*removals))) if removals else 0


def _checked(replies: list[Any]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def _read(queue: str, element: bytes) -> DeadMessage:
    death, payload = _death(element)
    envelope = _envelope(payload)
    death = {"queue": queue, **death}
    return read_dead(
        queue=queue,
        reason=death["reason"],
        count=death.get("count"),
        died_at=_moment(death.get("time")),
        payload=payload,
        body=envelope.body,
        content_type=envelope.content_type,
        headers={**envelope.headers, "content-type": envelope.content_type, "x-death": [death]},
        priority=envelope.priority,
        receipt=element,
    )


def _death(element: bytes) -> tuple[dict[str, Any], bytes]:
    """What the script wrote, and the message; all is message where a stranger wrote."""
    line, _, payload = element.partition(b"\n")
    try:
        death = json.loads(line)
    except (ValueError, RecursionError):
        death = None
    if not isinstance(death, dict) or "reason" not in death:
        return {"reason": "undecodable"}, element
    return death, payload


def _envelope(payload: bytes) -> _Envelope:
    try:
        envelope = json.loads(payload)
        properties = envelope["properties"]
        body = str(envelope["body"]).encode()
        if properties.get("body_encoding") == "base64":
            body = base64.b64decode(body, validate=True)
        wire = int(properties.get("priority") or 0)
        return _Envelope(
            body=body,
            content_type=envelope.get("content-type"),
            headers=dict(envelope["headers"]),
            priority=WIRE_PRIORITIES.index(wire) if wire in WIRE_PRIORITIES else 0,
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, binascii.Error, RecursionError):
        return _UNREADABLE


def _moment(value: Any) -> datetime | None:
    """Seconds of the server's clock."""
    try:
        return datetime.fromtimestamp(float(value), UTC)
    except (ValueError, TypeError, OverflowError, OSError):
        return None
