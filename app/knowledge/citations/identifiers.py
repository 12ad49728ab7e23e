"""Identifiers of works: DOI, arXiv, RFC number, PMID and ISBN, as texts write them and as they are compared.

A key is `scheme:value` with the value in the one form that all spellings share. Schemes are in the order of `SCHEMES`:
the earlier, the surer is what it names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

SCHEMES = ("doi", "arxiv", "rfc", "pmid", "isbn", "url")

# Chinese and Japanese put no space between an identifier and the word or mark beside it.
_WORD_ENDS = r"(?a:\b)"
WIDE_MARKS = r"\u3001\u3002\u3008-\u3011\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f"
# Crossref's advice for finding DOIs (prefix of 4 to 9 digits, then anything printable) without the characters that
# surround them in running text; the longest real ones have under 200 characters.
_DOI = re.compile(rf"""(?a:(?<![\w/.]))10\.\d{{4,9}}/[^\s"'<>{{}}|\\^`\[\]\u201c\u201d\u2019{WIDE_MARKS}]{{1,250}}""")
# A line end inside of a DOI, as PDFs have it: after a mark that no DOI ends with. A full stop may end a sentence, and
# then the next line begins with a name.
_DOI_BROKEN = re.compile(r"""[ \t]?\n[ \t]{0,8}([A-Za-z0-9][^\s"'<>{}|\\^`\[\]]{0,100})""")
_DOI_STOPPED = re.compile(r"""[ \t]?\n[ \t]{0,8}([a-z0-9](?=\S{0,40}\d)[^\s"'<>{}|\\^`\[\]]{0,100})""")
_DOI_GOES_ON = ("/", "-", "_", "(")
_DOI_CHARS_MAX = 300  # as it is compared: a column holds no more, and nobody has seen half of it
# arXiv's help page "Understanding the arXiv identifier": YYMM.number since April 2007, archive/YYMMnumber before.
_ARXIV_NEW = r"\d{2}(?:0[1-9]|1[0-2])\.\d{4,5}"
_ARXIV_ARCHIVES = (
    r"(?:astro-ph|cond-mat|gr-qc|hep-(?:ex|lat|ph|th)|math-ph|nlin|nucl-(?:ex|th)|physics|quant-ph|math|cs|q-bio|q-fin|stat|"
    r"alg-geom|cmp-lg|dg-ga|funct-an|patt-sol|chao-dyn|solv-int|adap-org|comp-gas|chem-ph|supr-con|atom-ph|acc-phys|"
    r"ao-sci|bayes-an|mtrl-th|plasm-ph|q-alg)(?:\.[A-Z]{2})?"
)
_ARXIV_OLD = rf"{_ARXIV_ARCHIVES}/\d{{2}}(?:0[1-9]|1[0-2])\d{{3}}"
_ARXIV = re.compile(
    rf"{_WORD_ENDS}(?i:arxiv)(?:\.org/(?:abs|pdf)/|[:.\s]\s{{0,3}})({_ARXIV_NEW}|{_ARXIV_OLD})(?:v\d{{1,3}})?(?![\w.]\d)"
    rf"|(?a:(?<![\w./-]))({_ARXIV_OLD})(?:v\d{{1,3}})?{_WORD_ENDS}"
)
_ARXIV_DETAIL = re.compile(r"\.[A-Za-z]{2}(?=/)|v\d{1,3}$")
_ARXIV_DOI = re.compile(r"10\.48550/arxiv\.([\w./-]{1,40})", re.IGNORECASE | re.ASCII)
_RFC_DOI = re.compile(r"10\.17487/rfc0*(\d{1,5})", re.IGNORECASE)
_RFC = re.compile(
    rf"{_WORD_ENDS}RFCs?(?:[ \t]{{0,3}}\n[ \t]{{0,30}}|[ \t-]{{0,3}})0{{0,4}}([1-9]\d{{0,4}})(?![\d.]*\d)"
)
# What goes on after the first number of "RFCs 2818, 7231 and 7232".
_RFC_NEXT = re.compile(r"(?:,\s{0,20}|\s{1,20})(?:(?:and|or|&)\s{1,20})?(?:RFC[\s-]?)?([1-9]\d{2,4})(?![\w-]|\.\d)")
# The first page of an RFC names others by their numbers alone.
_RFC_HEADER = re.compile(
    r"^(?:Obsoletes|Updates)[ \t]{0,3}:[ \t]{0,3}(?:RFCs?[ \t-]{0,3})?([1-9]\d{1,4})(?![\w-])", re.MULTILINE
)
_RFC_HEADER_CHARS = 3000
_PMID = re.compile(rf"{_WORD_ENDS}PMID\s{{0,2}}:?\s{{0,2}}(\d{{1,8}}){_WORD_ENDS}")
# In either case: the check digit tells it, and a Dublin Core identifier is written "urn:isbn:9780387952840".
_ISBN = re.compile(
    rf"{_WORD_ENDS}(?i:ISBN)(?:-1[03])?\s{{0,2}}:?\s{{0,2}}((?:97[89][-\s]?)?\d(?:[-\s]?\d){{8}}[-\s]?[\dXx]){_WORD_ENDS}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """A key found at `start..end` of a text."""

    key: str
    start: int
    end: int


def identifiers(text: str) -> Iterator[Identifier]:
    """Every identifier in the text but addresses; in no order, and one place may be found under two schemes."""
    for match in _DOI.finditer(text):
        yield from _doi_at(text, match)
    for match in _ARXIV.finditer(text):
        yield Identifier(key=arxiv_key(match[1] or match[2]), start=match.start(), end=match.end())
    yield from _rfcs(text)
    for match in _PMID.finditer(text):
        yield Identifier(key=f"pmid:{int(match[1])}", start=match.start(), end=match.end())
    for match in _ISBN.finditer(text):
        if number := isbn13(match[1]):
            yield Identifier(key=f"isbn:{number}", start=match.start(), end=match.end())


def key_of(text: str) -> str | None:
    """The key of a text that is one identifier: what stands in a metadata field."""
    found = sorted(identifiers(text[:2000]), key=lambda one: (rank_of(one.key), one.start))
    return found[0].key if found else None


def doi_key(doi: str) -> str | None:
    """DOIs compare without case (DOI Handbook, 2.4); those of arXiv and of RFCs are the works' own numbers.

    None for what is longer than any.
    """
    if match := _ARXIV_DOI.fullmatch(doi):
        return arxiv_key(match[1])
    if match := _RFC_DOI.fullmatch(doi):
        return f"rfc:{int(match[1])}"
    lowered = doi.lower()
    return f"doi:{lowered}" if len(lowered) <= _DOI_CHARS_MAX else None


def arxiv_key(number: str) -> str:
    """Without version and subject class, which name no other work."""
    return f"arxiv:{_ARXIV_DETAIL.sub('', number.strip()).lower()}"


def rank_of(key: str) -> int:
    """How sure the scheme of this key is: 0 surest."""
    return SCHEMES.index(key.partition(":")[0])


def isbn13(text: str) -> str | None:
    """The thirteen digits of an ISBN-10 or -13, or None when its check digit is wrong (ISO 2108)."""
    digits = re.sub(r"[-\s]", "", text).upper()
    if len(digits) == 10:
        values = [10 if digit == "X" else int(digit) for digit in digits] if "X" not in digits[:9] else []
        if not values or sum(weight * value for weight, value in zip(range(10, 0, -1), values, strict=True)) % 11:
            return None
        digits = f"978{digits[:9]}"
        return digits + str(-_weighted(digits) % 10)
    if len(digits) == 13 and digits.isdigit() and _weighted(digits) % 10 == 0:
        return digits
    return None


def without_closing(text: str) -> str:
    """Without what closes a sentence or a bracket around it: a closing bracket stays when it was opened inside."""
    openings = {")": text.count("(") - text.count(")"), "]": text.count("[") - text.count("]")}
    end = len(text)
    while end:
        last = text[end - 1]
        if last in openings and openings[last] < 0:
            openings[last] += 1
        elif last not in ".,;:!?'\"*_\u2019\u201d\u00bb\u2026":
            break
        end -= 1
    return text[:end]


def _doi_at(text: str, match: re.Match[str]) -> Iterator[Identifier]:
    found, end = match[0], match.end()
    broken = _DOI_STOPPED if found.endswith(".") else _DOI_BROKEN if found.endswith(_DOI_GOES_ON) else None
    if broken and (rest := broken.match(text, end)):
        found, end = found + rest[1], rest.end()
    doi = without_closing(found)
    if len(doi.partition("/")[2]) >= 1 and (key := doi_key(doi)):
        yield Identifier(key=key, start=match.start(), end=end - (len(found) - len(doi)))


def _rfcs(text: str) -> Iterator[Identifier]:
    for match in _RFC.finditer(text):
        yield Identifier(key=f"rfc:{match[1]}", start=match.start(), end=match.end())
        if match[0].startswith("RFCs"):
            yield from _further_rfcs(text, match.end())
    for match in _RFC_HEADER.finditer(text, 0, _RFC_HEADER_CHARS):
        yield Identifier(key=f"rfc:{match[1]}", start=match.start(1), end=match.end())
        yield from _further_rfcs(text, match.end())


def _further_rfcs(text: str, end: int) -> Iterator[Identifier]:
    while following := _RFC_NEXT.match(text, end):
        yield Identifier(key=f"rfc:{following[1]}", start=following.start(1), end=following.end())
        end = following.end()


def _weighted(digits: str) -> int:
    return sum((3 if place % 2 else 1) * int(digit) for place, digit in enumerate(digits))
