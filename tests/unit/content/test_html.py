from __future__ import annotations

import random
import re
from datetime import date
from pathlib import Path

import pytest
from lxml.html import HtmlElement, document_fromstring

from app.content.document import Deadline, ExtractedDocument
from app.content.html import extract_html
from app.errors import DocumentTooLarge
from tests.documents import postgresql_doc_pages, python_doc_pages

WORD = re.compile(r"\w+")
BLOCKS = "div p li td th dt dd h1 h2 h3 h4 h5 h6 pre dl ul ol table tr br section caption".split()  # noqa: SIM905
PARAGRAPH = "The library keeps every derived item true while the sources change, and it says so in numbers. " * 3


def read(markup: str | bytes, *, charset: str | None = None) -> ExtractedDocument:
    data = markup.encode() if isinstance(markup, str) else markup
    return extract_html(data, charset=charset, deadline=Deadline(30))


def visible_words(path: Path) -> list[str]:
    """The words of the main part by another road than the extractor's: drop the rest, take all text."""
    tree = document_fromstring(path.read_bytes())
    [*marked] = tree.xpath("//*[@role='main']")
    main: HtmlElement = marked[0] if marked else tree.find("body")
    unwanted = "contains(@class, 'navheader') or contains(@class, 'navfooter') or contains(@class, 'headerlink')"
    for element in main.xpath(f".//script | .//style | .//*[{unwanted}]"):
        element.drop_tree()
    for element in main.iter(*BLOCKS):
        element.text, element.tail = f" {element.text or ''}", f" {element.tail or ''}"
    return WORD.findall(main.text_content())


def test_a_phrase_from_the_middle_of_real_pages_survives_with_its_words_in_order() -> None:
    chooser = random.Random(20240229)
    pages = chooser.sample(python_doc_pages(), 60) + chooser.sample(postgresql_doc_pages(), 90)
    lost = []
    for path in pages:
        words = visible_words(path)
        middle = len(words) // 2
        phrase = " ".join(words[middle : middle + 8])
        if phrase not in " ".join(WORD.findall(read(path.read_bytes()).text)):
            lost.append(f"{path.name}: {phrase}")
    assert lost == []


def page(name: str) -> ExtractedDocument:
    [path] = [path for path in python_doc_pages() + postgresql_doc_pages() if str(path).endswith(name)]
    return read(path.read_bytes())


def test_a_page_of_the_python_manual_keeps_its_code_and_loses_its_navigation() -> None:
    document = page("html/library/bisect.html")

    assert document.title == "bisect — Array bisection algorithm"
    assert document.declared_language == "en"
    assert "def find_lt(a, x):\n    'Find rightmost value less than x'\n" in document.text
    assert "bisect.bisect_left(a, x, lo=0, hi=len(a), *, key=None)" in document.text
    for navigation in ("Previous topic", "Quick search", "Report a Bug", "¶", "Theme"):
        assert navigation not in document.text


def test_a_page_of_the_postgresql_manual_keeps_its_lists_and_loses_its_navigation() -> None:
    document = page("html/sql-analyze.html")

    assert document.title == "ANALYZE"
    assert "SKIP_LOCKED\n\nSpecifies that ANALYZE should not wait for any conflicting locks" in document.text
    assert "    SKIP_LOCKED [ boolean ]\n" in document.text
    for navigation in ("Prev", "Home", "ALTER VIEW", "Navigation"):
        assert navigation not in document.text


def test_a_marked_main_part_is_taken_word_for_word() -> None:
    document = read(
        "<title>Owls | Site</title><nav>Menu one</nav><header>Site head</header><main><h1>Owls</h1>"
        "<p>A <b>b</b>ig&nbsp;owl<br>sees.</p><pre>if x:\n    y</pre><script>bad()</script><div hidden>no</div>"
        "<table><tr><td>a</td><td>b</td></tr></table><ul><li>one</li><li>two</li></ul></main><footer>Foot</footer>"
    )

    assert document.title == "Owls"
    assert document.text == "Owls\n\nA big owl\nsees.\n\nif x:\n    y\n\na b\n\none\ntwo"


