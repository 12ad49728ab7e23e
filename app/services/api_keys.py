"""API keys: made, listed, revoked, and recognised when a client shows one.

A key reads `alx_<prefix>_<secret>`: eight hexadecimal digits that name it, and 256 random bits as 64 of them.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.exc import IntegrityError

from app.database import Database
from app.errors import InvalidInput, KeyNeeded, NotFound
from app.models.api_key import ApiKey, Scope
from app.models.base import now

USE_NOTED_EVERY = timedelta(minutes=1)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_KEY = re.compile(r"alx_([0-9a-f]{8})_([0-9a-f]{64})")
_NO_SHA256 = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHolder:
    """Who a key belongs to, and what it may do."""

    prefix: str
    name: str
    scopes: frozenset[Scope]
    last_used_at: datetime | None


def create(database: Database, *, name: str, scopes: Iterable[Scope]) -> str:
    """Make a key and return it: the only time that its secret is seen.

    Raises `InvalidInput` for a name that is taken or unfit, and for no scope.
    """
    chosen = sorted(set(scopes))
    if not NAME.fullmatch(name):
        raise InvalidInput("a key's name has 1 to 100 letters, digits, dots, dashes or underscores")
    if not chosen:
        raise InvalidInput("a key without a scope may do nothing")
    prefix, secret = secrets.token_hex(4), secrets.token_hex(32)
    row = ApiKey(name=name, prefix=prefix, secret_sha256=_sha256(secret), scopes=[str(scope) for scope in chosen])
    try:
        with database.writer() as session:
            session.add(row)
    except IntegrityError as error:
        raise InvalidInput(f"a key named {name} is in force already: revoke it, or choose another name") from error
    return f"alx_{prefix}_{secret}"


def every_key(database: Database) -> Sequence[ApiKey]:
    """All keys, the oldest first, the revoked among them."""
    with database.reader() as session:
        return session.scalars(select(ApiKey).order_by(ApiKey.created_at)).all()


def revoke(database: Database, name_or_prefix: str) -> str:
    """End a key at once, and return its name. Raises `NotFound` when none in force is called so."""
    called_so = or_(ApiKey.name == name_or_prefix, ApiKey.prefix == name_or_prefix)
    with database.writer() as session:
        row = session.scalar(select(ApiKey).where(called_so, ApiKey.revoked_at.is_(None)))
        if row is None:
            raise NotFound(f"no key in force is called {name_or_prefix}")
        row.revoked_at = now()
        return row.name


def recognise(database: Database, shown: str) -> KeyHolder:
    """Whose key this is, as the table says now. Raises `KeyNeeded` for a key that is unknown or revoked."""
    found = _KEY.fullmatch(shown)
    if found is None:
        raise KeyNeeded("this is not an API key: one begins with alx_")
    prefix, secret = found.groups()
    with database.reader() as session:
        row = session.scalar(select(ApiKey).where(ApiKey.prefix == prefix))
    known = secrets.compare_digest(_sha256(secret), row.secret_sha256 if row else _NO_SHA256)
    if row is None or not known or row.revoked_at is not None:
        raise KeyNeeded("this API key is unknown or revoked")
    scopes = frozenset(Scope(scope) for scope in row.scopes)
    return KeyHolder(prefix=prefix, name=row.name, scopes=scopes, last_used_at=row.last_used_at)


def note_use(database: Database, holder: KeyHolder) -> None:
    """Remember that the key was used; to the minute, so that reading does not become writing."""
    before = now() - USE_NOTED_EVERY
    if holder.last_used_at is not None and holder.last_used_at > before:
        return
    due = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at <= before)
    with database.writer() as session:
        session.execute(update(ApiKey).where(ApiKey.prefix == holder.prefix, due).values(last_used_at=now()))


def _sha256(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("ascii")).digest()
