"""Kombu's keys and message format on Redis.

Step n of a queue is the list `<queue>\\x06\\x16<n>`, step 0 the list `<queue>`; `LPUSH` at one end, `RPOP` at the
other, step 0 served first. Priorities are AMQP's, 9 first, so a message of priority p is in step 9 - p.
What a worker holds is in the hash `unacked`: tag -> [message, exchange, routing key].
A token in `wake:<queue>` wakes a worker that waits; `lease/lua/library.lua` draws the other keys of the leases.
"""

from __future__ import annotations

import base64
import json
from uuid import uuid4

from app.errors import TransportRejected
from app.transports.base import PRIORITIES, QUEUES, Message
from app.transports.message import CONTENT_ENCODING, CONTENT_TYPE, body_of, headers_of

SEPARATOR = "\x06\x16"
WIRE_PRIORITIES = tuple(PRIORITIES)
LAST_STEP = len(PRIORITIES) - 1
UNACKED_KEY = "unacked"
TOKENS = 16
TOKEN_MILLISECONDS = 2000

Command = tuple[str | bytes | int, ...]


def queue_key(queue: str, step: int) -> str:
    """The list that holds one priority step of a queue."""
    return f"{queue}{SEPARATOR}{step}" if step else queue


def wake_key(queue: str) -> str:
    """The list of tokens for workers that wait for this queue."""
    return f"wake:{queue}"


def wake(queue: str, tokens: int = 1) -> tuple[Command, ...]:
    """The commands that wake up to `tokens` waiting workers."""
    key = wake_key(queue)
    pushed = ("LPUSH", key, *("1" for _ in range(min(tokens, TOKENS))))
    return pushed, ("LTRIM", key, 0, TOKENS - 1), ("PEXPIRE", key, TOKEN_MILLISECONDS)


def dead_letters_key(queue: str) -> str:
    """The list of a queue's dead letters."""
    return f"{queue}.dead"


def lpush(message: Message) -> Command:
    """The command that puts a message into its queue; `TransportRejected` if it never can be."""
    if message.queue not in QUEUES:  # a list would come into being, and nobody would read it
        raise TransportRejected(f"there is no queue {message.queue!r} on the broker")
    envelope = {
        "body": base64.b64encode(body_of(message)).decode("ascii"),
        "content-encoding": CONTENT_ENCODING,
        "content-type": CONTENT_TYPE,
        "headers": headers_of(message),
        "properties": {
            "correlation_id": str(message.call_id),
            "reply_to": "",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": message.queue},
            "priority": message.priority,
            "body_encoding": "base64",
            "delivery_tag": str(uuid4()),
        },
    }
    return ("LPUSH", queue_key(message.queue, LAST_STEP - message.priority), json.dumps(envelope))
