from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from app.content.document import Deadline, ExtractedDocument
from app.content.html import extract_html
from app.content.markdown import extract_markdown
from tests.documents import python_doc_pages

BASE = "https://example.org/book/page.html"


def html(markup: str, *, base: str | None = BASE) -> ExtractedDocument:
    return extract_html(markup.encode(), charset=None, source_url=base, deadline=Deadline(30))


def shown(document: ExtractedDocument) -> list[tuple[str, str]]:
    """Where each leads, and what stands in the text at its place."""
    return [(link.href, document.text[link.position :][: len(link.text)]) for link in document.links]


def test_a_link_is_resolved_against_the_page_and_stands_where_it_is_clicked() -> None:
    document = html(
        "<main><h1>  A   title </h1><p>See  the\n <a href='../x'>other  page</a>, <a href='#here'>here</a> and"
        " <a href='https://doi.org/10.1234/a#top'>this</a>.</p><pre>  code  <a href=y.html>y</a></pre></main>"
    )

    assert shown(document) == [
        ("https://example.org/x", "other page"),
        ("https://doi.org/10.1234/a", "this"),
        ("https://example.org/book/y.html", "y"),
    ]


def test_links_of_menus_are_none_of_the_text() -> None:
    document = html("<nav><a href='/menu'>Menu</a></nav><main><p>Text <a href='/a'>link</a></p></main>")

    assert shown(document) == [("https://example.org/a", "link")]


def test_what_leads_nowhere_else_is_no_link() -> None:
    anchors = ("page.html#top", BASE, "mailto:a@b.c", "javascript:alert(1)", "http://[", "", "ftp:///")
    markup = "".join(f"<a href='{href}'>x</a> " for href in anchors)

    assert {link.href for link in html(f"<main><p>{markup}</p></main>").links} <= {"ftp:///"}


def test_without_an_address_of_the_page_only_whole_links_lead_anywhere() -> None:
    markup = "<main><p><a href='/a'>a</a> <a href='http://example.org/b'>b</a></p></main>"

    assert shown(html(markup, base=None)) == [("http://example.org/b", "b")]
    assert len(html(f"<base href='https://example.org/'>{markup}", base=None).links) == 2


def test_a_page_too_deep_for_a_tree_keeps_its_links() -> None:
    document = html("<div>" * 3000 + "deep <a href='/a'>down</a>")

    assert shown(document) == [("https://example.org/a", "down")]


def test_markdown_links_are_kept_though_their_marks_go() -> None:
    source = '# A *title*\n\nSee [the `other` page](../x "t") and <https://example.org/b>.\n\n- [item][1]\n\n[1]: y\n'
    document = extract_markdown(source.encode(), charset=None, source_url=BASE, deadline=Deadline(30))

    assert shown(document) == [
        ("https://example.org/x", "the other page"),
        ("https://example.org/b", "https://example.org/b"),
        ("https://example.org/book/y", "item"),
    ]


def test_links_of_real_pages_stand_at_their_words() -> None:
    chosen = random.Random(20261127).sample(python_doc_pages(), 25)
    found = 0
    for path in chosen:
        document = extract_html(
            path.read_bytes(), charset=None, source_url=f"https://example.org/{path.name}", deadline=Deadline(60)
        )
        for link in document.links:
            assert document.text.startswith(link.text.split(" ")[0], link.position), (path.name, link)
        found += len(document.links)
    assert found > 1000


pieces_of_markup = st.sampled_from(["<a href='/x'>", "</a>", "word ", " ", "<p>", "<pre>", "</pre>", "\u0301", "\n"])


@given(st.lists(pieces_of_markup))
def test_no_nesting_of_links_is_too_odd(pieces: list[str]) -> None:
    document = html(f"<main>words {''.join(pieces)}</main>")

    assert all(0 <= link.position <= len(document.text) for link in document.links)
