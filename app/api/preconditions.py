"""Preconditions: entity tags, `If-Match` and `If-None-Match` (RFC 9110, §13)."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Header

_TAG = re.compile(r'(?P<weak>W/)?(?:"(?P<quoted>[^"]*)"|(?P<bare>\d+))')

IfMatch = Annotated[
    str | None,
    Header(description='The version a change is meant for, as its ETag has it: `"3"`; 412 when it is stale'),
]
IfNoneMatch = Annotated[str | None, Header(description="304 when the resource still has this ETag")]


def etag(version: int) -> str:
    """The ETag of a version."""
    return f'"{version}"'


def versions_of(if_match: str | None) -> frozenset[int] | None:
    """The versions an `If-Match` accepts; None: any. A weak tag accepts none (strong comparison)."""
    if if_match is None or if_match.strip() == "*":
        return None
    tags = (match for match in _TAG.finditer(if_match) if not match["weak"])
    return frozenset(int(text) for tag in tags if _is_version(text := tag["quoted"] or tag["bare"] or ""))


def is_known(version: int, if_none_match: str | None) -> bool:
    """Whether the client has this version already (weak comparison)."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    return any((tag["quoted"] or tag["bare"]) == str(version) for tag in _TAG.finditer(if_none_match))


def _is_version(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18
