"""The connection is cut at every byte of the reply that delivers a message: nothing is lost at the broker."""

from __future__ import annotations

import json
from contextlib import suppress
from operator import methodcaller
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import kombu
import pytest
import redis
from kombu.transport.redis import Transport as StockTransport

from app.transports.base import Message, Transport
from app.transports.lease.channel import LeaseTransport
from app.transports.lease.holding import holdings
from app.transports.lease.scripts import CLAIM
from tests.conformance.brokers import Lab
from tests.conformance.cutting_proxy import CuttingProxy

MESSAGES = 500
FRAME = b"*3\r\n$7\r\ndefault\r\n$36\r\n" + 36 * b"-" + b"\r\n$000\r\n\r\n"
"""What stands around a message in the answer to a claim: its queue, its tag, their lengths."""
BYTES_BEYOND = 10
OFFSETS_A_PROXY = 100
QUESTIONS = {StockTransport: b"BRPOP", LeaseTransport: CLAIM.sha.encode()}
"""What asks for a message: all other replies pass whole."""
TRIES = 5
OPTIONS = {"priority_steps": list(range(10)), "socket_timeout": 5, "socket_connect_timeout": 5}
PATIENT_SECONDS = 20.0
DRAIN_SECONDS = 3.0
"""A cut ends it at once."""


@pytest.mark.parametrize("lab", ["redis", "valkey"], indirect=True)
def test_no_cut_of_a_claims_reply_loses_a_message_and_stock_loses_some(
    lab: Lab, transport: Transport, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = {}
    for kind in (StockTransport, LeaseTransport):
        sent = [Message(call_id=uuid4(), task="t", args=(number,), queue="default") for number in range(MESSAGES)]
        assert all(one.accepted for one in transport.publish(sent, deadline_seconds=PATIENT_SECONDS))
        reply_bytes = len(FRAME) + _message_bytes(lab.url)

        cuts = _cut_at_every_byte(lab.url, kind, reply_bytes + BYTES_BEYOND)

        assert kind is StockTransport or cuts.issuperset(range(reply_bytes))
        found = _everything(lab.url)
        assert len(found) == len(set(found))
        lost[kind] = MESSAGES - len({str(one.call_id) for one in sent} & set(found))
        _empty(lab.url)
    with capsys.disabled():
        print(f"\n{lab.name}: of {MESSAGES} messages stock lost {lost[StockTransport]}, leases {lost[LeaseTransport]}")  # noqa: T201
    assert lost[LeaseTransport] == 0
    assert lost[StockTransport] > 0


def _cut_at_every_byte(url: str, kind: type[Any], reply_bytes: int) -> set[int]:
    """One delivery after the other over a connection that ends at the next byte of it; after which bytes it did."""
    port = urlsplit(url).port
    assert port is not None
    cuts: set[int] = set()
    for first in range(0, reply_bytes, OFFSETS_A_PROXY):
        with CuttingProxy(port) as proxy:
            through = url.replace(f":{port}/", f":{proxy.port}/")
            for offset in range(first, min(first + OFFSETS_A_PROXY, reply_bytes)):
                if not _ready(url):  # stock has lost them, or holds them for an hour
                    return cuts
                if any(_is_cut(proxy, through, kind, offset) for _ in range(TRIES)):
                    cuts.add(offset)
            _end_holdings()
    return cuts


def _is_cut(proxy: CuttingProxy, url: str, kind: type[Any], offset: int) -> bool:
    """Take one message and give it back; whether the proxy cut what should have brought it. (The reply may bring none,
    or ask for the script: an error alone, such as nothing within the time, is no cut.)
    """
    connection: Any = kombu.Connection(url, transport=kind, transport_options=OPTIONS)
    try:
        with suppress(*connection.connection_errors, OSError):
            channel = connection.default_channel
            channel.basic_qos(0, 1, False)
            give_back = methodcaller("reject", requeue=True)
            channel.basic_consume("default", no_ack=False, callback=give_back, consumer_tag="t")
            proxy.cut_after(offset, direction="replies", question=QUESTIONS[kind])
            connection.drain_events(timeout=DRAIN_SECONDS)
    finally:
        proxy.let_through()
        with suppress(Exception):
            connection.collect()
    return proxy.has_cut


def _end_holdings() -> None:
    for holding in holdings():
        holding.end()


def _ready(url: str) -> int:
    with redis.Redis.from_url(url, socket_timeout=5) as client:
        return sum(int(client.llen(key)) for key in client.keys("default*"))


def _message_bytes(url: str) -> int:
    """Of the shortest."""
    with redis.Redis.from_url(url, socket_timeout=5) as client:
        (key,) = client.keys("default*")
        return min(map(len, client.lrange(key, 0, -1)))


def _everything(url: str) -> list[str]:
    """The ids of all messages at the broker, ready or held, as redis-py sees them."""
    with redis.Redis.from_url(url, socket_timeout=5) as client:
        raws = [raw for key in client.keys("default*") for raw in client.lrange(key, 0, -1)]
        held = [json.loads(record)[0] for record in client.hvals("unacked")]
    return [str(message["headers"]["id"]) for message in [*map(json.loads, raws), *held]]


def _empty(url: str) -> None:
    with redis.Redis.from_url(url, socket_timeout=5) as client:
        client.flushall()
