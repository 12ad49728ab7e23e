"""Snippets on a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.commands.highlight import highlighted, printable


def test_what_matched_stands_out_and_references_become_characters() -> None:
    text = highlighted("cats &amp; <mark>dogs &lt;3</mark> sleep")

    assert text.plain == "cats & dogs <3 sleep"
    assert [text.plain[span.start : span.end] for span in text.spans] == ["dogs <3"]


def test_markup_of_the_terminal_library_is_shown_as_it_is() -> None:
    assert highlighted("[bold]x[/bold]").plain == "[bold]x[/bold]"


def test_a_document_cannot_command_the_terminal() -> None:
    assert highlighted("a&#27;[2Jb\x1b]0;title\x07").plain == "a[2Jb ]0;title "


@given(st.text())
def test_nothing_but_printable_characters_comes_out(text: str) -> None:
    assert printable(text).isprintable()
    assert highlighted(text).plain.isprintable()
