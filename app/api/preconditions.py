"""Preconditions: entity tags, `If-Match` and `If-None-Match` (RFC 9110, §13)."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Header

_TAG = re.compile(r'(?P<weak>W/)?"(?P<opaque>[\x21\x23-\x7e\x80-\xff]*)"')
_ANY = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_LIST = re.compile(rf"[ \t,]*{_ANY}(?:[ \t]*,[ \t,]*{_ANY})*[ \t,]*")

IfMatch = Annotated[
    str | None,
    Header(description='The version a change is meant for, as its ETag has it: `"3"`; 412 when it is stale'),
]
IfNoneMatch = Annotated[str | None, Header(description="304 when the resource still has this ETag")]


def etag(version: int) -> str:
    """The ETag of a version."""
    return f'"{version}"'


def versions_of(if_match: str | None) -> frozenset[int] | None:
    """The versions an `If-Match` accepts; None: any. A weak tag accepts none (strong comparison), and so does a header
    that is no list of entity tags: who sent it meant a condition.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    tags = _tags_of(if_match)
    return frozenset(int(tag["opaque"]) for tag in tags if not tag["weak"] and _is_version(tag["opaque"]))


def is_known(version: int, if_none_match: str | None) -> bool:
    """Whether the client has this version already (weak comparison)."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    return any(tag["opaque"] == str(version) for tag in _tags_of(if_none_match))


def _tags_of(header: str) -> list[re.Match[str]]:
    """The entity tags of a header; none of one that is not a list of them from end to end."""
    return list(_TAG.finditer(header)) if _LIST.fullmatch(header) else []


def _is_version(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18
