"""A Redis user with the rights in docs/deployment.md and no other may do all that is done; one less is told."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from app.errors import TransportRejected, TransportUnavailable
from app.settings import load_settings
from app.transports.base import Transport
from app.transports.lease.scripts import CLAIM
from app.transports.registry import broker_for, open_transport
from chaos.polling import poll_until
from chaos.servers.base import Server
from chaos.servers.redis import RedisServer
from tests.conformance.brokers import messages
from tests.conformance.product_worker import ProductWorker, held_tasks
from tests.conformance.worker_pair import kill_everyone

DOCUMENT = Path(__file__).parents[2] / "docs" / "deployment.md"
TOLD_BY_OTHERS = {
    *("+ping", "+select"),  # nobody comes in without
    *("+info", "+pubsub|numsub", "+client|setname"),  # nice to have
    *("+psubscribe", "+punsubscribe", "~*.celery.pidbox*", "~celeryev.*"),  # remote control only
}
PATIENT_SECONDS = 20.0


def documented() -> list[str]:
    """`ACL SETUSER …` as it stands in the document."""
    (command,) = re.findall(r"^\$ redis-cli (ACL SETUSER (?:.*\\\n)*.*)$", DOCUMENT.read_text(), re.MULTILINE)
    return shlex.split(command.replace("\\\n", " "))


@pytest.fixture(params=["redis", "valkey"])
def server(request: pytest.FixtureRequest, fragile_servers: Callable[[str], Server]) -> Iterator[RedisServer]:
    server = fragile_servers(str(request.param))
    assert isinstance(server, RedisServer)
    yield server
    with server.client() as client:
        client.acl_deluser("alexandria")
        client.flushall()


@pytest.fixture
def admin(server: RedisServer) -> Iterator[redis.Redis]:
    with server.client() as client:
        _acl(client, *documented())
        _acl(client, "ACL LOG", "RESET")
        yield client


@pytest.fixture
def url(server: RedisServer) -> str:
    return f"redis://alexandria:PASSWORD@127.0.0.1:{server.port}/0"


@pytest.fixture
def transport(admin: redis.Redis, url: str) -> Iterator[Transport]:
    with closing(open_transport(url)) as transport:
        yield transport


def test_the_documented_user_may_do_all_that_is_done(
    admin: redis.Redis, url: str, transport: Transport, tmp_path: Path
) -> None:
    transport.declare(deadline_seconds=PATIENT_SECONDS)
    assert transport.health(deadline_seconds=PATIENT_SECONDS) == ()
    with held_tasks(tmp_path, transport) as tasks:
        victim = ProductWorker("victim", url=url, tasks=tasks)
        with victim:
            done, kept = tasks.publish(seconds=0), tasks.publish()
            tasks.wait_started(*done, *kept)
            tasks.wait_ended(*done)
            _reject_and_forget(transport)
            _watch_and_control(url, victim)
            kill_everyone(victim)
        poll_until(
            lambda: transport.tend(max_deliveries=5, deadline_seconds=PATIENT_SECONDS) == 1,
            within_seconds=PATIENT_SECONDS,
            what="what the dead held is given back",
        )
        with ProductWorker("successor", url=url, tasks=tasks) as successor:
            poll_until(
                lambda: tasks.starts(*kept, by="successor"), within_seconds=PATIENT_SECONDS, what="it runs again"
            )
            [(_, renewed_at)] = list(admin.zscan_iter("unacked_owners"))
            poll_until(
                lambda: admin.zrangebyscore("unacked_owners", f"({renewed_at}", "+inf"),
                within_seconds=PATIENT_SECONDS,
                what="it renews its lease",
            )
            tasks.release(*kept)
            tasks.wait_ended(*kept)
            successor.process.terminate()

    assert admin.exists("unacked", "unacked_owners") == 0, "the worker has retired"
    assert {entry["object"].split("|")[0] for entry in _acl(admin, "ACL LOG")} <= {"client"}, "CLIENT SETINFO only"


def test_each_right_that_is_missing_is_named(admin: redis.Redis, transport: Transport) -> None:
    rights = {word for word in documented() if word.startswith(("+", "~"))} - TOLD_BY_OTHERS
    for right in sorted(rights):
        _acl(admin, *(word for word in documented() if word != right))
        with pytest.raises(TransportRejected, match=r"has no right to .*deployment\.md") as refused:
            transport.declare(deadline_seconds=PATIENT_SECONDS)
        assert right.strip("+~*:") in refused.value.detail.lower()


def test_who_may_not_give_back_takes_nothing_from_the_dead(
    admin: redis.Redis, server: RedisServer, transport: Transport
) -> None:
    """A script that may not go on stops in the middle: the message would be gone."""
    with closing(open_transport(server.url)) as allowed:
        allowed.publish(messages(), deadline_seconds=PATIENT_SECONDS)
    CLAIM.run(admin.execute_command, "dead", 1, 1, 0, "default", 0)
    admin.zadd("unacked_owners", {"dead": 1})
    admin.set("unacked_swept", admin.time()[0] - 1)
    _acl(admin, *(word for word in documented() if word != "+rpush"))

    with pytest.raises(TransportUnavailable, match="has no right to RPUSH"):
        transport.tend(max_deliveries=5, deadline_seconds=PATIENT_SECONDS)

    assert admin.hlen("unacked") == 1


def _acl(admin: Any, *words: str) -> Any:
    """Any: redis-py leaves this method untyped."""
    return admin.execute_command(*words)


def _reject_and_forget(transport: Transport) -> None:
    transport.publish(messages(task="make_tea"), deadline_seconds=PATIENT_SECONDS)
    poll_until(
        lambda: transport.depths(deadline_seconds=PATIENT_SECONDS)["default"].dead == 1,
        within_seconds=PATIENT_SECONDS,
        what="what no worker knows is a dead letter",
    )
    dead = transport.take_dead(deadline_seconds=PATIENT_SECONDS)
    assert transport.forget_dead(dead, deadline_seconds=PATIENT_SECONDS) == 1


def _watch_and_control(url: str, worker: ProductWorker) -> None:
    """As Flower does."""
    app = Celery("monitor", set_as_current=False)
    app.conf.update(broker_for(load_settings(broker_url=url)).celery_config)
    name = f"{worker.name}@test"
    assert app.control.inspect([name], timeout=PATIENT_SECONDS, limit=1).ping() == {name: {"ok": "pong"}}
    heard: list[str] = []

    def hear(event: dict[str, Any]) -> None:
        heard.append(event["hostname"])
        receiver.should_stop = True

    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"worker-heartbeat": hear})
        receiver.capture(timeout=PATIENT_SECONDS)
    assert heard == [name]
