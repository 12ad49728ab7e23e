from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.content.document import Deadline
from app.content.html import extract_html
from app.content.markdown import extract_markdown
from app.knowledge.citations.extraction import MAX_WORKS, CitedWork, cited_works
from app.knowledge.citations.link import Link
from app.knowledge.citations.reference_list import entries

TEXT = """Zebras graze [1, 2], as RFC 2119 demands [RFC2119]; so says [2].
Data: https://zenodo.org/record/7 and code: https://github.com/zebra/stripes.

References

[1] Grazer, A. On grazing. Journal of Grass. doi:10.1234/grass.1, http://grass.example.org/1.
[2] Nobody, N. A book without a number, 1999.
[RFC2119] Bradner, S., "Key words", BCP 14, RFC 2119,
   DOI 10.17487/RFC2119, March 1997, <https://www.rfc-editor.org/info/rfc2119>.

Author's Address

[3] is no reference.
"""


def works(text: str, *links: Link) -> dict[str, CitedWork]:
    return {one.label or one.keys[0]: one for one in cited_works(text, links)}


def test_a_work_is_one_however_often_and_by_whatever_it_is_cited() -> None:
    found = works(TEXT)

    assert list(found) == ["1", "2", "RFC2119", "url:zenodo.org/record/7", "url:github.com/zebra/stripes"]
    assert found["1"].keys == ("doi:10.1234/grass.1", "url:grass.example.org/1")
    assert (found["1"].position, found["1"].mentions) == (13, 1)
    assert (found["2"].keys, found["2"].mentions) == ((), 2)
    assert found["2"].raw == "Nobody, N. A book without a number, 1999."
    assert (found["RFC2119"].rfc, found["RFC2119"].mentions) == (2119, 2)
    assert found["RFC2119"].url == "https://www.rfc-editor.org/info/rfc2119"
    assert found["RFC2119"].raw.startswith('Bradner, S., "Key words"')
    assert found["RFC2119"].context.startswith("Zebras graze [1, 2], as RFC 2119 demands")


def test_the_type_is_told_by_who_registered_or_hosts_it() -> None:
    types = {key: str(one.type) for key, one in works(TEXT).items()}

    assert types == {
        "1": "reference",
        "2": "reference",
        "RFC2119": "reference",
        "url:zenodo.org/record/7": "dataset",
        "url:github.com/zebra/stripes": "code",
    }
    assert [str(one.type) for one in cited_works("10.5281/zenodo.7 https://example.org")] == ["dataset", "general"]


def test_a_link_cites_what_it_leads_to_where_it_stands() -> None:
    link = Link(href="https://doi.org/10.1234/grass.1", text="this paper", position=4)
    [one] = cited_works("See this paper.", [link])

    assert (one.doi, one.url, one.raw, one.position) == ("10.1234/grass.1", link.href, "this paper", 4)


def test_a_number_and_the_link_on_it_are_one_mention() -> None:
    link = Link(href="https://www.rfc-editor.org/rfc/rfc2119", text="RFC 2119", position=3)

    assert [(one.rfc, one.mentions) for one in cited_works("In RFC 2119.", [link])] == [(2119, 1)]


def test_entries_are_numbered_from_one_where_they_have_no_brackets() -> None:
    text = "7. References\n\n1. Grazer, A.\n   On grass.\n2. Nobody, N.\n\n8. Acknowledgements\n"

    assert [(one.label, text[one.start : one.end]) for one in entries(text)] == [
        ("1", "Grazer, A.\n   On grass."),
        ("2", "Nobody, N.\n\n8. Acknowledgements"),
    ]


def test_brackets_far_after_an_unnumbered_list_are_of_something_else() -> None:
    found = entries("References\n\n" + "Grazer A (1999). On grass.\n" * 40 + "\n[1] TRUE\n[1] FALSE\n")

    assert [one.label for one in found] == [None] * 40


PAGE = """<html><head><title>Zebras</title></head><body><main><h1>Zebras</h1>
<p>Zebras graze on the plain, as was shown before [1], and others say so too [2, 3].</p><h2>References</h2>
<ol><li>Grazer, A. On grass. Journal of Grass, 1999.</li><li>Nobody, N. On nothing. 2001.</li>
<li>Ray, C. In press. <a href="https://doi.org/10.1234/ray">Online</a></li></ol>
<h2>See also</h2><p>Horses were tamed in 3500 BC and counted in 1999.</p></main></body></html>"""
MARKDOWN = """# Zebras

Zebras graze on the plain, as was shown before [1], and others say so too [2, 3].

## References

1. Grazer, A. On grass. Journal of Grass, 1999.
2. Nobody, N. On nothing. 2001.
3. Ray, C. In press. [Online](https://doi.org/10.1234/ray)

## See also

Horses were tamed in 3500 BC and counted in 1999.
"""


@pytest.mark.parametrize("document", [PAGE, MARKDOWN], ids=["page", "markdown"])
def test_a_list_that_its_reader_numbers_is_cited_by_these_numbers(document: str) -> None:
    read = extract_html if document is PAGE else extract_markdown
    read_document = read(document.encode(), charset=None, deadline=Deadline(30))
    found = works(read_document.text, *read_document.links)

    assert {label: (one.raw, one.doi, one.mentions) for label, one in found.items()} == {
        "1": ("Grazer, A. On grass. Journal of Grass, 1999.", None, 1),
        "2": ("Nobody, N. On nothing. 2001.", None, 1),
        "3": ("Ray, C. In press. Online", "10.1234/ray", 1),
    }
    assert {str(one.type) for one in found.values()} == {"reference"}


