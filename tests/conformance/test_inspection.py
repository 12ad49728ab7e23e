"""`alexandria broker topology`: what is missing or differs on a broker is a line each, and can be put right."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from app.errors import TransportUnavailable
from app.settings import Settings, load_settings
from app.transports.base import QUEUES, Inspection
from app.transports.rabbitmq_topology import topology
from app.transports.registry import inspection_of, open_transport
from chaos.polling import poll_until
from chaos.ports import free_port
from chaos.servers.rabbit import RabbitAccess
from chaos.servers.redis import RedisServer
from tests.command_line import alexandria
from tests.conformance.brokers import messages
from tests.conformance.conftest import TransportMaker, WorkerMaker
from tests.conformance.witnesses import RabbitWitness

PATIENT_SECONDS = 20.0
EVERYTHING_MISSING = {
    "exchange dlx is missing",
    *(f"queue {name} is missing" for queue in QUEUES for name in (queue, f"{queue}.dead")),
}


@pytest.fixture
def settings(rabbit: RabbitAccess, rabbit_url: str) -> Settings:
    return load_settings(
        broker_url=SecretStr(rabbit_url), rabbitmq_management_url=f"http://127.0.0.1:{rabbit.management_port}"
    )


@pytest.fixture
def with_management(settings: Settings) -> Inspection:
    return inspection_of(settings)


@pytest.fixture
def without_management(settings: Settings) -> Inspection:
    nobody = f"http://127.0.0.1:{free_port()}"
    return inspection_of(settings.model_copy(update={"rabbitmq_management_url": nobody}))


@pytest.fixture
def witness(rabbit_url: str) -> RabbitWitness:
    return RabbitWitness(rabbit_url)


@pytest.fixture
def redis_that_evicts() -> Iterator[RedisServer]:
    with RedisServer(max_memory="50mb", eviction="allkeys-lru") as server:
        yield server


def test_what_is_missing_is_named_made_and_no_longer_missed(
    with_management: Inspection, without_management: Inspection
) -> None:
    bindings = {f"binding of {queue}.dead to exchange dlx is missing" for queue in QUEUES}

    assert set(with_management.check().differences) == EVERYTHING_MISSING | bindings
    assert set(without_management.check().differences) == EVERYTHING_MISSING

    applied = with_management.apply()

    assert applied.differences == ()
    assert set(applied.made) == EVERYTHING_MISSING | bindings
    assert without_management.check().differences == ()


def test_each_difference_is_a_line_of_its_own(with_management: Inspection, witness: RabbitWitness) -> None:
    with_management.apply()
    with witness.channel() as channel:
        for queue in ("ingest", "batch", "default.dead"):
            channel.queue_delete(queue)
        channel.queue_declare("ingest", durable=True, arguments={"x-max-priority": 3, "x-message-ttl": 60_000})
        channel.queue_declare("batch", durable=False)
        channel.queue_declare("default.dead", durable=True, arguments={"x-queue-type": "quorum"})

    assert set(with_management.check().differences) == {
        "queue ingest: x-max-priority is 3, should be 10",
        "queue ingest: x-message-ttl is 60000, should be not set",
        "queue ingest: x-dead-letter-exchange is not set, should be dlx",
        "queue ingest: x-dead-letter-routing-key is not set, should be ingest.dead",
        "queue batch: durable is false, should be true",
        "queue batch: x-max-priority is not set, should be 10",
        "queue batch: x-dead-letter-exchange is not set, should be dlx",
        "queue batch: x-dead-letter-routing-key is not set, should be batch.dead",
        "queue default.dead: type is quorum, should be classic",
        "binding of default.dead to exchange dlx is missing",
    }
    assert with_management.apply().differences == ()
    assert with_management.check().differences == ()


def test_without_the_management_api_the_server_s_own_words_name_the_first_difference(
    without_management: Inspection, witness: RabbitWitness
) -> None:
    without_management.apply()
    with witness.channel() as channel:
        channel.queue_delete("ingest")
        channel.queue_declare("ingest", durable=True, arguments={**topology().queues["ingest"], "x-max-priority": 3})

    found = without_management.check()

    [line] = found.differences
    assert line.startswith("queue ingest: PRECONDITION_FAILED - inequivalent arg 'x-max-priority'")
    assert "management API does not answer" in found.notes[0]


def test_a_queue_that_holds_messages_is_not_deleted(
    with_management: Inspection, witness: RabbitWitness, transport_to: TransportMaker, rabbit_url: str
) -> None:
    with witness.channel() as channel:
        channel.queue_declare("ingest", durable=True, arguments={"x-max-priority": 3})
    transport_to(rabbit_url).publish(messages([1, 2], queue="ingest"), deadline_seconds=PATIENT_SECONDS)

    applied = with_management.apply()

    assert "queue ingest is not replaced: it holds 2 messages" in applied.differences
    assert "queue ingest: x-max-priority is 3, should be 10" in applied.differences
    assert "queue batch is missing" in applied.made
    assert witness.count("ingest") == 2


def test_a_queue_that_is_read_is_not_deleted(with_management: Inspection, witness: RabbitWitness) -> None:
    with witness.channel() as channel:
        channel.queue_declare("ingest", durable=True)
        channel.basic_consume("ingest", lambda *_: None)

        applied = with_management.apply()

    assert "queue ingest is not replaced: 1 consumers read it, stop the workers first" in applied.differences


def test_an_exchange_of_another_type_is_left_to_the_operator(
    with_management: Inspection, witness: RabbitWitness
) -> None:
    with witness.channel() as channel:
        channel.exchange_declare("dlx", "fanout", durable=True)

    assert with_management.apply().differences == ("exchange dlx: type is fanout, should be direct",)


def test_a_refused_password_is_unavailable_without_the_password(rabbit_url: str, settings: Settings) -> None:
    wrong = rabbit_url.replace("@", "-sesame@")

    with pytest.raises(TransportUnavailable, match="user or password refused") as caught:
        inspection_of(settings.model_copy(update={"broker_url": SecretStr(wrong)})).check()

    assert "sesame" not in str(caught.value)


@pytest.fixture
def quorum(settings: Settings) -> Settings:
    return settings.model_copy(update={"rabbitmq_queue_type": "quorum"})


def test_quorum_queues_are_declared_with_their_delivery_limit_and_by_every_part_alike(
    quorum: Settings, settings: Settings, rabbit: RabbitAccess
) -> None:
    transport = open_transport(quorum.broker, quorum)
    transport.declare(deadline_seconds=PATIENT_SECONDS)
    transport.declare(deadline_seconds=PATIENT_SECONDS)
    transport.close()

    assert inspection_of(quorum).check().differences == ()
    queue = rabbit.management("GET", f"/api/queues/{quorum.broker.rsplit('/', 1)[1]}/default")
    assert (queue["type"], queue["arguments"]["x-delivery-limit"]) == ("quorum", 100)
    assert "queue default: type is quorum, should be classic" in inspection_of(settings).check().differences


def test_empty_queues_change_their_type_by_apply_and_back(quorum: Settings, settings: Settings) -> None:
    inspection_of(settings).apply()

    assert inspection_of(quorum).apply().differences == ()
    assert inspection_of(settings).apply().differences == ()
    assert inspection_of(settings).check().differences == ()


def test_a_worker_serves_quorum_queues_and_what_fails_is_in_the_dead_letters(
    quorum: Settings, witness: RabbitWitness, start_worker: WorkerMaker
) -> None:
    transport = open_transport(quorum.broker, quorum)
    transport.declare(deadline_seconds=PATIENT_SECONDS)
    sent = [*messages([9, 3]), *messages([5], task="conformance.fail")]
    transport.publish(sent, deadline_seconds=PATIENT_SECONDS)

    worker = start_worker(quorum.broker, environment={"RABBITMQ_QUEUE_TYPE": "quorum"})

    assert sorted(worker.notes(at_least=2)) == ["p3", "p9"]
    poll_until(lambda: witness.count("default.dead") == 1, within_seconds=20, what="the failed one is dead")
    assert transport.depths(deadline_seconds=PATIENT_SECONDS)["default"].ready == 0
    transport.close()


def test_a_redis_that_evicts_differs_and_one_set_up_well_does_not(
    redis_that_evicts: RedisServer, redis_url: str
) -> None:
    evicting = inspection_of(load_settings(broker_url=SecretStr(redis_that_evicts.url))).check()
    good = inspection_of(load_settings(broker_url=SecretStr(redis_url))).apply()

    assert [line.split(":")[0] for line in evicting.differences] == ["maxmemory-policy is allkeys-lru"]
    assert good.differences == ()
    assert {note.split()[0] for note in good.notes} == {"maxmemory-policy", "the", "maxmemory"}


def test_the_command_exits_1_until_the_topology_stands(settings: Settings) -> None:
    here = {"BROKER_URL": settings.broker, "RABBITMQ_MANAGEMENT_URL": settings.rabbitmq_management_url}

    def run(option: str) -> tuple[int, list[str]]:
        done = alexandria("broker", "topology", option, environment=here)
        assert done.stderr == ""
        return done.returncode, done.stdout.splitlines()

    before, applied, after = run("--check"), run("--apply"), run("--check")

    assert before[0] == 1
    assert set(before[1]) >= EVERYTHING_MISSING
    assert (applied[0], after[0]) == (0, 0)
    assert after[1][-1].endswith(" is as it should be")
