"""Search cursor: an opaque place in the answer to one search, and to no other."""

from __future__ import annotations

import base64
import binascii
import json
from hashlib import sha256

from app.errors import InvalidInput

OFFSET_MAX = 10_000
"""Hits that can be paged through: nobody reads further, and every page costs its offset."""


def question_digest(*parts: object) -> str:
    """What a cursor belongs to: the text, mode and filters of its search."""
    return sha256(repr(parts).encode()).hexdigest()[:16]


def encode_cursor(offset: int, *, question: str) -> str:
    """The place after `offset` hits."""
    packed = json.dumps([offset, question], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def decode_cursor(cursor: str | None, *, question: str) -> int:
    """The offset to go on from; 0 without a cursor. `InvalidInput` for anything this search did not give out."""
    if cursor is None:
        return 0
    try:
        packed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        offset, asked = json.loads(packed)
    except (ValueError, TypeError, RecursionError, binascii.Error) as error:
        raise InvalidInput("cursor: not one that a search gave out") from error
    if type(offset) is not int or not 0 <= offset <= OFFSET_MAX:
        raise InvalidInput("cursor: not one that a search gave out")
    if asked != question:
        raise InvalidInput("cursor: it belongs to another search; leave it out to begin anew")
    return offset
