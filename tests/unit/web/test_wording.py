"""Names become words."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from app.content.media_types import HTML, MARKDOWN, PDF, PLAIN_TEXT, XHTML
from app.models.derived import DerivedKind
from app.models.resource import IngestionState
from app.web import wording


def test_every_state_and_kind_has_words() -> None:
    assert set(wording.INGESTION) == {str(state) for state in IngestionState}
    assert set(wording.DERIVED) == {str(kind) for kind in DerivedKind}


def test_no_two_formats_have_the_same_words() -> None:
    labels = [wording.facet_value("format", media_type) for media_type in (HTML, XHTML, PDF, MARKDOWN, PLAIN_TEXT)]

    assert len(set(labels)) == 5


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "just now"), (59, "just now"), (61, "1 minute ago"), (7300, "2 hours ago"), (200_000, "2 days ago")],
)
def test_how_long_ago(seconds: int, words: str) -> None:
    assert wording.ago(datetime.now(UTC) - timedelta(seconds=seconds)) == words


def test_what_is_long_ago_has_its_day() -> None:
    assert wording.ago(datetime(2020, 2, 3, tzinfo=UTC)) == "on 3 February 2020"


def test_when_it_is_due() -> None:
    now = datetime.now(UTC)
    assert wording.until(now - timedelta(seconds=1)) == "now"
    assert wording.until(now + timedelta(seconds=4.4)) == "in 4 s"
    assert wording.until(now + timedelta(minutes=5)) == "in 5 min"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://example.org/a", "example.org"),
        ("javascript:alert(1)", ""),
        ("data:text/html,x", ""),
        ("http://[broken", ""),
        ("//example.org", ""),
        (None, ""),
    ],
)
def test_only_web_addresses_have_a_host(url: str | None, host: str) -> None:
    assert wording.host_of(url) == host


@pytest.mark.parametrize(("tag", "name"), [("en", "English"), ("pt-BR", "Portuguese"), ("tlh", "tlh"), (None, "")])
def test_languages_have_names(tag: str | None, name: str) -> None:
    assert wording.language_name(tag) == name


@pytest.mark.parametrize(
    ("said", "sentence"),
    [("it is empty", "It is empty."), ("Really?", "Really?"), (".zip is not", ".zip is not."), ("", "")],
)
def test_a_reason_is_a_sentence(said: str, sentence: str) -> None:
    assert wording.sentence(said) == sentence


def test_numbers_and_days_are_written_for_people() -> None:
    assert wording.counted(1, "document") == "1 document"
    assert wording.counted(2000, "document") == "2,000 documents"
    assert wording.day(date(2025, 11, 3)) == "3 November 2025"
