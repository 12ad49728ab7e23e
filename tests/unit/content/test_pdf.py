from __future__ import annotations

import random
import re
from datetime import date
from time import monotonic

import pytest

from app.content.document import Deadline, ExtractedDocument, ExtractionLimits
from app.content.language import language_of
from app.content.pdf import extract_pdf, readable
from app.errors import BrokenDocument, DocumentTooLarge, EmptyDocument, EncryptedDocument
from tests.documents import r_vignettes
from tests.unit.content.pdf_files import encrypted, pdf_with_pages, text_page

LIMITS = ExtractionLimits(max_bytes=50_000_000, max_pages=200, max_text_chars=1_000_000, timeout_seconds=60)
PLAIN = pdf_with_pages(text_page("The Night of the Owls", "An owl sees at night what others miss by day."))


def read(data: bytes, *, limits: ExtractionLimits = LIMITS, seconds: float = 60) -> ExtractedDocument:
    return extract_pdf(data, limits=limits, deadline=Deadline(seconds))


def vignette(name: str) -> bytes:
    [path] = [path for path in r_vignettes() if path.name == name]
    return path.read_bytes()


def test_every_vignette_becomes_text() -> None:
    paths = random.Random(7).sample(r_vignettes(), 8)
    documents = [read(path.read_bytes()) for path in paths]

    assert all(len(document.text) > 100 and document.page_count for document in documents)
    assert all(document.title and document.date_created for document in documents)


def test_a_typeset_paper_gives_its_words_title_authors_and_dates() -> None:
    document = read(vignette("zoo.pdf"))

    assert document.title == "zoo: An S3 Class and Methods for Indexed Totally Ordered Observations"
    assert document.authors == ("Achim Zeileis", "Gabor Grothendieck")
    assert "irregular time series" in document.subjects
    assert (document.date_created, document.page_count) == (date(2022, 9, 15), 30)
    assert language_of(document.text, declared=document.declared_language) == "en"
    assert "totally ordered" in re.sub(r"\s+", " ", document.text)


def test_words_with_tex_ligatures_are_whole() -> None:
    text = re.sub(r"\s+", " ", read(vignette("timedep.pdf")).text)

    assert "Using Time Dependent Covariates and Time Dependent Coefficients in the Cox Model" in text
    assert "This vignette covers 3 different" in text


@pytest.mark.parametrize(
    ("raw", "whole"),
    [
        ("the esti-\nmation of it", "the estimation\n of it"),
        ("a well-\nknown fact, well-known", "a well-known\n fact, well-known"),
        ("e\ufb03cient di\x1berence e\x0ecient", "efficient difference efficient"),
        ("pages 3-\n4 stay", "pages 3-\n4 stay"),
    ],
)
def test_lines_and_ligatures_are_made_readable(raw: str, whole: str) -> None:
    assert readable(raw) == whole


def test_a_title_is_the_first_line_when_the_file_states_none() -> None:
    document = read(PLAIN)

    assert (document.title, document.authors, document.page_count) == ("The Night of the Owls", (), 1)


def test_a_password_is_needed_only_when_there_is_one() -> None:
    assert "An owl sees" in read(encrypted(PLAIN, user_password="")).text
    with pytest.raises(EncryptedDocument):
        read(encrypted(PLAIN, user_password="secret"))


@pytest.mark.parametrize("content", [b"", b"0 0 100 100 re f"])
def test_a_pdf_without_text_is_empty(content: bytes) -> None:
    with pytest.raises(EmptyDocument):
        read(pdf_with_pages(content))


@pytest.mark.parametrize("data", [b"%PDF-1.7\n", PLAIN[:150], b"%PDF-1.4\ntrailer<</Root 1 0 R>>\nstartxref\n9\n%%EOF"])
def test_a_damaged_pdf_is_broken(data: bytes) -> None:
    with pytest.raises(BrokenDocument):
        read(data)


def test_too_many_pages_are_refused_before_any_is_read() -> None:
    limits = ExtractionLimits(max_bytes=1, max_pages=2, max_text_chars=1000, timeout_seconds=1)

    with pytest.raises(DocumentTooLarge, match="3 pages"):
        read(pdf_with_pages(*[text_page("page")] * 3), limits=limits)


def test_too_much_text_is_refused_while_it_is_read() -> None:
    limits = ExtractionLimits(max_bytes=1, max_pages=9, max_text_chars=20, timeout_seconds=1)

    with pytest.raises(DocumentTooLarge, match="20 characters"):
        read(pdf_with_pages(text_page("a page of words"), text_page("another page of words")), limits=limits)


@pytest.mark.parametrize("content", [b" " * 100_000_000, b"q Q " * 300_000], ids=["bytes", "operators"])
def test_a_flate_bomb_is_refused(content: bytes) -> None:
    with pytest.raises(DocumentTooLarge):
        read(pdf_with_pages(content))


def test_a_page_that_takes_too_long_is_left_in_the_middle() -> None:
    endless = pdf_with_pages(b"BT /F1 12 Tf " + b"(owl) Tj 0 -12 Td " * 60_000 + b"ET")
    began = monotonic()

    with pytest.raises(DocumentTooLarge, match="longer than"):
        read(endless, seconds=0.5)
    assert monotonic() - began < 15


def test_one_very_long_word_costs_linear_time() -> None:
    word = "a" * 100_000
    began = monotonic()

    assert readable(word) == word

    assert monotonic() - began < 1


@pytest.mark.parametrize(
    ("lines", "own"),
    [
        (["Journal of Owls 7", "doi:10.1234/Owl.7"], ("10.1234/owl.7", None)),
        (["DOI 10.1234/owl.7", "As https://doi.org/10.1234/owl.7 has it."], ("10.1234/owl.7", None)),
        (["https://doi.org/10.1234/owl.7"], ("10.1234/owl.7", None)),
        (["arXiv:1406.5823v2 [stat.CO] 23 Jun 2014"], (None, "1406.5823")),
        (["doi: 10.1234/owl.7", "arXiv:1406.5823"], ("10.1234/owl.7", "1406.5823")),
        (["https://doi.org/10.48550/arXiv.1406.5823"], (None, "1406.5823")),
        (["doi:10.1234/owl.7", "References", "[1] Lee. Hawks.", "doi:10.1234/hawk.1"], ("10.1234/owl.7", None)),
        (["doi:10.1234/owl.7", "doi:10.1234/hawk.1"], (None, None)),
        (["doi:10.1234/owl.7", "1 Lee has shown this, doi:10.1234/hawk.1"], (None, None)),
        (["As Lee has shown (doi:10.1234/hawk.1), owls fly."], (None, None)),
        (["1 Lee, Hawks, Journal of Birds 7,", "doi:10.1234/hawk.1"], (None, None)),
        (["doi:10.1234/hawk.1 is by Lee."], (None, None)),
        (["References", "[1] Lee. Hawks.", "doi:10.1234/hawk.1"], (None, None)),
        (["hep-th/9901001", "10.1234/hawk.1"], (None, None)),
    ],
)
def test_a_paper_has_the_identifiers_that_its_first_page_states_as_its_own(
    lines: list[str], own: tuple[str | None, str | None]
) -> None:
    document = read(pdf_with_pages(text_page("The Night of the Owls", *lines), text_page("doi:10.1234/second.page")))

    assert (document.doi, document.arxiv_id) == own
