"""The fates of one publish."""

from __future__ import annotations

from uuid import uuid4

import pytest

from app.errors import TransportRejected, TransportUnavailable
from app.transports.base import Fate, Message
from app.transports.batch import Batch


def encode(message: Message) -> str:
    if message.task == "bad":
        raise TransportRejected("cannot be encoded")
    return message.task


def batch_of(*tasks: str) -> Batch[str]:
    return Batch([Message(call_id=uuid4(), task=task, queue="default") for task in tasks], encode)


def test_each_message_has_its_own_fate_in_order() -> None:
    batch = batch_of("a", "bad", "b", "c")
    assert [(index, envelope) for index, _, envelope in batch] == [(0, "a"), (2, "b"), (3, "c")]
    batch.begin()
    batch.accept(0)
    batch.refuse(2, "full")
    assert batch.undecided() == 1

    outcomes = batch.close()

    assert [outcome.fate for outcome in outcomes] == [Fate.ACCEPTED, Fate.REFUSED, Fate.REFUSED, Fate.UNKNOWN]
    assert [outcome.permanent for outcome in outcomes] == [False, True, False, False]
    assert outcomes[2].reason == "full"


def test_trouble_before_the_first_byte_is_raised() -> None:
    with pytest.raises(TransportUnavailable, match="refused"):
        batch_of("a").close(TransportUnavailable("refused"))


def test_trouble_after_the_first_byte_is_the_reason_of_what_is_unknown() -> None:
    batch = batch_of("a", "b")
    batch.begin()
    batch.accept(0)

    accepted, unknown = batch.close(TransportUnavailable("reset by peer"))

    assert accepted.accepted
    assert (unknown.fate, unknown.reason) == (Fate.UNKNOWN, "reset by peer")


def test_a_sender_that_comes_too_late_may_not_begin() -> None:
    batch = batch_of("a")
    with pytest.raises(TransportUnavailable):
        batch.close(TransportUnavailable("too late"))

    with pytest.raises(TransportUnavailable, match="deadline"):
        batch.begin()


def test_a_refusal_is_not_undone_by_a_later_confirm() -> None:
    batch = batch_of("a")
    batch.begin()
    batch.refuse(0, "unroutable")
    batch.accept(0)

    assert batch.close()[0].refused
