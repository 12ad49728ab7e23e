"""Quality moves as its definitions say, on real pages; it reads any text, in linear time."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import date, timedelta
from functools import cache
from time import process_time
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.content.document import Deadline
from app.content.html import extract_html
from app.knowledge.quality import QualityInput, QualityReport, QualityWeights, score_quality
from tests.documents import python_doc_pages

TODAY = date(2024, 6, 1)
DIMENSIONS = ("accuracy", "completeness", "consistency", "timeliness", "relevance")
PAGES = ("library/heapq.html", "tutorial/introduction.html", "howto/sorting.html", "faq/design.html")

Edit = Callable[[QualityInput], QualityInput]


@cache
def real_page(name: str) -> QualityInput:
    """A page of the Python manual with a full record; the fields that HTML does not state are stated here."""
    path = next(path for path in python_doc_pages() if path.as_posix().endswith(f"/{name}"))
    page = extract_html(path.read_bytes(), charset=None, deadline=Deadline(60))
    assert page.title
    return QualityInput(
        text=page.text,
        title=page.title,
        description=next(line for line in page.text.splitlines() if len(line.split()) > 12),
        creators=("Python Software Foundation",),
        publisher="Python Software Foundation",
        subjects=(page.title,),
        language="en",
        source=f"https://docs.python.org/3.11/{name}",
        identifier="urn:python:doc",
        rights="PSF licence",
        format="text/html",
        date_created=date(2022, 10, 24),
        date_modified=date(2023, 6, 6),
        today=TODAY,
    )


def with_text(change: Callable[[str], str]) -> Edit:
    return lambda page: replace(page, text=change(page.text))


def every_line(change: Callable[[str], str], *, step: int = 1) -> Callable[[str], str]:
    return lambda text: "\n".join(
        change(line) if number % step == 0 else line for number, line in enumerate(text.split("\n"))
    )


def without(text: str, words: str) -> str:
    """The text with every word that shares a beginning with one of `words` taken out."""
    stems = {word[:5] for word in words.lower().split() if len(word) > 2}
    return "\n".join(
        " ".join(word for word in line.split(" ") if not any(stem in word.lower() for stem in stems))
        for line in text.split("\n")
    )


BETTER: dict[str, dict[str, Edit]] = {
    "accuracy": {
        "references added": with_text(
            every_line(lambda line: f"{line} See https://example.org/{crc32(line.encode())} and [12].", step=4)
        ),
        "figures added": with_text(every_line(lambda line: f"{line} It took 12.5 ms, or 3 % less.", step=4)),
    },
    "completeness": {
        "more text": with_text(lambda text: f"{text}\n\nFurther Notes\n\n{text}"),
        "headings added": with_text(
            every_line(lambda line: f"Notes On This\n\n{line}" if len(line.split()) > 12 else line)
        ),
    },
    "consistency": {
        "its own language": lambda page: replace(page, language="en-GB"),
        "its own title": lambda page: replace(page, title=page.subjects[0]),
        "the text takes up its title": with_text(lambda text: f"{text}\n\nMarmalade for Dundee grandmothers."),
    },
    "timeliness": {
        "modified today": lambda page: replace(page, date_modified=TODAY),
        "mentions this year": with_text(lambda text: f"{text}\n\nUpdated in 2024."),
    },
    "relevance": {
        "its own title": lambda page: replace(page, title=page.subjects[0]),
        "the text takes up its title": with_text(every_line(lambda line: f"{line} Marmalade of Dundee.", step=4)),
        "a subject that is not in it taken out": lambda page: replace(page, subjects=(page.subjects[0],)),
    },
}

WORSE: dict[str, dict[str, Edit]] = {
    "accuracy": {
        "no author": lambda page: replace(page, creators=()),
        "no source": lambda page: replace(page, source="", identifier=""),
        "replacement characters": with_text(lambda text: text.replace("the", "t\ufffde")),
        "mis-decoded": with_text(lambda text: text.replace(" a ", " \u00c3\u00a9 \u00e2\u20ac\u2122 ")),
        "broken hyphens": with_text(lambda text: text.replace("tion", "ti- on")),
        "shouting": with_text(every_line(lambda line: f"{line} YOU WILL NEVER BELIEVE THIS!!!")),
    },
    "completeness": {
        **{
            f"no {name}": lambda page, name=name, empty=empty: replace(page, **{name: empty})  # type: ignore[misc]  # a default per field
            for name, empty in {
                "title": "",
                "description": " ",
                "creators": ("",),
                "subjects": (),
                "publisher": "",
                "language": "",
                "source": "",
                "identifier": "",
                "rights": "",
                "format": "",
            }.items()
        },
        "no date": lambda page: replace(page, date_created=None, date_modified=None),
        "cut short": with_text(lambda text: text[:600]),
    },
    "consistency": {
        "another title": lambda page: replace(page, title="Marmalade recipes of Dundee grandmothers"),
        "another description": lambda page: replace(page, description="Orchids, ferns and mosses for shady balconies"),
        "another language": lambda page: replace(page, language="fr"),
        "repeated": with_text(lambda text: f"{text}\n{text}"),
        "mixed spelling": with_text(
            lambda text: f"{text}\n" + "colour behaviour organise centre\ncolor behavior organize center\n" * 60
        ),
        "modified before created": lambda page: replace(page, date_created=date(2023, 6, 7)),
        "dated tomorrow": lambda page: replace(page, date_modified=TODAY + timedelta(days=1)),
    },
    "timeliness": {
        "older": lambda page: replace(page, date_modified=None, date_created=date(2009, 1, 1)),
        "no date": lambda page: replace(page, date_modified=None, date_created=None),
        "judged later": lambda page: replace(page, today=date(2030, 1, 1)),
        "a date that cannot be": lambda page: replace(page, date_modified=date(2030, 1, 1), date_created=None),
    },
    "relevance": {
        "another title": lambda page: replace(page, title="Marmalade recipes of Dundee grandmothers"),
        "another subject": lambda page: replace(page, subjects=("botany", "orchids")),
        "neither": lambda page: replace(page, title="", subjects=()),
        "the words of the title removed": lambda page: replace(page, text=without(page.text, page.title)),
        "wrapped in menus": with_text(lambda text: "Home\nLog in\nAccept all cookies\nNext\nPrevious\n" * 80 + text),
        "diluted": with_text(lambda text: text + "\n" + "it was as if they had been there and then not at all " * 900),
    },
}


def ill_described(page: QualityInput) -> QualityInput:
    """A real text under the record of another."""
    return replace(
        page, title="Marmalade recipes of Dundee grandmothers", subjects=(*page.subjects, "botany"), language="fr"
    )


def _moves(dimension: str, edits: dict[str, Edit], *, up: bool) -> Iterator[str]:
    """The edits that did not move the dimension the way they must."""
    for name in PAGES:
        page = ill_described(real_page(name)) if up else real_page(name)
        before = getattr(score_quality(page), dimension)
        for edit, apply in edits.items():
            after = getattr(score_quality(apply(page)), dimension)
            if not (after > before if up else after < before):
                yield f"{edit} on {name}: {before:.3f} to {after:.3f}"


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_an_edit_that_betters_a_real_page_raises_the_dimension(dimension: str) -> None:
    assert list(_moves(dimension, BETTER[dimension], up=True)) == []


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_an_edit_that_spoils_a_real_page_lowers_the_dimension(dimension: str) -> None:
    assert list(_moves(dimension, WORSE[dimension], up=False)) == []


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_no_dimension_is_the_same_for_all_real_pages(dimension: str) -> None:
    found = {getattr(score_quality(real_page(name)), dimension) for name in (*PAGES, "whatsnew/3.11.html")}

    assert len(found) > 1


def test_reasons_say_what_is_missing() -> None:
    page = replace(real_page("library/heapq.html"), creators=(), publisher="", date_created=None, date_modified=None)

    reasons = score_quality(page).reasons

    assert "accuracy: nobody answers for it: no author, no publisher" in reasons
    assert "timeliness: it carries no date up to today" in reasons


def test_overall_is_the_weighted_mean() -> None:
    page = real_page("library/heapq.html")

    report = score_quality(page)
    by_age = score_quality(page, weights=QualityWeights(accuracy=0, completeness=0, consistency=0, relevance=0))

    assert report.overall == pytest.approx(
        0.30 * report.accuracy
        + 0.20 * report.completeness
        + 0.20 * report.consistency
        + 0.15 * report.timeliness
        + 0.15 * report.relevance
    )
    assert by_age.overall == pytest.approx(report.timeliness)


@pytest.mark.parametrize("weights", [{"accuracy": -0.1}, dict.fromkeys(DIMENSIONS, 0.0)])
def test_weights_that_weigh_nothing_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="weights"):
        QualityWeights(**weights)


def _in_range(report: QualityReport) -> bool:
    return all(0 <= getattr(report, name) <= 1 for name in (*DIMENSIONS, "overall"))


def test_an_empty_document_scores_nothing() -> None:
    report = score_quality(QualityInput(text="", today=TODAY))

    assert report.overall == 0
    assert {reason.split(":")[0] for reason in report.reasons} == set(DIMENSIONS) - {"consistency"}


@given(
    text=st.text(st.characters()) | st.text("ab .,!?()[]0129\n-:/", max_size=300),
    title=st.text(st.characters(), max_size=50),
    tags=st.lists(st.text(max_size=20), max_size=3).map(tuple),
    language=st.text(max_size=8) | st.sampled_from(["en", "de-DE", "FR"]),
    dates=st.tuples(st.none() | st.dates(), st.none() | st.dates(), st.dates()),
)
def test_any_document_has_a_quality(
    text: str, title: str, tags: tuple[str, ...], language: str, dates: tuple[date | None, date | None, date]
) -> None:
    created, modified, today = dates
    document = QualityInput(
        text=text,
        title=title,
        description=title,
        creators=tags,
        subjects=tags,
        language=language,
        date_created=created,
        date_modified=modified,
        today=today,
    )

    report = score_quality(document)

    assert _in_range(report)
    assert report == score_quality(document)


MEGABYTE = 1_000_000
UGLY_CHARS = 300_000


def _unlike_words() -> str:
    letters = random.Random(1).choices("abcdefghijklmnopqrstuvwxyz", k=UGLY_CHARS)
    return " ".join("".join(letters[start : start + 8]) for start in range(0, UGLY_CHARS, 9))


UGLY: dict[str, Callable[[], str]] = {
    "one word": lambda: "a" * UGLY_CHARS,
    "marks": lambda: "!" * UGLY_CHARS,
    "full stops": lambda: "." * UGLY_CHARS,
    "open brackets": lambda: "(A" * (UGLY_CHARS // 2),
    "citations": lambda: "[1,2" * (UGLY_CHARS // 4),
    "digits": lambda: "1." * (UGLY_CHARS // 2),
    "shouting": lambda: "AAAA BB " * (UGLY_CHARS // 8),
    "addresses": lambda: "http://a" * (UGLY_CHARS // 8),
    "blank lines": lambda: " \n" * (UGLY_CHARS // 2),
    "short lines": lambda: "Ab\n" * (UGLY_CHARS // 3),
    "hyphens": lambda: "ab- " * (UGLY_CHARS // 4),
    "unlike words": _unlike_words,
    "accents": lambda: "é\u0301 " * (UGLY_CHARS // 3),
    "han": lambda: "知識" * (UGLY_CHARS // 6),
}


def _seconds_to_score(page: QualityInput) -> float:
    """Of processor time, which other programs on the machine take less from."""
    began = process_time()
    assert _in_range(score_quality(page))
    return process_time() - began


def test_a_megabyte_of_real_text_is_scored_within_a_second() -> None:
    text = "\n".join(real_page(name).text for name in PAGES)
    page = replace(real_page(PAGES[0]), text=(text * (MEGABYTE // len(text) + 1))[:MEGABYTE])

    assert min(_seconds_to_score(page) for _ in range(3)) < 1.0


@pytest.mark.parametrize("ugly", UGLY)
def test_no_text_makes_scoring_slow(ugly: str) -> None:
    page = replace(real_page(PAGES[0]), text=UGLY[ugly]())

    assert min(_seconds_to_score(page) for _ in range(2)) < 1.0


def test_every_field_of_the_input_counts() -> None:
    page = real_page("library/heapq.html")
    changed = {
        "text": "",
        "title": "",
        "description": "",
        "creators": (),
        "publisher": "",
        "subjects": (),
        "language": "",
        "source": "",
        "identifier": "",
        "rights": "",
        "format": "",
        "date_created": TODAY,
        "date_modified": None,
        "today": date(2040, 1, 1),
    }
    assert set(changed) == {field.name for field in fields(QualityInput)}

    for name, value in changed.items():
        assert score_quality(replace(page, **{name: value})) != score_quality(page), name  # type: ignore[arg-type]  # a value per field
