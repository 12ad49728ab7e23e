"""Which processes `up` starts for which settings, and what it tells them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.settings import load_settings
from app.supervision.stack import Programs, Stack, plan

AMQP = "amqp://guest:secret-of-amqp@127.0.0.1:5672/house"
PROGRAMS = Programs(api=print, relay=print, worker=print, beat=print)
PROCESSES = ["api", "relay", "worker", "ml-worker", "beat"]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    return monkeypatch


def names(stack: Stack) -> list[list[str]]:
    return [[spec.name for spec in stage] for stage in stack.stages]


def planned(**options: Any) -> Any:
    return plan(load_settings(), PROGRAMS, address="http://127.0.0.1:8123", listener=7, **options)


def test_with_no_setting_broker_and_cache_are_private_servers(environment: pytest.MonkeyPatch) -> None:
    with planned() as stack:
        assert names(stack) == [["broker", "cache", "db"], PROCESSES]
        told = stack.told

    assert told["BROKER_URL"] != told["CACHE_URL"]
    assert told["API_PORT"] == "8123"


def test_with_another_broker_only_the_cache_is_private(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("BROKER_URL", AMQP)

    with planned() as stack:
        assert names(stack) == [["cache", "db"], PROCESSES]
        assert stack.stages[0][1].environment["BROKER_URL"] == AMQP
        assert stack.broker == "amqp://127.0.0.1:5672/house"


@pytest.mark.parametrize(
    ("name", "value"), [("CACHE_URL", "redis://h/1"), ("REDIS_URL", "redis://h/1"), ("REDIS_HOST", "h")]
)
def test_with_both_set_no_server_is_started(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    environment.setenv("CELERY_BROKER_URL", AMQP)
    environment.setenv(name, value)

    with planned() as stack:
        assert names(stack) == [["db"], PROCESSES]


def test_without_workers_the_rest_runs(environment: pytest.MonkeyPatch) -> None:
    with planned(with_workers=False) as stack:
        assert names(stack)[1] == ["api", "relay", "beat"]


def test_no_password_is_part_of_a_command_or_of_what_is_shown(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("BROKER_URL", AMQP)
    environment.setenv("DATABASE_URL", "postgresql://user:secret-of-postgres@127.0.0.1/house")

    with planned() as stack:
        shown = " ".join(
            [repr(stack), stack.broker, *(word for stage in stack.stages for c in stage for word in c.command)]
        )

    assert "secret" not in shown


def test_an_api_that_does_not_answer_is_what_is_missing(environment: pytest.MonkeyPatch) -> None:
    with plan(load_settings(), PROGRAMS, address="http://127.0.0.1:1", listener=7) as stack:
        assert stack.missing() == "the API does not answer"
