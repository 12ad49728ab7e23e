from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.content.document import Deadline, normalise_text, one_line, split_subjects
from app.errors import DocumentTooLarge

any_text = st.text(st.characters(exclude_categories=()))


@given(any_text)
def test_normalised_text_can_be_stored_by_every_database(text: str) -> None:
    result = normalise_text(text)

    assert "\x00" not in result
    assert result.encode("utf-8").decode("utf-8") == result
    assert unicodedata.is_normalized("NFC", result)
    assert "\r" not in result
    assert "\n\n\n\n" not in result
    assert all(line == line.rstrip() for line in result.split("\n"))


@given(any_text)
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    assert normalise_text(normalise_text(text)) == normalise_text(text)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("one\r\ntwo\rthree\x0cfour", "one\ntwo\nthree\nfour"),
        ("a  \n\n\n\n\n b\t\n", "a\n\n\n b"),
        ("cafe\u0301", "caf\u00e9"),
        ("hy\u00adphen\u00a0here\ufeff", "hyphen here"),
        ("nul\x00byte", "nul byte"),
        ("half \ud83d pair", "half \ufffd pair"),
    ],
)
def test_each_irregularity_has_one_outcome(text: str, result: str) -> None:
    assert normalise_text(text) == result


def test_a_title_is_one_line_of_bounded_length_or_nothing() -> None:
    assert one_line("  A \n title\x00 ") == "A title"
    assert one_line("x" * 5000, max_chars=10) == "x" * 10
    assert one_line(" \n\x00 ") is None


def test_a_deadline_in_the_past_stops_the_work() -> None:
    Deadline(60).check()
    with pytest.raises(DocumentTooLarge, match="longer than"):
        Deadline(-1).check()


def test_subjects_are_parted_as_people_part_them() -> None:
    assert split_subjects(["owls, mice; owls", "\u591c\uff0c\u9ce5\u3001\u6708\uff1b\u661f", " ,"]) == (
        *("owls", "mice"),
        *("\u591c", "\u9ce5", "\u6708", "\u661f"),
    )


def test_a_subject_is_never_longer_than_an_index_takes() -> None:
    [subject] = split_subjects(["x" * 5000])

    assert subject == "x" * 200
