"""Names of authors, parsed: given names, particles, family name, suffix; organisations and ORCID iDs told apart.

Where a name comes from a list in running text, `app.knowledge.author_lists` has cut it out before.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from anyascii import anyascii

from app.knowledge.orcid import find_orcid, without_orcids

if TYPE_CHECKING:
    from nameparser import Parser

NAME_CHARS_MAX = 200
"""Longer than any name; more is a sentence that stands where a name should, and is kept as it is, as a group's."""

_KEY_CHARS_MAX = 250
_GROUP_WORDS = (
    "academy administration agency alliance analysts association associates authority authors bureau center "
    "centre centrum clinic coalition collaboration college comite commission committee community company "
    "consortium consulting contributors corp corporation council department dept developers development division "
    "enterprises federation firm force forum foundation fund gmbh group groupe gruppe hospital inc incorporated "
    "initiative institut institute institution international laboratories laboratory labs library llc ltd "
    "ministry mission museum network networks observatory office organisation organization panel program "
    "programme project research school secretariat service services society software standards subcommittee "
    "systems taskforce team technologies technology trust union universidad universitat universite university "
    "workshop"
)
GROUP_WORDS = frozenset(_GROUP_WORDS.split())
# What programs and catalogues write where they know no author, folded.
_NOBODY = frozenset(
    (
        *("admin", "administrator", "anonymous", "author", "et al", "n a", "no author", "nobody", "none", "null"),
        *("others", "root", "unknown", "unknown author", "unnamed", "user"),
    )
)
_PAREN = re.compile(r"[(\[{<\uff08][^()\[\]{}<>\uff08\uff09]{0,300}[)\]}>\uff09]")
_MARKS = re.compile(r"[*\u2020\u2021\u00a7\u00b6#|^\u00b9\u00b2\u00b3\u2070-\u209f]|(?<=\D)\d+$")
_ROLE = re.compile(r"[,\s]+\(?(?:eds?\.?|editors?|(?:wg |co-)?chair|author|maintainer)\)?\s*$", re.IGNORECASE)
_DEGREE = re.compile(
    r"[,\s]+(?:ph\.?\s?d\.?|m\.?d\.?|d\.?phil\.?|d\.?sc\.?|m\.?sc\.?|b\.?sc\.?|m\.?b\.?a\.?|esq\.?)\s*$", re.IGNORECASE
)
_SUFFIX = re.compile(r"[,\s]+(jr|sr|junior|senior|ii|iii|iv|2nd|3rd|4th)\.?\s*$", re.IGNORECASE)
_SUFFIXES = {
    "jr": "Jr.",
    "junior": "Jr.",
    "sr": "Sr.",
    "senior": "Sr.",
    "ii": "II",
    "2nd": "II",
    "iii": "III",
    "3rd": "III",
    "iv": "IV",
    "4th": "IV",
}
_STUCK_INITIALS = re.compile(r"(?<=[^\W\d_]\.)(?=[^\W\d_])")
_ONLY_INITIALS = re.compile(r"[A-Z]{1,3}|(?:[A-Z]\.-?){1,4}")
PARTICLES = frozenset(("van", "von", "de", "del", "della", "di", "da", "du", "la", "le", "der", "den", "dos", "ter"))
_TITLES = frozenset(("dr", "prof", "professor", "mr", "mrs", "ms", "sir"))
_WORD = re.compile(r"[^\W_]+")
# Scripts whose words Latin letters cannot tell apart: 李伟 and 李威 are both "LiWei".
_SYLLABIC = re.compile("[\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorName:
    """One author as a document names them.

    `given` has one entry a name or initial, as written ("J.", "Jean-Paul"). A group has its whole name as `family`.
    """

    written: str
    family: str
    given: tuple[str, ...] = ()
    particles: str = ""
    suffix: str = ""
    orcid: str | None = None
    is_group: bool = False

    @property
    def display(self) -> str:
        """`Carmen de la Cruz`, in the usual order; in Chinese, Japanese and Korean the family name comes first."""
        if self.given and _SYLLABIC.search(self.family):
            return f"{self.family} {' '.join(self.given)}"
        return " ".join(part for part in (*self.given, self.particles, self.family, self.suffix) if part)

    @property
    def family_key(self) -> str:
        """What two spellings of a family name share, its particles included."""
        return fold(f"{self.particles} {self.family}")

    @property
    def given_keys(self) -> tuple[str, ...]:
        """The given names in order, folded; one letter each for an initial."""
        return tuple(part for name in self.given for part in fold(name).split())

    @property
    def suffix_key(self) -> str:
        """What tells a son from his father."""
        return fold(self.suffix)

    @property
    def key(self) -> str:
        """What two spellings of one full name share."""
        if self.is_group:
            return _short(f"={self.family_key}")
        return _short("|".join((self.family_key, " ".join(self.given_keys), self.suffix_key)))

    @property
    def block(self) -> str:
        """Family name and first initial: names of different blocks are never compared. A group is by itself."""
        if self.is_group:
            return self.key
        return _short(f"{self.family_key}|{self.given_keys[0][:1] if self.given_keys else ''}")


def _short(key: str) -> str:
    """One character may become twenty letters, and an index takes 2700 bytes."""
    if len(key) <= _KEY_CHARS_MAX:
        return key
    return f"{key[: _KEY_CHARS_MAX - 40]}~{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def fold(text: str) -> str:
    """Words in small letters without diacritics, one space between them: for keys, never for eyes.

    Transliterated by anyascii, but for Chinese, Japanese and Korean characters, which stay.
    """
    text = unicodedata.normalize("NFKC", text)
    folded = text if _SYLLABIC.search(text) else anyascii(text).replace("'", "")
    return " ".join(_WORD.findall(folded.casefold()))


def parse_name(text: str) -> AuthorName | None:
    """One name, in either order ("John Smith", "Smith, John"); None when `text` names nobody. Never raises."""
    written = " ".join(text[: 4 * NAME_CHARS_MAX].split())
    orcid = find_orcid(written)
    name = _without_remarks(written)
    if not _WORD.search(name) or name.isdigit() or fold(name) in _NOBODY:
        return None
    if len(name) > NAME_CHARS_MAX or looks_like_group(name):
        return AuthorName(written=written, family=name[:NAME_CHARS_MAX].strip(), orcid=orcid, is_group=True)
    name, suffix = _without_suffix(name)
    person = _person(_in_usual_order(name))
    return replace(person, written=written, suffix=suffix, orcid=orcid) if person else None


def looks_like_group(name: str) -> bool:
    """Whether it names an organisation: by a word that only those have, or as an acronym, or by its length.

    A mail address is none, and is nothing to take apart either.
    """
    words = fold(name).split()
    if "@" in name and len(name.split()) == 1:
        return True
    if GROUP_WORDS & set(words) or any(word.isdigit() for word in words) or name.casefold().startswith("the "):
        return True
    stripped = name.strip(". ")
    is_acronym = len(words) == 1 and len(stripped) > 1 and stripped.isascii() and stripped.isalnum()
    return len(words) > 7 or (is_acronym and stripped.isupper())


def initials_agree(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two persons of these given names may be one: each name equals the other's, or one begins it.

    Further names that only one of them gives do not speak against it. Nobody without any is anybody.
    """
    if not one or not other:
        return False
    return all(a == b or _is_initial_of(a, b) or _is_initial_of(b, a) for a, b in zip(one, other, strict=False))


def _is_initial_of(letter: str, name: str) -> bool:
    """One Chinese character is a whole name."""
    return len(letter) == 1 and letter.isascii() and name.startswith(letter)


def _without_remarks(written: str) -> str:
    """Without ORCID iDs, what stands in brackets, footnote marks, roles and degrees."""
    name = _PAREN.sub(" ", without_orcids(written))
    name = _MARKS.sub("", name)
    for _ in range(3):
        name = _DEGREE.sub("", _ROLE.sub("", name))
    return " ".join(name.strip(" ,;:").split())


def _without_suffix(name: str) -> tuple[str, str]:
    """The name, and `Jr.` and its like from its end or from between its commas ("Smith, Jr., John")."""
    parts = [part.strip() for part in name.split(",")]
    if len(parts) > 2 and (within := _SUFFIXES.get(parts[1].rstrip(".").lower())):
        return ", ".join((parts[0], *parts[2:])), within
    match = _SUFFIX.search(name)
    if match is None or len(name[: match.start()].split()) < 2:
        return name, ""
    return name[: match.start()].rstrip(" ,"), _SUFFIXES[match[1].lower()]


def _in_usual_order(name: str) -> str:
    """`Postel J` and `Rossum, Guido van` as a parser of names expects them."""
    family, comma, given = name.partition(",")
    words = (given if comma else family).split()
    if comma:
        trailing = _trailing_particles(words)
        if 0 < trailing < len(words):
            return f"{' '.join(words[-trailing:])} {family}, {' '.join(words[:-trailing])}"
        return name
    if len(words) in {2, 3} and _ONLY_INITIALS.fullmatch(words[-1]) and all(len(fold(word)) > 1 for word in words[:-1]):
        return f"{' '.join(words[:-1])}, {words[-1]}"
    return name


def _trailing_particles(words: list[str]) -> int:
    count = 0
    while count < len(words) and words[-1 - count] in PARTICLES:
        count += 1
    return count


def _person(name: str) -> AuthorName | None:
    spaced = ", ".join(_STUCK_INITIALS.sub(" ", part.strip()) for part in name.split(",") if part.strip())
    tokens = _parser().parse(spaced).tokens
    given = [token.text for token in tokens if token.role.value in {"given", "middle"}]
    family = [token for token in tokens if token.role.value in {"family", "suffix", "maiden"}]
    leading = 0
    while leading < len(family) - 1 and "particle" in family[leading].tags:
        leading += 1
    particles = " ".join(token.text for token in family[:leading])
    base = " ".join(token.text for token in family[leading:]).strip(" ,")
    if not fold(base):  # one name only, wherever it was filed
        base, given = " ".join(given), []
    names = tuple(_initials_apart(given, shouted=base.isupper()))
    return AuthorName(written=name, family=base, given=names, particles=particles) if fold(base) else None


def _initials_apart(given: list[str], *, shouted: bool) -> list[str]:
    """`JR` beside a family name that is not all capitals is `J. R.`."""
    apart: list[str] = []
    for name in given:
        if _ONLY_INITIALS.fullmatch(name) and name.isalpha() and not shouted:
            apart += [f"{letter}." for letter in name]
        elif fold(name):
            apart.append(name)
    return apart


@lru_cache(maxsize=1)
def _parser() -> Parser:
    """A parser of our own: its usual lists take Baron Schwartz for a baron and `Ma` for a master of arts."""
    from nameparser import CapsSuffixes, Lexicon, Parser, Policy  # noqa: PLC0415 — 0.2 s, and most processes read none

    usual = Lexicon.default()
    lexicon = Lexicon(
        titles=_TITLES,
        particles=usual.particles,
        particles_ambiguous=usual.particles_ambiguous,
        conjunctions=frozenset(("y",)),
        surnames=usual.surnames,
    )
    policy = Policy(
        nickname_delimiters=frozenset({('"', '"'), ("\u201c", "\u201d")}),
        unlisted_dotted_suffixes=False,
        unlisted_caps_suffixes=CapsSuffixes.OFF,
        lenient_comma_suffixes=False,
    )
    return Parser(lexicon, policy)
