"""The connection breaks in the middle of a publish: what is said of each message is true."""

from __future__ import annotations

import random
from urllib.parse import urlsplit

import pytest

from app.errors import TransportUnavailable
from app.transports.base import Message, Outcome, Transport
from tests.conformance.brokers import Lab, messages
from tests.conformance.conftest import TransportMaker
from tests.conformance.cutting_proxy import CuttingProxy, Direction

PATIENT_SECONDS = 20.0
CUTS = 25
LONGEST: dict[Direction, dict[str, int]] = {
    "requests": {"redis": 20_000, "valkey": 20_000, "rabbitmq": 12_000},
    "replies": {"redis": 90, "valkey": 90, "rabbitmq": 120},
}
"""About the bytes of one such publish, so that some cuts come after it."""


@pytest.mark.usefixtures("transport")
@pytest.mark.parametrize("direction", LONGEST)
def test_accepted_is_there_and_raised_is_nowhere_wherever_the_connection_is_cut(
    lab: Lab, transport_to: TransportMaker, direction: Direction
) -> None:
    parts = urlsplit(lab.url)
    assert parts.port is not None
    fates: set[str] = set()
    nowhere: set[str] = set()
    everywhere: set[str] = set()
    with CuttingProxy(parts.port) as proxy:
        through = transport_to(lab.url.replace(f":{parts.port}/", f":{proxy.port}/"))
        for _ in range(CUTS):
            assert through.publish(messages(), deadline_seconds=PATIENT_SECONDS)[0].accepted
            _drain(lab)
            proxy.cut_after(random.randint(0, LONGEST[direction][lab.name]), direction=direction)
            sent = messages(range(10)) + messages(range(10))
            outcomes = _publish(through, sent)
            proxy.let_through()
            accepted = {call_id for call_id, outcome in outcomes.items() if outcome.accepted}
            fates.update(outcome.fate for outcome in outcomes.values())
            nowhere |= {str(message.call_id) for message in sent} - set(outcomes)
            found = _drain(lab)
            everywhere |= found
            assert accepted <= found
            assert not any(outcome.refused for outcome in outcomes.values())
    assert not everywhere & nowhere
    assert "unknown" in fates


def _publish(transport: Transport, sent: list[Message]) -> dict[str, Outcome]:
    """What was said of each message; nothing at all if the publish raised."""
    try:
        outcomes = transport.publish(sent, deadline_seconds=PATIENT_SECONDS)
    except TransportUnavailable:
        return {}
    return {str(message.call_id): outcome for message, outcome in zip(sent, outcomes, strict=True)}


def _drain(lab: Lab) -> set[str]:
    return {seen.call_id for seen in lab.witness.take_all("default")}
