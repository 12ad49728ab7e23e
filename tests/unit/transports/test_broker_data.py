"""What Celery is configured from."""

from __future__ import annotations

import copy
import json

import pytest
from celery import Celery
from celery.app.defaults import NAMESPACES, flatten
from pydantic import SecretStr

from app.settings import load_settings
from app.transports.base import PRIORITIES, QUEUES, Broker
from app.transports.registry import broker_for

URLS = ("redis://h", "rediss://h", "amqp://h", "amqps://h")
KNOWN_SETTINGS = {entry[0] for entry in flatten(NAMESPACES)}


@pytest.fixture(params=URLS)
def broker(request: pytest.FixtureRequest) -> Broker:
    return broker_for(load_settings(broker_url=SecretStr(request.param)))


def test_every_setting_is_one_that_celery_knows(broker: Broker) -> None:
    assert set(broker.celery_config) <= KNOWN_SETTINGS


def test_celery_s_queues_are_the_declared_ones_on_the_default_exchange(broker: Broker) -> None:
    app = Celery("probe", set_as_current=False)
    app.conf.update(copy.deepcopy(dict(broker.celery_config)))

    queues = app.amqp.queues

    assert tuple(queues) == QUEUES
    for spec in broker.queues:
        queue = queues[spec.name]
        assert (queue.exchange.name, queue.routing_key, queue.durable) == ("", spec.name, True)
        assert queue.queue_arguments == spec.arguments
    with pytest.raises(KeyError):
        queues["nowhere"]


def test_workers_read_the_broker_we_publish_to_whatever_celery_finds_in_its_environment(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://elsewhere")
    app = Celery("probe", set_as_current=False)
    app.conf.update(dict(broker.celery_config))

    hosts = {connection.hostname for connection in (app.connection_for_read(), app.connection_for_write())}

    assert hosts == {"h"}


def test_the_wire_numbers_are_all_ten_and_in_one_direction(broker: Broker) -> None:
    wire = [broker.wire_priority(priority) for priority in PRIORITIES]

    assert sorted(wire) == list(PRIORITIES)
    assert wire in (sorted(wire), sorted(wire, reverse=True))
    assert broker.celery_config["task_default_priority"] == broker.wire_priority(5)


def test_a_message_comes_back_after_its_task_failed_or_its_worker_died(broker: Broker) -> None:
    config = broker.celery_config
    assert config["task_acks_late"] is True
    assert config["task_acks_on_failure"] is False
    assert config["task_reject_on_worker_lost"] is True


def test_no_socket_waits_without_end(broker: Broker) -> None:
    names = {
        "redis": ("socket_timeout", "socket_connect_timeout", "health_check_interval"),
        "rabbitmq": ("read_timeout", "write_timeout"),
    }[broker.transport]
    assert all(broker.transport_options[name] > 0 for name in names)
    assert broker.connect_timeout_seconds > 0


def test_queues_and_options_are_plain_data(broker: Broker) -> None:
    json.dumps([{spec.name: dict(spec.arguments)} for spec in broker.queues])
    json.dumps(dict(broker.transport_options))
