"""Idempotency keys: a request that is sent again gets the answer it got before, and changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.errors import InvalidInput
from app.events.outbox import is_postgres
from app.models.base import now
from app.models.outbox import IdempotencyKey
from app.services.library import Library
from app.services.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a client is told: a JSON body, the status, and headers of its own."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedRequest:
    """A request that carries a key; `sha256` is of everything that makes it this request."""

    key: str
    sha256: str


class _AnsweredMeanwhile(Exception):
    """The same request was answered by somebody else while this one was at work."""


def keyed_request(key: str | None, *parts: bytes) -> KeyedRequest | None:
    """The request that `parts` (operation, body) make, or None without a key."""
    if key is None:
        return None
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return KeyedRequest(key=key, sha256=digest.hexdigest())


def answer_once(library: Library, request: KeyedRequest | None, act: Callable[[UnitOfWork], Answer]) -> Answer:
    """The answer of `act`, which runs in one unit of work and at most once for each key.

    The answer is stored with the change itself. Raises `InvalidInput` for a key that came with another request.
    """
    if request is None:
        return _with_second_try(library, act)

    def act_and_remember(unit: UnitOfWork) -> Answer:
        answer = act(unit)
        _remember(unit.session, request, answer, hours=library.settings.idempotency_key_hours)
        return answer

    known = _known(library, request)
    if known is not None:
        return known
    try:
        return _with_second_try(library, act_and_remember)
    except _AnsweredMeanwhile:
        answered = _known(library, request)
        assert answered is not None, "the row that stood in the way was committed"
        return answered


def _with_second_try(library: Library, act: Callable[[UnitOfWork], Answer]) -> Answer:
    """Two requests for one new document meet at the constraint: the loser finds it there the second time."""
    try:
        with library.work() as unit:
            return act(unit)
    except IntegrityError:
        with library.work() as unit:
            return act(unit)


def _known(library: Library, request: KeyedRequest) -> Answer | None:
    with library.database.reader() as session:
        row = session.get(IdempotencyKey, request.key)
    if row is None or row.created_at < now() - timedelta(hours=library.settings.idempotency_key_hours):
        return None
    if row.request_sha256 != request.sha256:
        raise InvalidInput("this Idempotency-Key came with another request before; use a new one")
    return Answer(status=row.status, body=row.body or {}, headers=row.headers)


def _remember(session: Session, request: KeyedRequest, answer: Answer, *, hours: int) -> None:
    expired = IdempotencyKey.created_at < now() - timedelta(hours=hours)
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.key == request.key, expired))
    values = {
        "key": request.key,
        "request_sha256": request.sha256,
        "status": answer.status,
        "body": answer.body,
        "headers": answer.headers,
        "created_at": now(),
    }
    dialect = postgresql if is_postgres(session) else sqlite
    stored = dialect.insert(IdempotencyKey).values(**values).on_conflict_do_nothing().returning(IdempotencyKey.key)
    if session.execute(stored).first() is None:
        raise _AnsweredMeanwhile
