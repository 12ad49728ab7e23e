"""A call as a Celery message (protocol 2), in plain data that both brokers carry.

Source: https://docs.celeryq.dev/en/stable/internals/protocol.html (version 2).
"""

from __future__ import annotations

import json
import os
import socket
from functools import lru_cache
from typing import Any

from app.errors import TransportRejected
from app.transports.base import Message

CONTENT_TYPE = "application/json"
CONTENT_ENCODING = "utf-8"
REPR_MAX_CHARS = 1024
EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


@lru_cache(maxsize=1)
def _origin(pid: int) -> str:
    return f"{pid}@{socket.gethostname()}"


def headers_of(message: Message) -> dict[str, Any]:
    """The headers that a Celery worker reads, with our own `generation` and the message's extra ones.

    `TransportRejected` if an extra one is not plain JSON.
    """
    plain_headers = dict(message.headers)
    _json(plain_headers, f"{message.task}: headers")
    call_id = str(message.call_id)
    return {
        "lang": "py",
        "task": message.task,
        "id": call_id,
        "root_id": call_id,
        "parent_id": None,
        "group": None,
        "retries": 0,
        "eta": None,
        "expires": None,
        "timelimit": [None, None],
        "argsrepr": repr(message.args)[:REPR_MAX_CHARS],
        "kwargsrepr": repr(dict(message.kwargs))[:REPR_MAX_CHARS],
        "origin": _origin(os.getpid()),
        "ignore_result": True,
        "generation": message.generation,
        **plain_headers,
    }


def body_of(message: Message) -> bytes:
    """`[args, kwargs, embed]` as UTF-8 JSON; `TransportRejected` if a value is not plain JSON."""
    return _json([message.args, dict(message.kwargs), EMBED], f"{message.task}: arguments")


def _json(value: object, what: str) -> bytes:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode(CONTENT_ENCODING)
    except (TypeError, ValueError, RecursionError) as error:
        raise TransportRejected(f"{what} are not plain JSON: {error}") from error


def mark_of(message: Message) -> str:
    """The name of one sending, unique per call and generation: AMQP's `message_id`."""
    return f"{message.call_id}:{message.generation}"