def test_without_any_mark_menus_go_and_prose_stays() -> None:
    menu = "".join(f"<div><a href='/{n}'>Menu entry {n}</a></div>" for n in range(12))
    document = read(f"<html><body>{menu}<h1>Truth</h1><p>{PARAGRAPH}</p><p>Second. {PARAGRAPH}</p>{menu}</body></html>")

    assert PARAGRAPH.strip() in document.text
    assert f"Second. {PARAGRAPH}".strip() in document.text
    assert "Menu entry" not in document.text


def test_a_page_of_links_alone_keeps_them() -> None:
    links = "".join(f"<li><a href='/{n}'>Chapter {n}</a></li>" for n in range(8))

    assert read(f"<body><ul>{links}</ul></body>").text.split("\n")[0] == "Chapter 0"


def test_the_page_s_own_statements_become_metadata() -> None:
    document = read(
        "<html lang='en-GB'><head><title>T</title><meta property='og:title' content='The Title'>"
        "<meta name='citation_author' content='Ada Lovelace'><meta name='citation_author' content='Alan Turing'>"
        "<meta name='dc.publisher' content='Press'><meta name='description' content='About\nit'>"
        "<meta name='keywords' content='owls, birds;night'><meta name='citation_date' content='2015/03/12'>"
        "<meta property='article:modified_time' content='2020-01-02T03:04:05Z'></head><body><p>Text</p></body></html>"
    )

    assert (document.title, document.authors) == ("The Title", ("Ada Lovelace", "Alan Turing"))
    assert (document.publisher, document.description) == ("Press", "About it")
    assert document.subjects == ("owls", "birds", "night")
    assert (document.date_created, document.date_modified) == (date(2015, 3, 12), date(2020, 1, 2))
    assert document.declared_language == "en-GB"


@pytest.mark.parametrize(
    ("tags", "doi", "arxiv_id"),
    [
        ({"citation_doi": "doi:10.1234/Zebra.7"}, "10.1234/zebra.7", None),
        ({"dc.identifier": "https://doi.org/10.1234/zebra.7"}, "10.1234/zebra.7", None),
        ({"citation_arxiv_id": "1406.5823", "citation_doi": "10.48550/arXiv.1406.5823"}, None, "1406.5823"),
        ({"citation_doi": "10.17487/RFC0791"}, "10.17487/RFC0791", None),
        ({"dc.identifier": "https://example.org/page", "citation_doi": "soon"}, None, None),
    ],
)
def test_a_page_states_its_own_identifiers(tags: dict[str, str], doi: str | None, arxiv_id: str | None) -> None:
    head = "".join(f"<meta name='{name}' content='{value}'>" for name, value in tags.items())
    document = read(f"<html><head><title>Zebras</title>{head}</head><body><p>See doi:10.1/other.</p></body></html>")

    assert (document.doi, document.arxiv_id) == (doi, arxiv_id)


def test_json_ld_fills_what_meta_tags_leave_open() -> None:
    document = read(
        '<script type="application/ld+json">{broken</script><script type="application/ld+json">{"@graph": ['
        '{"@type": "A", "headline": "H", "author": [{"name": "Grace Hopper"}, "X Y"], "publisher": {"name": "Navy"},'
        '"datePublished": "1952-05", "dateModified": "Tue, 15 Nov 1994 12:45:26 GMT"}]}</script><p>Text</p>'
    )

    assert (document.title, document.authors, document.publisher) == ("H", ("Grace Hopper", "X Y"), "Navy")
    assert (document.date_created, document.date_modified) == (date(1952, 5, 1), date(1994, 11, 15))


def test_a_date_in_the_prose_is_not_taken_for_the_page_s_own() -> None:
    assert read("<body><p>On 2012-12-22 the world went on.</p></body>").date_created is None


@pytest.mark.parametrize(
    ("data", "charset"),
    [
        ("<meta charset='windows-1251'><p>Привет, мир".encode("cp1251"), None),
        ("<?xml version='1.0' encoding='koi8-r'?><html><body><p>Привет, мир</p></body></html>".encode("koi8-r"), None),
        ("<p>Привет, мир".encode("cp1251"), "windows-1251"),
        ("<meta charset='latin-1'><p>Привет, мир".encode(), None),
        ("<p>Привет, мир".encode("utf-16"), None),
    ],
)
def test_the_charset_is_found_wherever_it_is_stated(data: bytes, charset: str | None) -> None:
    assert read(data, charset=charset).text == "Привет, мир"


