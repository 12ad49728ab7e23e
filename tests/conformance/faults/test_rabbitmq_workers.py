"""What RabbitMQ does to a worker: alarms, closed channels and connections, deleted and wrong queues, its own death."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pika.exceptions
import pytest

from app.transports.base import Transport
from app.transports.rabbitmq_topology import DEAD_LETTER_EXCHANGE, topology
from app.transports.registry import open_transport
from chaos.polling import poll_until
from chaos.servers.rabbit import RabbitServer
from tests.conformance.brokers import FragileLab, messages
from tests.conformance.product_worker import HeldTasks, ProductWorker, held_tasks
from tests.conformance.remote_control import holds_a_waiting_task, runs_nothing
from tests.conformance.slow_proxy import SlowProxy
from tests.conformance.witnesses import RabbitWitness

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(300),
    pytest.mark.parametrize("fragile", ["rabbitmq"], indirect=True),
]

CONSUMES_WITHIN_SECONDS = 10.0
FORCED_CLOSES = 20
LATENCY_SECONDS = 60.0
SEED = 20261127
USUAL_WATERMARK = "0.4"
USUAL_CONSUMER_TIMEOUT_MS = 1_800_000
USUAL_TICK_MS = 60_000


@pytest.fixture
def server(fragile: FragileLab) -> RabbitServer:
    assert isinstance(fragile.server, RabbitServer)
    return fragile.server


@pytest.fixture
def witness(fragile: FragileLab) -> RabbitWitness:
    assert isinstance(fragile.witness, RabbitWitness)
    return fragile.witness


@pytest.fixture
def transport(fragile: FragileLab) -> Iterator[Transport]:
    with closing(open_transport(fragile.url)) as transport:
        yield transport


@pytest.fixture
def tasks(tmp_path: Path, transport: Transport) -> Iterator[HeldTasks]:
    with held_tasks(tmp_path, transport) as tasks:
        yield tasks


@pytest.fixture
def worker(fragile: FragileLab, tasks: HeldTasks) -> Iterator[ProductWorker]:
    with ProductWorker("worker", url=fragile.url, tasks=tasks, concurrency=3) as worker:
        yield worker


def test_a_memory_alarm_holds_publishers_up_and_no_worker(
    server: RabbitServer, witness: RabbitWitness, transport: Transport, tasks: HeldTasks, worker: ProductWorker
) -> None:
    running = tasks.publish(2)
    tasks.wait_started(*running)

    with _memory_alarm(server):
        with closing(open_transport(server.url)) as other:
            blocked = other.publish(messages(queue="batch"), deadline_seconds=2)
            assert not blocked[0].accepted
        tasks.release(*running)
        tasks.wait_ended(*running, within_seconds=CONSUMES_WITHIN_SECONDS)

    _consumes_again(tasks)
    assert witness.count("batch") <= 1  # it was unknown, not refused
    _nothing_is_left(worker, tasks, witness, once=running)


def test_a_channel_closed_by_the_consumer_timeout_restarts_no_task(
    server: RabbitServer, witness: RabbitWitness, tasks: HeldTasks, fragile: FragileLab
) -> None:
    with (
        _consumer_timeout(server, milliseconds=2000),
        ProductWorker("worker", url=fragile.url, tasks=tasks, concurrency=3) as worker,
    ):
        running = tasks.publish(2)
        tasks.wait_started(*running)
        poll_until(
            lambda: worker.log.count("delivered again while it runs") >= 4, within_seconds=60, what="it is closed twice"
        )
        tasks.release(*running)
        tasks.wait_ended(*running)

        _consumes_again(tasks)
        _nothing_is_left(worker, tasks, witness, once=running)


def test_a_deleted_queue_is_declared_again_and_read(
    witness: RabbitWitness, tasks: HeldTasks, worker: ProductWorker, transport: Transport
) -> None:
    running = tasks.publish(3)
    tasks.wait_started(*running)
    tasks.publish(5)  # lost with the queue: it is the outbox that sends them again

    with witness.channel() as channel:
        for queue in topology().queues:
            channel.queue_delete(queue)
        channel.exchange_delete(DEAD_LETTER_EXCHANGE)

    poll_until(lambda: _exists(witness, "default.dead"), within_seconds=CONSUMES_WITHIN_SECONDS, what="all is back")
    transport.declare()  # would say what differs
    tasks.release(*running)
    tasks.wait_ended(*running)
    _consumes_again(tasks)
    _nothing_is_left(worker, tasks, witness, once=running)


def test_a_queue_with_other_arguments_is_named_and_read_once_it_is_right(
    witness: RabbitWitness, tasks: HeldTasks, fragile: FragileLab
) -> None:
    with witness.channel() as channel:
        channel.queue_delete("default")
        channel.queue_declare("default", durable=True, arguments={"x-max-priority": 3})
    with _started("worker", fragile, tasks) as worker:
        try:
            refusal = "the broker does not take this worker"
            poll_until(lambda: refusal in worker.log, within_seconds=90, what="it says why it consumes nothing")
            [named] = [line for line in worker.log.splitlines() if refusal in line]
            assert "for queue 'default'" in named
            assert worker.process.running
            assert worker.times_ready() == 0
        finally:
            with witness.channel() as channel:
                channel.queue_delete("default")
        poll_until(lambda: worker.times_ready() == 1, within_seconds=CONSUMES_WITHIN_SECONDS, what="it is ready")
        _consumes_again(tasks)


def test_an_exchange_of_another_type_is_named_and_costs_only_the_dead_letters(
    witness: RabbitWitness, tasks: HeldTasks, fragile: FragileLab
) -> None:
    with witness.channel() as channel:
        channel.exchange_delete(DEAD_LETTER_EXCHANGE)
        channel.exchange_declare(DEAD_LETTER_EXCHANGE, "fanout", durable=True)
    try:
        with ProductWorker("worker", url=fragile.url, tasks=tasks) as worker:
            _consumes_again(tasks)
            assert "inequivalent arg 'type' for exchange 'dlx'" in worker.log
    finally:
        with witness.channel() as channel:
            channel.exchange_delete(DEAD_LETTER_EXCHANGE)


def test_every_connection_closed_20_times_starts_no_running_task_again(
    server: RabbitServer, witness: RabbitWitness, tasks: HeldTasks, worker: ProductWorker
) -> None:
    running = tasks.publish(2)
    tasks.wait_started(*running)
    beside: list[str] = []
    for turn in range(FORCED_CLOSES):
        server.ctl("close_all_connections", f"forced close {turn}")
        _noticed(worker, times=turn + 1)
        beside += _consumes_again(tasks)
    tasks.release(*running)
    tasks.wait_ended(*running)
    _nothing_is_left(worker, tasks, witness, once=[*running, *beside])


@pytest.mark.parametrize("fate", [signal.SIGCONT, signal.SIGKILL], ids=["goes on", "is killed"])
def test_a_task_that_its_process_has_not_yet_taken_is_not_started_beside_itself(
    server: RabbitServer, witness: RabbitWitness, tasks: HeldTasks, fragile: FragileLab, fate: signal.Signals
) -> None:
    with ProductWorker("worker", url=fragile.url, tasks=tasks, concurrency=1) as worker:
        with _untaken(tasks, fragile, fate=fate) as (held, _process):
            server.ctl("close_all_connections", "while a process holds a task that it has not read")
            poll_until(
                lambda: "delivered again while it runs" in worker.log, within_seconds=20, what="the message comes again"
            )
        _ends(held, tasks)
        _consumes_again(tasks)
        _nothing_is_left(worker, tasks, witness, once=[held])


@pytest.mark.parametrize("first", ["process", "connection"])
def test_a_task_whose_process_dies_before_it_takes_it_is_run_by_another(
    server: RabbitServer, witness: RabbitWitness, tasks: HeldTasks, fragile: FragileLab, first: str
) -> None:
    with ProductWorker("worker", url=fragile.url, tasks=tasks, concurrency=1) as worker:
        with _untaken(tasks, fragile, fate=signal.SIGKILL) as (held, process):
            os.kill(worker.process.pid, signal.SIGSTOP)  # it learns both at once, in this order
            if first == "process":
                os.kill(process, signal.SIGKILL)
            server.ctl("close_all_connections", "while a process holds a task that it has not read")
            if first == "connection":
                os.kill(process, signal.SIGKILL)
            os.kill(worker.process.pid, signal.SIGCONT)
            _ends(held, tasks)
        _consumes_again(tasks)
        _nothing_is_left(worker, tasks, witness, once=[held])


def test_half_a_second_of_latency_and_more_takes_nothing_from_the_living(
    server: RabbitServer, fragile: FragileLab, witness: RabbitWitness, tasks: HeldTasks
) -> None:
    with (
        SlowProxy(server.access.port, milliseconds=500, jitter_milliseconds=300, seed=SEED, slow=False) as proxy,
        ExitStack() as running,
    ):
        far = fragile.url.replace(f":{server.access.port}/", f":{proxy.port}/")
        workers = [ProductWorker(name, url=far, tasks=tasks, concurrency=2) for name in ("one", "two")]
        for worker in workers:
            running.enter_context(worker)
        proxy.slow = True
        names = tasks.publish(3)
        tasks.wait_started(*names, within_seconds=60)
        until = time.monotonic() + LATENCY_SECONDS
        poll_until(lambda: time.monotonic() >= until, within_seconds=LATENCY_SECONDS + 1, what="the time")
        assert {name: len(tasks.starts(name)) for name in names} == dict.fromkeys(names, 1)
        assert [worker.log.count("the broker takes this worker again") for worker in workers] == [0, 0]
        tasks.release(*names)
        tasks.wait_ended(*names)
        poll_until(lambda: witness.count("default") == 0, within_seconds=CONSUMES_WITHIN_SECONDS, what="none is left")
        assert {name: len(tasks.starts(name)) for name in names} == dict.fromkeys(names, 1)


@pytest.mark.parametrize("wiped", [False, True], ids=["with its data", "without its data"])
def test_a_broker_that_died_is_read_again(
    server: RabbitServer, witness: RabbitWitness, tasks: HeldTasks, worker: ProductWorker, wiped: bool
) -> None:
    running = tasks.publish(2)
    tasks.wait_started(*running)
    server.kill()
    if wiped:
        server.wipe()
    server.start()

    poll_until(lambda: _exists(witness, "default"), within_seconds=CONSUMES_WITHIN_SECONDS, what="the queue is back")
    _consumes_again(tasks)
    tasks.release(*running)
    tasks.wait_ended(*running)
    _nothing_is_left(worker, tasks, witness, once=running)


def _noticed(worker: ProductWorker, *, times: int) -> None:
    poll_until(
        lambda: worker.log.count("the broker takes this worker again") >= times,
        within_seconds=CONSUMES_WITHIN_SECONDS,
        what="the worker is back after its connection was closed",
    )


@contextmanager
def _untaken(tasks: HeldTasks, fragile: FragileLab, *, fate: signal.Signals) -> Iterator[tuple[str, int]]:
    """A task that the worker wrote to its only process, which stands still until the end, and the process's id."""
    [before] = _consumes_again(tasks)
    [start] = tasks.starts(before)
    # It notes the end of a task before it says so: stopped in between, it would hold the only place for a message.
    poll_until(lambda: runs_nothing(fragile.url, "worker@test"), within_seconds=30, what="the process is idle")
    os.kill(start.pid, signal.SIGSTOP)
    try:
        [held] = tasks.publish()
        poll_until(
            lambda: holds_a_waiting_task(fragile.url, "worker@test"), within_seconds=30, what="the worker has the task"
        )
        yield held, start.pid
    finally:
        with suppress(ProcessLookupError):
            os.kill(start.pid, fate)


