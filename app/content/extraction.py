"""Bytes to a document: what they are is read from the bytes, and a label that says otherwise is an error."""

from __future__ import annotations

import re
from dataclasses import replace
from email.message import Message

from app.content.document import Deadline, ExtractedDocument, ExtractionLimits
from app.content.html import extract_html
from app.content.markdown import extract_markdown
from app.content.media_types import HTML, MARKDOWN, PDF, PLAIN_TEXT, XHTML, Claims, claims_of, media_type_of
from app.content.pdf import extract_pdf
from app.content.plain_text import extract_plain_text, looks_binary
from app.errors import DocumentTooLarge, EmptyDocument, MislabelledDocument, UnsupportedType
from app.knowledge.by_lines import read_by_line

__all__ = ["extract", "media_type_of"]

_PDF_WITHIN_BYTES = 1024  # where readers accept the header (PDF 1.7, implementation note 13)
_HTML_START = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]{0,500}\?>\s*)?(?:<!--(?:(?!-->).){0,4000}-->\s*)*"
    rb"<(?:!doctype\s+html|html|head|body)[\s>/]",
    re.IGNORECASE | re.DOTALL,
)
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"PK\x03\x04", "a ZIP archive or office document"),
    (b"PK\x05\x06", "a ZIP archive"),
    (b"\x1f\x8b", "gzip data"),
    (b"BZh", "bzip2 data"),
    (b"\xfd7zXZ\x00", "xz data"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"\xd0\xcf\x11\xe0", "an old office document"),
    (b"{\\rtf1", "an RTF document"),
    (b"%!PS-Adobe", "a PostScript document"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"RIFF", "audio, video or an image"),
    (b"OggS", "audio or video"),
    (b"ID3", "audio"),
)
_NAMES = {HTML: "HTML", XHTML: "XHTML", PDF: "PDF", MARKDOWN: "Markdown", PLAIN_TEXT: "plain text"}


def extract(
    data: bytes,
    *,
    declared_type: str | None,
    file_name: str | None,
    source_url: str | None = None,
    limits: ExtractionLimits,
) -> ExtractedDocument:
    """The text and metadata of a document.

    `declared_type` is a Content-Type, with its charset if it has one. With a `source_url` it outweighs the file
    name: the end of a URL is no promise. Raises `EmptyDocument`, `EncryptedDocument`, `BrokenDocument`,
    `MislabelledDocument`, `DocumentTooLarge` or `UnsupportedType`, and nothing else; but `MemoryError`
    where the memory of the process is limited.
    """
    deadline = Deadline(limits.timeout_seconds)
    if len(data) > limits.max_bytes:
        raise DocumentTooLarge(f"the document has {len(data)} bytes, {limits.max_bytes} are allowed")
    if not data.strip(b" \t\r\n\f\v\x00\xef\xbb\xbf"):
        raise EmptyDocument("the file is empty")
    media_type = _media_type(data, declared_type=declared_type, file_name=file_name, from_web=source_url is not None)
    document = _read(
        data,
        media_type=media_type,
        charset=_charset(declared_type),
        source_url=source_url,
        limits=limits,
        deadline=deadline,
    )
    deadline.check()
    if not document.text.strip():
        raise EmptyDocument(f"the {_NAMES[media_type]} has no text")
    if len(document.text) > limits.max_text_chars:
        raise DocumentTooLarge(f"the text has {len(document.text)} characters, {limits.max_text_chars} are allowed")
    return _with_by_line(document)


def _with_by_line(document: ExtractedDocument) -> ExtractedDocument:
    """Title, authors and date that only the text names, where the document says nothing of them by itself."""
    if document.title and document.authors and document.date_created:
        return document
    said = read_by_line(document.text, is_paper=document.media_type == PDF)
    has_title = document.title is not None and document.media_type != PLAIN_TEXT  # there it is but the first line
    return replace(
        document,
        title=document.title if has_title else said.memo_title or document.title,
        authors=document.authors or said.authors,
        date_created=document.date_created or said.date_created,
    )


def _read(
    data: bytes,
    *,
    media_type: str,
    charset: str | None,
    source_url: str | None,
    limits: ExtractionLimits,
    deadline: Deadline,
) -> ExtractedDocument:
    if media_type == PDF:
        return extract_pdf(data, limits=limits, deadline=deadline)
    if media_type in {HTML, XHTML}:
        return extract_html(data, charset=charset, media_type=media_type, source_url=source_url, deadline=deadline)
    if media_type == MARKDOWN:
        return extract_markdown(data, charset=charset, source_url=source_url, deadline=deadline)
    return extract_plain_text(data, charset=charset)


def _media_type(data: bytes, *, declared_type: str | None, file_name: str | None, from_web: bool) -> str:
    claims = claims_of(declared_type=declared_type, file_name=file_name)
    if from_web and claims.declared is not None:
        claims = Claims(declared=claims.declared, by_name=claims.by_name if claims.best == MARKDOWN else None)
    promised = {claim for claim in (claims.declared, claims.by_name) if claim is not None}
    binary = _binary_kind(data)
    if binary is not None:
        if promised:
            raise MislabelledDocument(f"it is called {_said(promised)} but is {binary}")
        raise UnsupportedType(f"{binary} is not supported: HTML, PDF, Markdown and plain text are")
    if b"%PDF-" in data[:_PDF_WITHIN_BYTES]:
        return _the_pdf(data, promised=promised)
    if PDF in promised:
        raise MislabelledDocument("it is called PDF but has no PDF header")
    return claims.best or (HTML if _HTML_START.match(data) else PLAIN_TEXT)


def _the_pdf(data: bytes, *, promised: set[str]) -> str:
    """PDF, unless text that is called text only mentions the PDF header."""
    if promised <= {PDF}:
        return PDF
    if data.lstrip().startswith(b"%PDF-"):
        raise MislabelledDocument(f"it is called {_said(promised - {PDF})} but is a PDF")
    if PDF in promised:
        raise MislabelledDocument(f"it is called {_said(promised)} at once")
    return next(iter(promised)) if len(promised) == 1 else PLAIN_TEXT


def _binary_kind(data: bytes) -> str | None:
    """What the bytes are when they are neither text nor PDF, in words; `None` otherwise."""
    if b"%PDF-" in data[:_PDF_WITHIN_BYTES]:
        return None
    binary = looks_binary(data)
    for signature, kind in _SIGNATURES:
        # a text may begin with `ID3`; with `{\rtf1` it may not
        if data.startswith(signature) and (binary or not signature.isascii() or len(signature) > 5):
            return kind
    return "binary data" if binary else None


def _said(promised: set[str]) -> str:
    return " and ".join(sorted(_NAMES[media_type] for media_type in promised))


def _charset(declared_type: str | None) -> str | None:
    message = Message()
    message["Content-Type"] = declared_type or "application/octet-stream"
    charset = message.get_param("charset")
    return charset if isinstance(charset, str) else None