def test_a_page_nested_too_deeply_is_cut_and_does_no_harm() -> None:
    document = read("<main><p>At the top.</p>" + "<div>" * 200_000 + "deep")

    assert document.text.startswith("At the top.")


def test_a_page_with_too_many_elements_is_refused() -> None:
    with pytest.raises(DocumentTooLarge):
        read("<main>" + "<b>x</b>" * 1_000_001)


def test_keywords_of_a_page_are_parted_and_cut() -> None:
    document = read(f"<meta name=keywords content='\u591c\u3001\u9ce5,{'x' * 900}'><main><p>{PARAGRAPH}</p></main>")

    assert document.subjects == ("\u591c", "\u9ce5", "x" * 200)


DEEP_OR_LONG = {
    "unclosed fonts": "<font>x " * 400,
    "lists in lists": "<ul><li>x " * 300,
    "divs as deep as a tree was": "<div>x " * 255 + "</div>" * 255,
    "divs deeper than any tree": "<div>x " * 3000 + "</div>" * 3000,
    "nothing but divs": "<div>" * 200_000,
    "unclosed tables": "<table>" * 20_000,
    "a long script": "x <script>" + "y" * 12_000_000 + "</script>",
    "a long attribute": "x <img alt='" + "y" * 12_000_000 + "'>",
    "a long comment": "x <!--" + "y" * 12_000_000 + "-->",
    "deep with an unclosed navigation": "<b><nav>x " * 3000,
}


@pytest.mark.parametrize("kind", DEEP_OR_LONG)
def test_no_page_is_cut_in_silence(kind: str) -> None:
    words = read(f"<html><body>{DEEP_OR_LONG[kind]} &#69;ND").text.split()

    assert words == ["x"] * DEEP_OR_LONG[kind].count("x ") + ["END"]


def test_a_page_nested_too_deeply_for_a_tree_keeps_its_title_and_loses_its_scripts() -> None:
    document = read(
        "<html lang=en><head><title>Deep</title><style>p {}</style></head><body>"
        + "<div>" * 3000
        + "<script>if (a < b) run()</script>An owl &amp; a mouse"
    )

    assert (document.title, document.declared_language, document.text) == ("Deep", "en", "An owl & a mouse")


def test_the_entities_that_an_xhtml_page_declares_are_no_text_of_it() -> None:
    markup = (
        '<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "x.dtd" [\n'
        '  <!ENTITY owl "bird"> <!ATTLIST p n CDATA "0">\n]>\n<html><body><p>Night.</p></body></html>'
    )

    assert read(markup).text == "Night."


def test_a_heading_inside_preformatted_text_is_the_title_over_all_its_lines() -> None:
    markup = "<pre>Memo   May 1996\n\n <span class='h1'>Mail</span>\n  <span class='h1'>Part One</span>\n\n"

    assert read(f"{markup}Status <span class='h1'>No</span></pre>").title == "Mail Part One"


def test_elements_styled_as_headings_elsewhere_are_no_lines_of_a_title() -> None:
    document = read(
        "<div><span class='h1'>Welcome</span> <span class='h1'>Sign in</span></div><h2>Owls</h2><p>At night."
    )

    assert document.title == "Owls"


def test_of_two_headings_the_one_called_title_is_it() -> None:
    document = read(
        "<title>RFC 9: Owls</title><main><h1 id='rfcnum'>RFC 9</h1><h1 id='title'>Owls</h1><p>At night.</p></main>"
    )

    assert document.title == "Owls"


def test_the_name_of_a_site_is_not_the_title_for_being_called_so() -> None:
    document = read(
        "<title>Owls by Night | Birds</title><h1>Owls by Night</h1><h1 id='title'>Birds</h1><p>At night.</p>"
    )

    assert document.title == "Owls by Night"