def _ends(name: str, tasks: HeldTasks) -> None:
    tasks.wait_started(name)
    tasks.release(name)
    tasks.wait_ended(name)


@contextmanager
def _started(name: str, fragile: FragileLab, tasks: HeldTasks) -> Iterator[ProductWorker]:
    """A worker that may not become ready."""
    worker = ProductWorker(name, url=fragile.url, tasks=tasks)
    worker.process.start()
    try:
        yield worker
    finally:
        worker.process.kill()


def _consumes_again(tasks: HeldTasks) -> list[str]:
    """A new task, sent now, ends in time."""
    deadline = time.monotonic() + CONSUMES_WITHIN_SECONDS
    names = tasks.publish(seconds=0)
    tasks.wait_ended(*names, within_seconds=deadline - time.monotonic())
    return names


def _nothing_is_left(worker: ProductWorker, tasks: HeldTasks, witness: RabbitWitness, *, once: list[str]) -> None:
    """The worker lived through it; when it goes, nothing that it had not acknowledged comes back."""
    assert worker.process.running
    assert worker.times_ready() == 1
    assert {name: len(tasks.starts(name)) for name in once} == dict.fromkeys(once, 1)
    worker.process.terminate()
    assert witness.count("default") == 0
    assert witness.count("default.dead") == 0


def _exists(witness: RabbitWitness, queue: str) -> bool:
    try:
        witness.count(queue)
    except pika.exceptions.ChannelClosedByBroker:
        return False
    return True


@contextmanager
def _memory_alarm(server: RabbitServer) -> Iterator[None]:
    server.ctl("set_vm_memory_high_watermark", "0.00001")
    try:
        poll_until(lambda: "Memory alarm" in server.ctl("status"), within_seconds=20, what="the alarm is raised")
        yield
    finally:
        server.ctl("set_vm_memory_high_watermark", USUAL_WATERMARK)


@contextmanager
def _consumer_timeout(server: RabbitServer, *, milliseconds: int) -> Iterator[None]:
    _set(server, consumer_timeout=milliseconds, channel_tick_interval=500)
    try:
        yield
    finally:
        _set(server, consumer_timeout=USUAL_CONSUMER_TIMEOUT_MS, channel_tick_interval=USUAL_TICK_MS)


def _set(server: RabbitServer, **values: int) -> None:
    for name, value in values.items():
        server.ctl("eval", f"application:set_env(rabbit, {name}, {value}).")
