"""A call as a Celery message, read by Celery's and kombu's own code."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.serialization import loads

from app.errors import TransportRejected
from app.transports.base import PRIORITIES, Message, Priority
from app.transports.message import CONTENT_ENCODING, CONTENT_TYPE, body_of, headers_of, mark_of

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=10,
)


def call(**fields: object) -> Message:
    return Message(**{"call_id": uuid4(), "task": "a.task", "queue": "default", **fields})  # type: ignore[arg-type]  # any fields


@given(args=st.lists(PLAIN, max_size=4), kwargs=st.dictionaries(st.text("abc", min_size=1), PLAIN, max_size=3))
def test_plain_json_survives_and_nothing_is_left_out(args: list[object], kwargs: dict[str, object]) -> None:
    body = body_of(call(args=tuple(args), kwargs=kwargs))

    assert json.loads(body)[:2] == [args, kwargs]


def test_the_body_is_what_kombu_decodes() -> None:
    decoded = loads(body_of(call(args=(1, "é"))), CONTENT_TYPE, CONTENT_ENCODING, accept=["application/json"])

    args, kwargs, embed = decoded
    assert (args, kwargs) == ([1, "é"], {})
    assert set(embed) == {"callbacks", "errbacks", "chain", "chord"}


@pytest.mark.parametrize("value", [object(), b"x", {1}, float("inf"), float("nan"), 1j, "\ud800", uuid4()])
def test_anything_else_is_rejected_with_the_task_s_name(value: object) -> None:
    for message in (call(args=(value,)), call(kwargs={"k": [value]})):
        with pytest.raises(TransportRejected, match=r"a\.task: arguments are not plain JSON"):
            body_of(message)
    with pytest.raises(TransportRejected, match="headers"):
        headers_of(call(headers={"h": value}))


def test_a_circle_is_rejected() -> None:
    circle: list[object] = []
    circle.append(circle)
    with pytest.raises(TransportRejected):
        body_of(call(args=(circle,)))


def test_headers_name_the_call_its_generation_and_what_caused_it() -> None:
    message = call(generation=4, headers={"correlation_id": "c"})

    headers = headers_of(message)

    assert headers["id"] == headers["root_id"] == str(message.call_id)
    assert (headers["generation"], headers["correlation_id"]) == (4, "c")
    assert mark_of(message) == f"{message.call_id}:4"


def test_long_arguments_do_not_make_long_headers() -> None:
    assert len(headers_of(call(args=("x" * 100_000,)))["argsrepr"]) <= 1024


@pytest.mark.parametrize("priority", [-1, 10, 255])
def test_a_priority_outside_0_to_9_is_a_mistake(priority: int) -> None:
    with pytest.raises(ValueError, match="0 to 9"):
        call(priority=priority)


def test_the_default_priority_is_in_the_middle_and_the_names_rise() -> None:
    assert call().priority == Priority.MEDIUM
    assert Priority.LOW < Priority.MEDIUM < Priority.HIGH < Priority.URGENT == max(PRIORITIES)
