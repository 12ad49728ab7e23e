from __future__ import annotations

import gzip
from dataclasses import replace
from time import monotonic

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.content.document import ExtractedDocument, ExtractionLimits
from app.content.extraction import extract
from app.errors import (
    AlexandriaError,
    BrokenDocument,
    DocumentTooLarge,
    EmptyDocument,
    EncryptedDocument,
    MislabelledDocument,
    PermanentError,
    UnsupportedType,
)
from tests.unit.content.pdf_files import encrypted, pdf_with_pages, text_page

LIMITS = ExtractionLimits(max_bytes=1_000_000, max_pages=20, max_text_chars=100_000, timeout_seconds=30)
PDF = pdf_with_pages(text_page("An owl sees at night what others miss by day."))
HTML = b"<!DOCTYPE html><html><body><main><p>An owl sees at night.</p></main></body></html>"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00"
BINARY = bytes(range(256)) * 4


def read(
    data: bytes,
    *,
    declared: str | None = None,
    name: str | None = None,
    url: str | None = None,
    limits: ExtractionLimits = LIMITS,
) -> ExtractedDocument:
    return extract(data, declared_type=declared, file_name=name, source_url=url, limits=limits)


@pytest.mark.parametrize(
    ("data", "declared", "name", "media_type"),
    [
        (PDF, None, None, "application/pdf"),
        (PDF, "application/octet-stream", "x.pdf", "application/pdf"),
        (b"junk before\n" + PDF, "application/pdf", None, "application/pdf"),
        (HTML, None, None, "text/html"),
        (b"\xef\xbb\xbf \n<!-- note -->" + HTML, None, "page", "text/html"),
        (HTML, "application/xhtml+xml", None, "application/xhtml+xml"),
        (HTML, "text/plain", "page.html", "text/html"),
        (HTML, "text/plain", "source.txt", "text/plain"),
        (b"<p>An owl</p>", "text/html", None, "text/html"),
        (b"# An owl", None, "owl.md", "text/markdown"),
        (b"An owl", None, None, "text/plain"),
        ("Eine Eule".encode("utf-16"), "text/plain", None, "text/plain"),
        (b"A PDF begins with\n%PDF- and so on", "text/plain", "about.txt", "text/plain"),
        (b"ID3 tags are described here", "text/plain", None, "text/plain"),
    ],
)
def test_the_type_is_told_by_bytes_and_labels_that_agree(
    data: bytes, declared: str | None, name: str | None, media_type: str
) -> None:
    assert read(data, declared=declared, name=name).media_type == media_type


@pytest.mark.parametrize(
    ("data", "declared", "name"),
    [
        (HTML, "application/pdf", None),
        (HTML, None, "paper.pdf"),
        (HTML, "text/html", "paper.pdf"),
        (b"just words", "application/pdf", "paper.pdf"),
        (PDF, "text/html", None),
        (PDF, "text/plain", "x.txt"),
        (PDF, None, "x.md"),
        (PNG, "text/html", None),
        (PNG, "application/pdf", "x.pdf"),
        (BINARY, "text/plain", None),
        (BINARY, None, "notes.md"),
        (gzip.compress(HTML, mtime=0), "text/html", None),
    ],
)
def test_a_label_that_the_bytes_contradict_is_an_error(data: bytes, declared: str | None, name: str | None) -> None:
    with pytest.raises(MislabelledDocument):
        read(data, declared=declared, name=name)


def test_the_end_of_a_url_promises_nothing() -> None:
    document = read(HTML, declared="text/html", name="paper.pdf", url="https://example.com/paper.pdf")

    assert document.media_type == "text/html"


@pytest.mark.parametrize(("data", "declared"), [(PNG, None), (BINARY, None), (PNG, "image/png"), (HTML, "text/csv")])
def test_what_is_not_read_here_is_unsupported(data: bytes, declared: str | None) -> None:
    with pytest.raises(UnsupportedType):
        read(data, declared=declared)


@pytest.mark.parametrize("data", [b"", b" \n\t", b"\xef\xbb\xbf\n", b"\x00\x00", b"<html><body><p> </p></body></html>"])
def test_a_file_without_text_is_empty(data: bytes) -> None:
    with pytest.raises(EmptyDocument):
        read(data)


@pytest.mark.parametrize(
    ("data", "declared", "error"),
    [
        (encrypted(PDF, user_password="secret"), "application/pdf", EncryptedDocument),
        (PDF[:200], "application/pdf", BrokenDocument),
        (b"x" * 1_000_001, "text/plain", DocumentTooLarge),
        (b"x" * 100_001, "text/plain", DocumentTooLarge),
    ],
)
def test_each_kind_of_trouble_has_its_own_error(data: bytes, declared: str, error: type[AlexandriaError]) -> None:
    with pytest.raises(error):
        read(data, declared=declared)


def test_time_is_limited_for_every_format() -> None:
    hurried = ExtractionLimits(max_bytes=1_000_000, max_pages=20, max_text_chars=100_000, timeout_seconds=0)

    for data in (PDF, HTML, b"# An owl", b"An owl"):
        with pytest.raises(DocumentTooLarge, match="longer than"):
            read(data, limits=hurried)


def attempt(data: bytes, *, declared: str | None) -> ExtractedDocument | PermanentError:
    try:
        return read(data, declared=declared)
    except PermanentError as error:
        return error


def assert_valid(document: ExtractedDocument) -> None:
    assert document.text.strip()
    assert "\x00" not in document.text
    assert document.text.encode("utf-8").decode("utf-8") == document.text
    assert document.title is None or "\n" not in document.title


labels = st.sampled_from(
    [None, "text/html", "text/plain; charset=utf-16", "text/markdown", "application/pdf", "image/png"]
)
beginnings = st.sampled_from([b"", b"%PDF-1.4\n", b"<html>", b"\xff\xfe", b"\xef\xbb\xbf", b"---\n", PDF[:300], PNG])


@settings(max_examples=150)
@given(beginnings, st.binary(max_size=300), labels)
@example(b"", b"<", "text/html")
@example(b"<html>", b"", "text/markdown")
@example(b"", b"<!-- a comment -->", "text/markdown")
@example(b"", b"\x1b(B", "text/plain; charset=iso-2022-jp")
def test_any_bytes_under_any_label_give_valid_text_or_a_permanent_error(
    beginning: bytes, rest: bytes, declared: str | None
) -> None:
    outcome = attempt(beginning + rest, declared=declared)

    if isinstance(outcome, PermanentError):
        assert outcome.detail
    else:
        assert_valid(outcome)


@settings(max_examples=80)
@given(st.data())
def test_a_pdf_with_changed_bytes_gives_text_or_a_permanent_error(data: st.DataObject) -> None:
    damaged = bytearray(PDF)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(9, len(PDF) - 1))] = data.draw(st.integers(0, 255))
    outcome = attempt(bytes(damaged), declared="application/pdf")

    if isinstance(outcome, PermanentError):
        assert outcome.detail
    else:
        assert_valid(outcome)


def test_many_comments_at_the_start_are_looked_over_in_linear_time() -> None:
    began = monotonic()

    document = read(b"<!---->" * 100_000 + b"An owl sees at night.", limits=replace(LIMITS, max_text_chars=1_000_000))

    assert monotonic() - began < 1
    assert document.media_type == "text/plain"


def test_comments_before_the_page_do_not_hide_that_it_is_html() -> None:
    assert read(b"<!-- one -->\n<!-- two > -- -->" + HTML).media_type == "text/html"
