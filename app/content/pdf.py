"""PDF to text with pypdf, page by page, under limits that hold inside a page too."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from io import BytesIO

from pypdf import Configuration, DocumentInformation, PageObject, PdfReader, apply_configuration
from pypdf.errors import DependencyError, FileNotDecryptedError, LimitReachedError

from app.content.document import Deadline, ExtractedDocument, ExtractionLimits, normalise_text, one_line, split_subjects
from app.content.media_types import PDF
from app.content.plain_text import first_line_title
from app.errors import AlexandriaError, BrokenDocument, DocumentTooLarge, EmptyDocument, EncryptedDocument
from app.knowledge.author_lists import split_names
from app.knowledge.citations.identity import printed_identifiers

logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # hundreds of lines about the fonts of one healthy file

# What one stream may unpack to, and how many operands and operators one page may hold. The fullest page of 21 real
# papers holds 72 000; parsing 500 000 takes about 4 s and 60 MB, and only there the deadline cannot look in.
_MAX_STREAM_BYTES = 30_000_000
_MAX_PARSING_STEPS = 500_000
_LIMITS = Configuration(
    zlib_maximum_output_length=_MAX_STREAM_BYTES,
    lzw_maximum_output_length=_MAX_STREAM_BYTES,
    run_length_maximum_output_length=_MAX_STREAM_BYTES,
    brotli_maximum_output_length=_MAX_STREAM_BYTES,
    array_based_stream_maximum_output_length=_MAX_STREAM_BYTES,
    stream_decoding_work_maximum_length=2 * _MAX_STREAM_BYTES,
    stream_parsing_work_maximum_count=_MAX_PARSING_STEPS,
    jbig2dec_binary=None,  # images are not read, and no other program is started for them
    disable_legacy_handling=True,
)

# The ligatures of TeX's font encodings T1 (Cork) and OT1, in files that do not map them to Unicode.
_T1_LIGATURES = {"\x1b": "ff", "\x1c": "fi", "\x1d": "fl", "\x1e": "ffi", "\x1f": "ffl"}
_OT1_LIGATURES = {"\x0b": "ff", "\x0c": "fi", "\x0d": "fl", "\x0e": "ffi", "\x0f": "ffl"}
_UNICODE_LIGATURES = {"\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl", "\ufb05": "st"}
_LIGATURES = str.maketrans(_T1_LIGATURES | _UNICODE_LIGATURES)
_OT1_LIGATURE = re.compile("(?<=[A-Za-z])[\x0b-\x0f]|[\x0b-\x0f](?=[a-z])")
_BROKEN_WORD = re.compile(r"\b(\w+)[-\u2010]\n([a-z]\w*)")
_USELESS_TITLE = re.compile(r"untitled.*|.*\.(docx?|dvi|tex|indd|pptx?|rtf|pdf|ps|qxd|xlsx?)|\W*|\d+", re.IGNORECASE)


def extract_pdf(data: bytes, *, limits: ExtractionLimits, deadline: Deadline) -> ExtractedDocument:
    """The text of all pages, blank lines between them. A file with an empty user password is opened.

    Raises `EncryptedDocument`, `BrokenDocument`, `DocumentTooLarge` (pages, an unpacked stream, time) and
    `EmptyDocument` (scanned pages hold no text).
    """
    with _errors_translated(), apply_configuration(_LIMITS):
        reader = PdfReader(BytesIO(data), root_object_recovery_limit=1000)
        if len(reader.pages) > limits.max_pages:
            raise DocumentTooLarge(f"the PDF has {len(reader.pages)} pages, {limits.max_pages} are allowed")
        pages = _pages_of(reader, limits=limits, deadline=deadline)
        text = normalise_text("\n\n".join(pages))
        if not text.strip():
            raise EmptyDocument("the PDF has no text, only images or blank pages")
        doi, arxiv_id = printed_identifiers(normalise_text(pages[0]))
        information = reader.metadata
        return ExtractedDocument(
            text=text,
            title=_title(information) or first_line_title(text),
            authors=_split(information.author if information else None),
            description=one_line(information.subject if information else None),
            subjects=split_subjects([information.keywords or ""] if information else []),
            date_created=_day(information.creation_date if information else None),
            date_modified=_day(information.modification_date if information else None),
            declared_language=_declared_language(reader),
            media_type=PDF,
            page_count=len(reader.pages),
            doi=doi,
            arxiv_id=arxiv_id,
        )


def readable(page_text: str) -> str:
    """Ligatures as letters, and words that a line end broke made whole.

    A hyphen stays when the same page writes the word with it elsewhere.
    """
    page_text = _OT1_LIGATURE.sub(lambda match: _OT1_LIGATURES[match[0]], page_text).translate(_LIGATURES)

    def whole(match: re.Match[str]) -> str:
        hyphenated = f"{match[1]}-{match[2]}"
        return f"{hyphenated if hyphenated in page_text else match[1] + match[2]}\n"

    return _BROKEN_WORD.sub(whole, page_text)


def _pages_of(reader: PdfReader, *, limits: ExtractionLimits, deadline: Deadline) -> list[str]:
    pages: list[str] = []
    size = 0
    for page in reader.pages:
        deadline.check()
        pages.append(readable(_page_text(page, deadline=deadline)))
        size += len(pages[-1])
        if size > limits.max_text_chars:
            raise DocumentTooLarge(f"the PDF holds more than {limits.max_text_chars} characters")
    return pages


def _page_text(page: PageObject, *, deadline: Deadline) -> str:
    def look_at_the_clock(*_: object) -> None:
        deadline.check()

    return page.extract_text(visitor_operand_before=look_at_the_clock)


@contextmanager
def _errors_translated() -> Iterator[None]:
    try:
        yield
    except AlexandriaError:
        raise
    except FileNotDecryptedError as error:
        raise EncryptedDocument("the PDF opens with a password only") from error
    except (DependencyError, NotImplementedError) as error:
        raise BrokenDocument(f"the PDF uses a feature that cannot be read: {str(error)[:200]}") from error
    except (LimitReachedError, MemoryError) as error:
        raise DocumentTooLarge(f"the PDF unpacks to more than is allowed: {str(error)[:200]}") from error
    except Exception as error:  # pypdf.errors: "broken PDF files might cause other Exceptions"
        raise BrokenDocument(f"the PDF is damaged: {type(error).__name__}: {str(error)[:200]}") from error


def _title(information: DocumentInformation | None) -> str | None:
    title = one_line(information.title if information else None)
    return title if title and not _USELESS_TITLE.fullmatch(title) else None


def _split(value: object) -> tuple[str, ...]:
    line = one_line(value) if isinstance(value, str) else None
    return tuple(dict.fromkeys(split_names(line or "")))


def _day(moment: datetime | None) -> date | None:
    return moment.date() if moment else None


def _declared_language(reader: PdfReader) -> str | None:
    tag = reader.root_object.get("/Lang")
    return str(tag) if tag is not None else None
