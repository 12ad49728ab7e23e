"""How a dead message is read, on every broker: what its sender claimed, in plain JSON, and never an error."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.transports.base import DeadMessage
from app.transports.message import CONTENT_TYPE

LONGEST_NAME = 128
DEEPEST = 20
LARGEST_NUMBER = 2**31 - 1  # what a column of integers holds


def read_dead(
    *,
    queue: str,
    reason: Any,
    count: Any,
    died_at: datetime | None,
    payload: bytes,
    body: bytes | None,
    content_type: str | None,
    headers: Mapping[str, Any],
    priority: int,
    receipt: Any,
) -> DeadMessage:
    """The message with these parts; a part that cannot be read is left out, and shows in `headers` or `payload`."""
    shown: dict[str, Any] = plain(headers)
    args, kwargs = _arguments(body, content_type)
    return DeadMessage(
        queue=queue,
        reason=_name(reason) or "unknown",
        count=_number(count) or 1,
        died_at=died_at,
        payload=payload,
        headers=shown,
        task=_name(headers.get("task")),
        message_id=_name(headers.get("id")),
        generation=_number(headers.get("generation")),
        args=args,
        kwargs=kwargs,
        priority=min(9, max(0, priority)),
        receipt=receipt,
    )


def plain(value: Any, depth: int = 0) -> Any:
    """`value` as JSON that any database stores: bytes and times as text, NUL and half surrogate pairs replaced."""
    if depth > DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {_storable(str(name)): plain(one, depth + 1) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one, depth + 1) for one in value]
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, bytes | bytearray):
        value = bytes(value).decode("utf-8", "replace")
    return _storable(value.isoformat() if isinstance(value, datetime) else str(value))


def _storable(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _number(value: Any) -> int | None:
    """A number from 1 that can be stored: anything else counts nothing."""
    return value if type(value) is int and 0 < value <= LARGEST_NUMBER else None


def _name(value: Any) -> str | None:
    """A name that can be one: a longer or unprintable one names nothing."""
    if isinstance(value, str) and 0 < len(value) <= LONGEST_NAME and value.isprintable():
        return value
    return None


def _arguments(body: bytes | None, content_type: str | None) -> tuple[list[Any] | None, dict[str, Any] | None]:
    """`args` and `kwargs` of a Celery body, or None for both: half-read arguments would be other arguments."""
    if body is None or content_type != CONTENT_TYPE:
        return None, None
    try:
        args, kwargs, _embed = json.loads(body)
    except (ValueError, TypeError, RecursionError):
        return None, None
    if not isinstance(args, list) or not isinstance(kwargs, dict) or plain([args, kwargs]) != [args, kwargs]:
        return None, None
    return args, kwargs
