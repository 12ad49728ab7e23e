"""Whatever lies in the dead letters is read without an error, and as JSON that every database stores."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.transports import redis_dead_letters
from app.transports.base import DeadMessage
from app.transports.dead_letters import plain, read_dead

texts = st.text(st.characters(exclude_categories=()))
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.binary() | st.datetimes()
anything = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(texts | st.integers(), inner) | st.tuples(inner)
)
anything_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,  # a kind in each place and a little nesting: a hundred leaves only take ten times as long
)


def storable(value: object) -> bool:
    """As PostgreSQL's `jsonb` takes it."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return False
    return "\\u0000" not in text and not re.search("[\ud800-\udfff]", text)


def take(element: bytes) -> DeadMessage:
    [dead] = redis_dead_letters.take(lambda *_: [[element]], ["default"], limit=1)
    return dead


def an_element(death: object, envelope: object) -> bytes:
    return json.dumps(death).encode() + b"\n" + json.dumps(envelope).encode()


@given(anything)
def test_anything_becomes_json_that_can_be_stored(value: Any) -> None:
    assert storable(plain(value))


@given(st.lists(st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]))))
def test_what_can_be_stored_stays_as_it_is(value: list[Any]) -> None:
    expected = [one.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(one, str) else one for one in value]
    assert plain(value) == expected


@given(st.binary())
def test_any_bytes_on_redis_are_read_and_kept(element: bytes) -> None:
    dead = take(element)

    assert dead.payload in {element, element.partition(b"\n")[2]}
    assert dead.receipt == element
    assert storable(dict(dead.headers))


@given(
    st.fixed_dictionaries({"reason": anything_json}, optional={"count": anything_json, "time": anything_json}),
    st.fixed_dictionaries(
        {},
        optional={
            "body": anything_json,
            "headers": st.dictionaries(st.sampled_from(["task", "id", "generation", "x"]), anything_json)
            | anything_json,
            "properties": st.dictionaries(st.sampled_from(["priority", "body_encoding"]), anything_json)
            | anything_json,
            "content-type": anything_json | st.just("application/json"),
        },
    ),
)
def test_any_json_in_the_place_of_a_message_is_read(death: dict[str, Any], envelope: dict[str, Any]) -> None:
    dead = take(an_element(death, envelope))

    assert dead.priority in range(10)
    assert 1 <= dead.count < 2**31
    assert dead.generation is None or 1 <= dead.generation < 2**31
    assert storable([dead.reason, dead.task, dead.message_id])
    assert storable(dict(dead.headers))
    assert dead.args is None or storable([dead.args, dead.kwargs])


@given(args=st.lists(anything_json), kwargs=st.dictionaries(st.text(), anything_json), priority=st.integers(0, 9))
def test_the_arguments_of_a_celery_message_are_whole_or_not_there(
    args: list[Any], kwargs: dict[str, Any], priority: int
) -> None:
    body = json.dumps([args, kwargs, {}]).encode()
    dead = read_dead(
        queue="default",
        reason="rejected",
        count=1,
        died_at=datetime.now(UTC),
        payload=body,
        body=body,
        content_type="application/json",
        headers={"task": "a_task"},
        priority=priority,
        receipt=None,
    )

    if storable([args, kwargs]):
        assert (dead.args, dead.kwargs) == (args, kwargs)
    else:
        assert (dead.args, dead.kwargs) == (None, None)


def test_base64_that_is_none_hides_the_arguments_and_keeps_the_rest() -> None:
    envelope = {
        "body": base64.b64encode(b"[[], {}, {}]").decode() + "!",
        "content-type": "application/json",
        "headers": {"task": "a_task"},
        "properties": {"body_encoding": "base64"},
    }

    dead = take(an_element({"reason": "rejected"}, envelope))

    assert dead.args is None
    assert json.loads(dead.payload) == envelope
