from __future__ import annotations

import time
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.content.document import Deadline, ExtractedDocument
from app.content.markdown import extract_markdown


def read(source: str) -> ExtractedDocument:
    return extract_markdown(source.encode(), charset=None, deadline=Deadline(30))


def test_the_marks_go_and_the_words_stay_in_order() -> None:
    document = read(
        "# The *Owl*\n\nIt **sees** a [mouse](http://x.example/m) and `x = 1`.\nSame paragraph.\n\n"
        "- one\n- two\n\n> quoted\n\n```python\ndef f():\n    pass\n```\n\n| a | b |\n|---|---|\n| c | d |\n\n"
        "<p>In <b>HTML</b></p>\n\n![a picture](p.png)\n"
    )

    assert document.title == "The Owl"
    words = "The Owl It sees a mouse and x = 1. Same paragraph. one two quoted def f(): pass a b c d In HTML a picture"
    assert " ".join(document.text.split()) == words
    assert "def f():\n    pass" in document.text


def test_front_matter_is_metadata_and_not_text() -> None:
    document = read(
        "---\ntitle: 'Owls: a life'\nauthors:\n  - Ada Lovelace\n  - Alan Turing\ndate: 2021-05-06\nupdated: 2022\n"
        'tags: [birds, "night"]\nlang: de\ndescription: On owls\ndoi: 10.1234/owl\narxiv: 1406.5823\n---\n'
        "# Another\n\nText.\n"
    )

    assert (document.title, document.authors) == ("Owls: a life", ("Ada Lovelace", "Alan Turing"))
    assert (document.doi, document.arxiv_id) == ("10.1234/owl", "1406.5823")
    assert (document.date_created, document.date_modified) == (date(2021, 5, 6), date(2022, 1, 1))
    assert (document.subjects, document.declared_language, document.description) == (
        ("birds", "night"),
        "de",
        "On owls",
    )
    assert document.text == "Another\n\nText."


def test_a_rule_at_the_top_is_not_front_matter() -> None:
    assert read("---\n\nHello there\n").text == "Hello there"
    assert read("---\n\nHello\n\n---\n\nthere\n").text == "Hello\n\nthere"


def test_without_a_heading_a_short_first_line_is_the_title() -> None:
    assert read("Hello there\n\nText").title == "Hello there"


@pytest.mark.parametrize("source", ["[" * 50_000, "*a " * 50_000, "> " * 50_000 + "x", "`a``" * 50_000, "<a" * 50_000])
def test_hostile_nesting_ends(source: str) -> None:
    assert len(read(source + " end").text) <= len(source) + 10


HOSTILE = (
    *(
        "![![![",
        "[a](",
        "[a][b]",
        "[a\n",
        "[",
        "> ",
        "*a_",
        "**a *b ",
        "`a``",
        "<a ",
        "&#",
        "|a",
        "- ",
        "* a\n",
        "<b>",
        "~~a ",
    ),
    *(
        "<http://a>",
        "|a|b|\n|-|-|\n",
        "![a](b)",
        "<!--",
        "<![CDATA[",
        "<?",
        "-",
        "a\n",
        "[a]: /b\n",
        "<p>a\n\n",
        "<p>\n\n",
    ),
)


@pytest.mark.parametrize("marks", HOSTILE)
def test_marks_without_end_take_no_longer_than_their_share(marks: str) -> None:
    """A megabyte takes 0.1 to 1 s of a processor."""
    source = marks * (100_000 // len(marks))
    started = time.process_time()
    read(source)
    assert time.process_time() - started < 1


def test_the_words_of_a_tight_list_and_of_a_table_are_apart() -> None:
    text = read("- one\n  - two\n    > three\n- four\n\n|a|b|\n|-|-|\n|c|d|\n").text

    assert [line for line in text.split("\n") if line] == ["one", "two", "three", "four", "a b", "c d"]


def test_links_lead_where_they_are_written_to() -> None:
    source = "[a b](<http://x.example/a b>) <owl@x.example> [c][] <http://x.example/d>\n\n[c]: /c 'title'\n"
    document = extract_markdown(source.encode(), charset=None, source_url="http://y.example/z", deadline=Deadline(30))

    assert [(link.href, link.text) for link in document.links] == [
        ("http://x.example/a%20b", "a b"),
        ("http://y.example/c", "c"),
        ("http://x.example/d", "http://x.example/d"),
    ]


@given(st.text(st.sampled_from("#*_`[]()<>-|~!:\\ \n\tab1&;\"'"), max_size=200))
def test_any_source_becomes_valid_text(source: str) -> None:
    assert "\x00" not in read(source).text


def test_tags_of_the_front_matter_are_parted_and_cut() -> None:
    document = read(f"---\ntags: owls; \u591c\u3001{'x' * 900}\n---\nAn owl sees at night.")

    assert document.subjects == ("owls", "\u591c", "x" * 200)


@pytest.mark.parametrize("depth", [12, 40, 49, 50, 51, 200])
def test_a_deep_list_keeps_every_item(depth: int) -> None:
    words = read("".join(f"{'  ' * level}- w{level}\n" for level in range(depth)) + "\nEND").text.split()

    assert [word for word in words if word != "-"] == [*(f"w{level}" for level in range(depth)), "END"]


@pytest.mark.parametrize("source", ["> " * 20 + "END", "> " * 300 + "END", "[" * 300 + "END", "**" * 300 + " END"])
def test_deep_quotes_and_brackets_keep_what_they_hold(source: str) -> None:
    assert "END" in read(source).text


def test_html_inside_that_is_nested_deeply_is_kept_whole() -> None:
    assert read("<div>" * 3000 + "END").text == "END"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("- one\n  ***\n  two", "one two"),
        ("| a |\n|---|\n| one<br>two<BR/>three |", "a one two three"),
        ("one<b>and</b>two", "oneandtwo"),
        ("<!-- see a > b -->\n\ntext", "text"),
        ("<!--\n" + "Licence. " * 200 + "\n-->\n\ntext", "text"),
        ("<!-- no end\n\ntext", "<!-- no end text"),
    ],
)
def test_rules_and_breaks_part_words_and_comments_are_not_among_them(source: str, words: str) -> None:
    assert " ".join(read(source).text.split()) == words


def test_words_of_more_blocks_of_html_than_are_parsed_stay_without_tags() -> None:
    assert read("<p>owl <!-- a > b --></p>\n\n" * 2_100).text.split() == ["owl"] * 2_100


def test_comments_that_do_not_end_are_no_work() -> None:
    began = time.process_time()
    read("<!-- a -->" + "<!--" * 500_000)
    assert time.process_time() - began < 5