@pytest.mark.parametrize("first", ["", "doi:10.1234/a, "], ids=["address", "doi"])
def test_two_entries_of_one_address_are_two_works(first: str) -> None:
    address = "http://proceedings.example.org/1999"
    found = works(
        f"So say [1] and [2] and [2].\n\nReferences\n\n[1] Grazer, A. On grass. {first}{address}\n"
        f"[2] Ray, C. On rays. {address}\n[3] Ray, C. On rays. {address}\n"
    )

    assert {label: (one.mentions, one.keys[-1], one.url) for label, one in found.items()} == {
        "1": (1, "url:proceedings.example.org/1999", address),
        "2": (2, "url:proceedings.example.org/1999", address),
    }
    assert (found["2"].doi, found["2"].raw) == (None, f"Ray, C. On rays. {address}")


def test_an_entry_that_is_there_twice_is_one_where_it_stands_first() -> None:
    text = "References\n\n[1] Ray, C. On rays. 1999.\n[2] Grazer, A. On grass. 1999.\n[3] Ray, C. On rays. 1999.\n"

    assert [one.label for one in cited_works(text)] == ["1", "2"]


def test_a_list_without_labels_has_none_where_nothing_is_cited_by_number() -> None:
    found = cited_works(
        "So Grazer (1999) says.\n\nReferences\n\nGrazer A (1999). On grass.\n\nRay C (2001). On rays.\n"
    )

    assert [(one.label, one.raw) for one in found] == [
        (None, "Grazer A (1999). On grass."),
        (None, "Ray C (2001). On rays."),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Function reference\nGlossary of terms\nIndex of all names",
        "A reference is made with & since 2011, and\nso it was in 2012, when nobody\nhad thought of it yet.",
        "Grazer A (1999). On grass, and what\nthe zebras make of it. Journal of\nGrass, 7, 1-20.\nRay C. On rays.",
        "A single paragraph that says what was there in 1999.",
        "",
    ],
    ids=["menu", "prose", "broken lines", "one", "none"],
)
def test_what_is_no_list_of_one_line_a_work_has_no_entries(text: str) -> None:
    assert entries(f"See [1].\n\nReferences\n\n{text}\n") == []


def test_a_footnote_of_markdown_is_an_entry() -> None:
    [one] = cited_works("Zebras graze.[^1]\n\nReferences\n\n[^1]: Grazer, A. On grass. 1999.\n")

    assert (one.label, one.raw, one.mentions) == ("^1", "Grazer, A. On grass. 1999.", 1)


pieces = st.sampled_from(
    [
        *("[", "]", "[1]", "10.", "10.1234/", "doi:", "http://", "https://a.bc/", "www.", "RFC ", "RFCs 1, ", "2119"),
        *(
            "arXiv:",
            "1406.5823",
            "ISBN ",
            "PMID ",
            "References\n",
            "\n",
            " ",
            "(",
            ")",
            "<",
            ">",
            "%",
            "[1-9]",
            "Appendix\n",
        ),
    ]
)
links = st.lists(
    st.builds(Link, href=st.text(max_size=30) | pieces, text=st.text(max_size=10), position=st.integers(0, 300)),
    max_size=5,
)


@given(st.text() | st.lists(pieces | st.text(max_size=5), max_size=40).map("".join), links)
def test_any_text_has_its_works_each_once_and_in_order(text: str, given_links: list[Link]) -> None:
    found = cited_works(text, given_links)

    assert len({one.work for one in found}) == len(found)
    assert [one.position for one in found] == sorted(one.position for one in found)
    assert all(one.mentions >= 1 and one.position >= 0 for one in found)
    assert cited_works(text, given_links) == found


MEGABYTE = 1_000_000
ADVERSE = {
    "brackets": "[",
    "labels": "[a] ",
    "prefixes": "10.",
    "dois": "10.1234/a ",
    "schemes": "http://",
    "broken addresses": "<http://a.bc\n",
    "digits": "1",
    "closing brackets": "http://a.b/(" + ")" * 100,
    "headings": "References\n",
    "entries": "References\n[1] a\n[2] b\n",
    "bare lists": "References\nGrazer, A. On grass. 1999\nRay, C. On rays. 2001\n\n",
    "bare lines": "Grazer, A. On grass. 1999.\n",
    "spaces": " ",
    "lists of RFCs": "RFCs 2818, 2819, ",
    "ISBNs": "ISBN 0",
    "line ends": "\n",
    "ranges": "[1-999] ",
    "foreign hosts": " ".join(f"http://{'é' * 60}{number}.jp" for number in range(2000)),
}


@pytest.mark.parametrize("name", ADVERSE)
def test_a_megabyte_made_to_be_slow_takes_less_than_a_second(name: str) -> None:
    piece = ADVERSE[name]
    text = f"References\n{piece * (MEGABYTE // len(piece) + 1)}"[:MEGABYTE]

    began = process_time()
    found = cited_works(text)

    assert process_time() - began < 1.0
    assert len(found) <= MAX_WORKS


def test_more_works_than_anyone_cites_are_cut() -> None:
    text = " ".join(f"https://example.org/{number}" for number in range(MAX_WORKS + 500))

    assert len(cited_works(text)) == MAX_WORKS
