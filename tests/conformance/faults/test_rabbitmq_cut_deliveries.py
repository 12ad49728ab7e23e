"""The connection is cut at every byte of what delivers a message of RabbitMQ: nothing is lost at the broker."""

from __future__ import annotations

from contextlib import suppress
from itertools import count
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import kombu
import pytest

from app.transports.base import Message, Transport
from chaos.polling import poll_until
from tests.conformance.brokers import Lab
from tests.conformance.cutting_proxy import CuttingProxy

MESSAGES = 500
BASIC_CONSUME = b"\x00\x3c\x00\x14"
"""Class 60, method 20 of AMQP 0-9-1: what asks for messages. All answers before it pass whole."""
OFFSETS_A_PROXY = 100
SHORTEST_BYTES = 300
"""Method, header and body of a message of ours are longer than this."""
PATIENT_SECONDS = 20.0


@pytest.mark.parametrize("lab", ["rabbitmq"], indirect=True)
def test_no_cut_of_a_delivery_loses_a_message(lab: Lab, transport: Transport) -> None:
    numbers = range(1000, 1000 + MESSAGES)  # all of one length
    sent = [Message(call_id=uuid4(), task="t", args=(number,), queue="default") for number in numbers]
    assert all(one.accepted for one in transport.publish(sent, deadline_seconds=PATIENT_SECONDS))

    assert _cut_at_every_byte(lab.url) > SHORTEST_BYTES

    poll_until(lambda: lab.witness.count("default") == MESSAGES, within_seconds=PATIENT_SECONDS, what="all are ready")
    found = [seen.call_id for seen in lab.witness.take_all("default")]
    assert sorted(found) == sorted(str(one.call_id) for one in sent)


def _cut_at_every_byte(url: str) -> int:
    """One delivery after the other ends at its next byte; after how many bytes a message was there, whole."""
    port = urlsplit(url).port
    assert port is not None
    for first in count(step=OFFSETS_A_PROXY):
        with CuttingProxy(port) as proxy:
            through = url.replace(f":{port}/", f":{proxy.port}/")
            for offset in range(first, first + OFFSETS_A_PROXY):
                proxy.cut_after(offset, direction="replies", question=BASIC_CONSUME)
                if _receives(through):
                    return offset
                assert proxy.has_cut
    raise AssertionError("no delivery ever comes to its end")


def _receives(url: str) -> bool:
    """Whether a message arrives before the connection ends. It is not acknowledged."""
    received: list[Any] = []
    connection: Any = kombu.Connection(url)
    try:
        channel = connection.default_channel
        channel.basic_qos(0, 1, False)
        with suppress(*connection.connection_errors, OSError):
            channel.basic_consume("default", no_ack=False, callback=received.append, consumer_tag="t")
            connection.drain_events(timeout=PATIENT_SECONDS)
    finally:
        with suppress(Exception):
            connection.collect()
    return bool(received)
