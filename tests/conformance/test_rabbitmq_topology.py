"""What stands on RabbitMQ, read with pika and the management API, and what its alarms do to a publisher."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from app.errors import TransportRejected, TransportUnavailable
from app.transports.base import QUEUES, Transport
from chaos.polling import poll_until
from chaos.servers.base import Server
from chaos.servers.rabbit import RabbitAccess, RabbitServer
from tests.conformance.brokers import messages
from tests.conformance.conftest import TransportMaker, WorkerMaker
from tests.conformance.witnesses import RabbitWitness, Seen

PATIENT_SECONDS = 20.0


@pytest.fixture
def transport(rabbit_url: str, transport_to: TransportMaker) -> Transport:
    transport = transport_to(rabbit_url)
    transport.declare(deadline_seconds=PATIENT_SECONDS)
    return transport


@pytest.fixture
def witness(rabbit_url: str) -> RabbitWitness:
    return RabbitWitness(rabbit_url)


def test_each_queue_has_ten_priorities_and_dead_letters_of_its_own(
    transport: Transport, rabbit: RabbitAccess, rabbit_url: str
) -> None:
    vhost = urlsplit(rabbit_url).path[1:]

    queues = {queue["name"]: queue for queue in rabbit.management("GET", f"/api/queues/{vhost}")}

    assert set(queues) == {*QUEUES, *(f"{queue}.dead" for queue in QUEUES)}
    assert all(queue["durable"] and queue["type"] == "classic" for queue in queues.values())
    for name in QUEUES:
        assert _declared_arguments(queues[name]) == {
            "x-max-priority": 10,
            "x-dead-letter-exchange": "dlx",
            "x-dead-letter-routing-key": f"{name}.dead",
        }
        assert _declared_arguments(queues[f"{name}.dead"]) == {}
    bindings = {
        (bound["source"], bound["destination"], bound["routing_key"])
        for bound in rabbit.management("GET", f"/api/bindings/{vhost}")
        if bound["source"]
    }
    assert bindings == {("dlx", f"{name}.dead", f"{name}.dead") for name in QUEUES}


def _declared_arguments(queue: dict[str, Any]) -> dict[str, Any]:
    """Without the type, which RabbitMQ 4 adds by itself."""
    return {name: value for name, value in queue["arguments"].items() if name != "x-queue-type"}


@pytest.mark.parametrize("queue", QUEUES)
def test_a_rejected_message_is_in_its_dead_letters_with_x_death(
    transport: Transport, witness: RabbitWitness, queue: str
) -> None:
    transport.publish(messages([7], queue=queue), deadline_seconds=PATIENT_SECONDS)
    with witness.channel() as channel:
        got, _, _ = channel.basic_get(queue)
        assert got is not None
        channel.basic_nack(got.delivery_tag, requeue=False)

    dead = _wait_for_one(witness, f"{queue}.dead")

    assert dead.args == ["p7"]
    (death,) = dead.headers["x-death"]
    assert (death["queue"], death["reason"], death["count"]) == (queue, "rejected", 1)
    assert transport.depths(deadline_seconds=PATIENT_SECONDS)[queue].ready == 0


def test_a_failed_task_s_message_is_in_the_dead_letters_and_workers_bind_nothing(
    transport: Transport, witness: RabbitWitness, rabbit: RabbitAccess, rabbit_url: str, start_worker: WorkerMaker
) -> None:
    sent = messages([4], task="conformance.fail")
    transport.publish(sent, deadline_seconds=PATIENT_SECONDS)

    start_worker(rabbit_url, queues=",".join(QUEUES))

    dead = _wait_for_one(witness, "default.dead")
    assert dead.call_id == str(sent[0].call_id)
    assert dead.headers["generation"] == 1
    assert dead.headers["x-death"][0]["reason"] == "rejected"
    vhost = urlsplit(rabbit_url).path[1:]
    exchanges = {exchange["name"] for exchange in rabbit.management("GET", f"/api/exchanges/{vhost}")}
    assert not exchanges & set(QUEUES)
    bound = rabbit.management("GET", f"/api/bindings/{vhost}")
    assert {binding["source"] for binding in bound if binding["destination"] in QUEUES} == {""}


def test_a_queue_with_other_arguments_is_named(
    rabbit_url: str, witness: RabbitWitness, transport_to: TransportMaker
) -> None:
    with witness.channel() as channel:
        channel.queue_declare("ingest", durable=True, arguments={"x-max-priority": 3})

    with pytest.raises(TransportRejected, match=r"inequivalent arg .*ingest"):
        transport_to(rabbit_url).declare(deadline_seconds=PATIENT_SECONDS)


def test_a_virtual_host_that_does_not_exist_is_unavailable_and_named(
    rabbit: RabbitAccess, transport_to: TransportMaker
) -> None:
    with pytest.raises(TransportUnavailable, match="no such/place"):
        transport_to(rabbit.amqp_url("no such/place")).health(deadline_seconds=PATIENT_SECONDS)


def test_a_virtual_host_with_a_slash_in_its_name_is_reached(rabbit: RabbitAccess, transport_to: TransportMaker) -> None:
    name = "team a/b"
    rabbit.management("PUT", "/api/vhosts/team%20a%2Fb")
    try:
        transport = transport_to(rabbit.amqp_url(name))
        transport.declare(deadline_seconds=PATIENT_SECONDS)
        assert transport.publish(messages(), deadline_seconds=PATIENT_SECONDS)[0].accepted
        assert unquote(transport.fingerprint).endswith(name)
    finally:
        rabbit.management("DELETE", "/api/vhosts/team%20a%2Fb")


def test_connections_closed_by_the_broker_cost_nothing(
    transport: Transport, witness: RabbitWitness, rabbit: RabbitAccess, rabbit_url: str
) -> None:
    for _ in range(2):
        assert transport.publish(messages(), deadline_seconds=PATIENT_SECONDS)[0].accepted
        _close_all(rabbit, vhost=urlsplit(rabbit_url).path[1:])

    assert transport.publish(messages(), deadline_seconds=PATIENT_SECONDS)[0].accepted
    assert witness.count("default") == 3


@pytest.fixture
def fragile_rabbit(fragile_servers: Callable[[str], Server]) -> Iterator[RabbitServer]:
    server = fragile_servers("rabbitmq")
    assert isinstance(server, RabbitServer)
    yield server
    server.ctl("set_vm_memory_high_watermark", "0.4")


def test_an_alarm_fails_publishers_by_their_deadline_and_nothing_once_it_is_known(
    fragile_rabbit: RabbitServer, transport_to: TransportMaker
) -> None:
    with fragile_rabbit.vhost() as url:
        transport = transport_to(url)
        transport.declare(deadline_seconds=PATIENT_SECONDS)
        fragile_rabbit.ctl("set_vm_memory_high_watermark", "absolute", "1MB")

        began = monotonic()
        assert [outcome.fate for outcome in transport.publish(messages(), deadline_seconds=1)] == ["unknown"]
        assert monotonic() - began < 1.5
        with pytest.raises(TransportUnavailable, match="blocks publishers"):
            transport.publish(messages(), deadline_seconds=1)
        with pytest.raises(TransportUnavailable, match="blocks publishers"):
            transport.health(deadline_seconds=1)
        assert transport.depths(deadline_seconds=PATIENT_SECONDS)["default"].ready == 0

        fragile_rabbit.ctl("set_vm_memory_high_watermark", "0.4")
        poll_until(lambda: _takes_one(transport), within_seconds=20, what="publishing works again")
        assert RabbitWitness(url).count("default") == 2  # the unknown one, and the one after the alarm


def _takes_one(transport: Transport) -> bool:
    try:
        (outcome,) = transport.publish(messages(), deadline_seconds=PATIENT_SECONDS)
    except TransportUnavailable:
        return False
    return outcome.accepted


def _close_all(rabbit: RabbitAccess, *, vhost: str) -> None:
    def connections() -> list[Any]:
        return [one for one in rabbit.management("GET", "/api/connections") if one.get("vhost") == vhost]

    for connection in poll_until(connections, within_seconds=20, what="the connection is listed"):
        name = connection["name"].replace(" ", "%20").replace(">", "%3E")
        rabbit.management("DELETE", f"/api/connections/{name}")


def _wait_for_one(witness: RabbitWitness, queue: str) -> Seen:
    (seen,) = poll_until(lambda: witness.take_all(queue), within_seconds=20, what=f"a message in {queue}")
    return seen
