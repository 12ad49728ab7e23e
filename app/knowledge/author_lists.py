"""Lists of authors in one line, cut into names: "A. Smith, B. Jones and C. de la Cruz", "Smith, John; Jones, Bob"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.knowledge.author_names import NAME_CHARS_MAX, PARTICLES, fold, looks_like_group, parse_name
from app.knowledge.orcid import without_orcids

AUTHORS_MAX = 500
"""Names read of one document; the largest collaborations print more, and are groups by then."""
_LIST_CHARS_MAX = 50 * NAME_CHARS_MAX
_INTRODUCTION = re.compile(r"\s*(?:by|authors?|written by|editors?)\s*[: ]\s*", re.IGNORECASE)
# The wide comma as well: who writes it puts the family name first, and no comma behind it.
_STRONG = re.compile("[;\n\uff1b\uff0c\u3001\u00b7\u2022]+")
_AND = re.compile(r",?\s(?:and|&|und|et)\s|,\s*&\s?", re.IGNORECASE)
_REMARK = re.compile(r"[(\[][^()\[\]]{0,300}[)\]]")
_GLUED = re.compile(
    r"\s*(?:jr|sr|junior|senior|ii|iii|iv|2nd|3rd|4th|eds?|editors?|(?:wg |co-)?chair|ph\.?\s?d|m\.?d|esq|inc|ltd|llc|"
    r"gmbh)\.?\s*",
    re.IGNORECASE,
)
_INITIALS = re.compile(r"(?:[^\W\d_]\.?[\s-]?){1,4}")


def split_names(text: str) -> list[str]:
    """The names in a line, in their order; a name that holds no list is returned as it is. Never raises."""
    line = _INTRODUCTION.sub("", text[:_LIST_CHARS_MAX], count=1) if _INTRODUCTION.match(text[:40]) else text
    found: list[str] = []
    for part in _STRONG.split(line[:_LIST_CHARS_MAX]):
        if part.strip():
            found += _at_commas(part.strip()) if _is_said_apart(line) else _split(part.strip())
    return found[:AUTHORS_MAX]


def names_of(values: Sequence[str]) -> list[str]:
    """Every name of a list of authors, each entry of which may name several after all."""
    return [name for value in values[:AUTHORS_MAX] for name in split_names(value)][:AUTHORS_MAX]


def _is_said_apart(line: str) -> bool:
    """Whether semicolons part the names: then a comma is within one, as in "Smith, John; Jones, Bob"."""
    return ";" in line or "\uff1b" in line


def _at_commas(part: str) -> list[str]:
    """Between semicolons: "Smith, John" is one; "A. Smith, B. Jones" are two all the same."""
    return [part] if len(_pieces(part)) <= 2 and not _AND.search(part) and not _is_list(_pieces(part)) else _split(part)


def _split(part: str) -> list[str]:
    if looks_like_group(_bare(part)) and not _names_somebody_before_and(part):
        pieces = _pieces(part)
        return _joined(pieces) if len(pieces) > 1 and _is_list(pieces) else [part]
    return [name for piece in _AND.split(part) if piece.strip() for name in _joined(_pieces(piece))]


def _names_somebody_before_and(part: str) -> bool:
    """ "John Smith and R Core Team" are two; "Department of Health and Human Services" is one."""
    match = _AND.search(part)
    return match is not None and all(_is_person(piece) for piece in _pieces(part[: match.start()]))


def _pieces(part: str) -> list[str]:
    """At commas; `Jr.`, `Ed.`, `Inc.` and an ORCID iD stay with the name before."""
    pieces: list[str] = []
    for piece in _kept_whole(part).split(","):
        said = piece.replace("\0", ",").strip()
        if not said:
            continue
        if pieces and (_GLUED.fullmatch(said) or not fold(without_orcids(said))):
            pieces[-1] += f", {said}"
        else:
            pieces.append(said)
    return pieces


def _kept_whole(part: str) -> str:
    """Commas in brackets part nobody: "(Stanford University, California)"."""
    return _REMARK.sub(lambda match: match[0].replace(",", "\0"), part)


def _joined(pieces: list[str]) -> list[str]:
    """Family names with the given names that come after the comma put together again."""
    names: list[str] = []
    at = 0
    while at < len(pieces):
        if at + 1 < len(pieces) and _is_family(pieces[at]) and _is_given(pieces[at + 1], after=pieces[at]):
            names.append(f"{pieces[at]}, {pieces[at + 1]}")
            at += 2
        else:
            names.append(pieces[at])
            at += 1
    return names


def _is_list(pieces: list[str]) -> bool:
    return len(pieces) > 1 and all(_is_person(piece) or looks_like_group(_bare(piece)) for piece in pieces)


def _is_person(piece: str) -> bool:
    """Given and family name are both there."""
    words = _bare(piece).split()
    if len(words) < 2 or looks_like_group(_bare(piece)):
        return False
    return words[0].lower() not in PARTICLES and not _is_initials(words[-1]) and words[0][:1].isupper()


def _is_family(piece: str) -> bool:
    bare = _bare(piece)
    if not bare or looks_like_group(bare) or _is_initials(bare) or len(bare.split()) > 4:
        return False
    return not _has_its_initials(bare)


def _has_its_initials(bare: str) -> bool:
    """ "Smith J" and "Smith JA" are whole names; in "GARCIA DIAZ" all is in capitals, and "van der A" is a family."""
    words = bare.split()
    if len(words) < 2 or words[0].lower() in PARTICLES or not _is_initials(words[-1]):
        return False
    return len(fold(words[-1])) == 1 or not bare.isupper()


def _is_given(piece: str, *, after: str) -> bool:
    """What comes after "García Márquez," is one given name or ends with an initial; after "van Rossum," it may be more.

    Two whole names after each other are two persons.
    """
    words = _bare(piece).split()
    if not words or looks_like_group(_bare(piece)):
        return False
    return len(words) == 1 or _is_initials(words[-1]) or (not _is_person(after) and len(words) <= 3)


def _is_initials(text: str) -> bool:
    return _INITIALS.fullmatch(text) is not None and (len(fold(text)) == 1 or "." in text or text.isupper())


def _bare(piece: str) -> str:
    """Without brackets, ORCID iDs and what is glued to it."""
    bare = _REMARK.sub(" ", without_orcids(piece))
    head, _, tail = bare.partition(",")
    return " ".join((head if _GLUED.fullmatch(tail) else bare).split())


def parsed_names(values: Sequence[str]) -> list[str]:
    """Those of `names_of` that name somebody."""
    return [name for name in names_of(values) if parse_name(name) is not None]
