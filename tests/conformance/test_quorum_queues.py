"""Quorum queues, which RABBITMQ_QUEUE_TYPE offers: levels of priority and delivery limit, as ADR 0015 has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pika
import pytest
from pydantic import SecretStr

from app.settings import Settings, load_settings
from app.transports.base import Priority, Transport
from app.transports.rabbitmq_topology import DELIVERY_LIMIT
from app.transports.registry import open_transport
from chaos.polling import poll_until
from tests.conformance.brokers import messages, versioned
from tests.conformance.conftest import WorkerMaker
from tests.conformance.witnesses import RabbitWitness

PATIENT_SECONDS = 20.0


@pytest.fixture
def quorum(rabbit_url: str) -> Settings:
    return load_settings(broker_url=SecretStr(rabbit_url), rabbitmq_queue_type="quorum")


@pytest.fixture
def transport(quorum: Settings) -> Iterator[Transport]:
    with closing(open_transport(quorum.broker, quorum)) as transport:
        transport.declare(deadline_seconds=PATIENT_SECONDS)
        yield transport


def test_priorities_have_the_levels_that_the_server_has(transport: Transport, rabbit_url: str) -> None:
    low, high = [1, 3, 4, 0], [5, 9, 7, 6]
    transport.publish(messages([*low, *high]), deadline_seconds=PATIENT_SECONDS)
    poll_until(lambda: RabbitWitness(rabbit_url).count("default") == 8, within_seconds=PATIENT_SECONDS, what="all in")

    served = [int(str(seen.args[0]).removeprefix("p")) for seen in RabbitWitness(rabbit_url).take_all("default")]

    if has_two_levels():
        assert [priority for priority in served if priority < Priority.MEDIUM] == low
        assert [priority for priority in served if priority >= Priority.MEDIUM] == high
        assert served[:2] == high[:2], "two to one"
        assert served[-1] == low[-1]
    else:
        assert served == [*low, *high]


def test_urgent_calls_overtake_in_a_worker_where_the_server_has_two_levels(
    transport: Transport, quorum: Settings, start_worker: WorkerMaker
) -> None:
    waiting = [Priority.LOW] * 6 + [Priority.URGENT] * 6
    transport.publish(messages(waiting), deadline_seconds=PATIENT_SECONDS)

    worker = start_worker(quorum.broker, environment={"RABBITMQ_QUEUE_TYPE": "quorum"})

    notes = worker.notes(at_least=len(waiting))
    urgent_first = notes[:6].count("p9")
    assert urgent_first >= 4 if has_two_levels() else urgent_first == 0, notes


def test_a_message_whose_holders_die_is_dead_at_the_delivery_limit_and_no_sooner(
    transport: Transport, rabbit_url: str
) -> None:
    transport.publish(messages(), deadline_seconds=PATIENT_SECONDS)
    deaths = 0
    connection = pika.BlockingConnection(pika.URLParameters(rabbit_url))
    with closing(connection):
        while deaths <= DELIVERY_LIMIT + 1:
            channel = connection.channel()
            got = poll_until(
                lambda: _got(channel) or _is_dead(transport),  # noqa: B023
                within_seconds=PATIENT_SECONDS,
                what="it is back, or dead",
                every_seconds=0.01,
            )
            if got == "dead":
                break
            channel.close()
            deaths += 1

    [dead] = transport.take_dead(deadline_seconds=PATIENT_SECONDS)
    assert (deaths, dead.reason) == (DELIVERY_LIMIT + 1, "delivery_limit")
    assert dead.args == ["p5"]


def _got(channel: pika.adapters.blocking_connection.BlockingChannel) -> str:
    return "taken" if channel.basic_get("default")[0] is not None else ""


def _is_dead(transport: Transport) -> str:
    return "dead" if transport.depths(deadline_seconds=PATIENT_SECONDS)["default"].dead else ""


def has_two_levels() -> bool:
    major, _ = versioned("rabbitmq").removeprefix("rabbitmq-").split(".")
    return int(major) >= 4
