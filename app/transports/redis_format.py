"""Kombu's keys and message format on Redis.

Priority step n of a queue is the list `<queue>\\x06\\x16<n>`, step 0 the list `<queue>`;
`LPUSH` at one end, `BRPOP` at the other, step 0 served first. Ours is 9 first, so wire = 9 - priority.
What a worker holds is in the hash `unacked`: tag -> [message, exchange, routing key].
"""

from __future__ import annotations

import base64
import json
from uuid import uuid4

from app.errors import TransportRejected
from app.transports.base import PRIORITIES, QUEUES, Message
from app.transports.message import CONTENT_ENCODING, CONTENT_TYPE, body_of, headers_of

SEPARATOR = "\x06\x16"
WIRE_PRIORITIES = tuple(9 - priority for priority in PRIORITIES)
UNACKED_KEY = "unacked"

Command = tuple[str | bytes | int, ...]


def queue_key(queue: str, wire_priority: int) -> str:
    """The list that holds one priority step of a queue."""
    return f"{queue}{SEPARATOR}{wire_priority}" if wire_priority else queue


def dead_letters_key(queue: str) -> str:
    """The list of a queue's dead letters."""
    return f"{queue}.dead"


def lpush(message: Message) -> Command:
    """The command that puts a message into its queue; `TransportRejected` if it never can be."""
    if message.queue not in QUEUES:  # a list would come into being, and nobody would read it
        raise TransportRejected(f"there is no queue {message.queue!r} on the broker")
    wire = WIRE_PRIORITIES[message.priority]
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
            "priority": wire,
            "body_encoding": "base64",
            "delivery_tag": str(uuid4()),
        },
    }
    return ("LPUSH", queue_key(message.queue, wire), json.dumps(envelope))
