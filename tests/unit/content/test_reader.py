"""Real documents that are slow, large or deadly to read, each read in the process that is there for it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from time import monotonic

import psutil
import pytest

from app.content.document import ExtractedDocument, ExtractionLimits
from app.content.reader import DocumentReader, read_document
from app.content.reader_process import Request
from app.errors import DocumentTooLarge, EmptyDocument
from chaos.polling import poll_until

MIB = 1024 * 1024
LIMITS = ExtractionLimits(max_bytes=50 * MIB, max_pages=20, max_text_chars=10_000_000, timeout_seconds=30)
PAGE = b"<html lang=en><body><main><p>An owl sees at night what others miss by day.</p></main></body></html>"
# libxml2 compares each attribute with all before it: minutes, in C, where no signal of Python's is heard.
SLOW_PAGE = b"<p " + b" ".join(b"a%d=1" % number for number in range(200_000)) + b">An owl</p>"
# An element takes about 400 bytes of memory and four of the file.
LARGE_PAGE = b"<body>" + b"<br>" * 900_000 + b"An owl"


@pytest.fixture
def reader() -> Iterator[DocumentReader]:
    reader = DocumentReader()
    yield reader
    reader.close()


def request(data: bytes, *, limits: ExtractionLimits = LIMITS) -> Request:
    return Request(data=data, declared_type="text/html", file_name=None, source_url=None, limits=limits)


def processes() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "app.content.reader_process" in " ".join(child.cmdline())]


def test_a_page_that_takes_longer_than_its_time_is_given_up_and_the_next_is_read(reader: DocumentReader) -> None:
    reader.read(request(PAGE))
    began = monotonic()

    with pytest.raises(DocumentTooLarge, match="took longer than 1 seconds"):
        reader.read(request(SLOW_PAGE, limits=replace(LIMITS, timeout_seconds=1)))

    assert monotonic() - began < 5
    assert "An owl sees" in reader.read(request(PAGE)).text


def test_a_page_that_takes_more_memory_than_it_may_is_given_up_and_the_next_is_read(reader: DocumentReader) -> None:
    with pytest.raises(DocumentTooLarge, match="more than 150 MiB of memory"):
        reader.read(request(LARGE_PAGE, limits=replace(LIMITS, max_memory_bytes=150 * MIB)))

    assert "An owl sees" in reader.read(request(PAGE)).text


def test_one_process_reads_many_documents_and_an_error_does_not_end_it(reader: DocumentReader) -> None:
    before = set(processes())
    reader.read(request(PAGE))
    [process] = set(processes()) - before

    with pytest.raises(EmptyDocument):
        reader.read(request(b"<html></html>"))
    reader.read(request(PAGE))

    assert process in processes()


def test_a_process_that_was_killed_is_replaced_unnoticed(reader: DocumentReader) -> None:
    before = set(processes())
    reader.read(request(PAGE))
    [process] = set(processes()) - before
    process.send_signal(signal.SIGKILL)

    assert "An owl sees" in reader.read(request(PAGE)).text


def test_a_process_that_has_grown_is_replaced() -> None:
    reader = DocumentReader(kept_bytes=MIB)
    before = set(processes())

    reader.read(request(PAGE))

    assert not set(processes()) - before


def test_the_process_ends_with_its_parent() -> None:
    program = (
        "from app.content.reader_process import Request\n"
        "from tests.unit.content.test_reader import PAGE, request\n"
        "from app.content.reader import DocumentReader\n"
        "import os, psutil, signal\n"
        "reader = DocumentReader(); reader.read(request(PAGE))\n"
        "print(psutil.Process().children()[0].pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    output = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=False).stdout

    poll_until(lambda: not psutil.pid_exists(int(output)), within_seconds=5, what="the reader is gone")


def test_the_language_is_told_from_the_text() -> None:
    document = read_document(PAGE.replace(b" lang=en", b""), declared_type=None, file_name="owl.html", limits=LIMITS)

    assert isinstance(document, ExtractedDocument)
    assert document.language == "en"
