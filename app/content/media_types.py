"""What a document claims to be, by its declared type and its file name, before anyone has read a byte of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from app.errors import UnsupportedType

HTML = "text/html"
XHTML = "application/xhtml+xml"
PDF = "application/pdf"
MARKDOWN = "text/markdown"
PLAIN_TEXT = "text/plain"

_BY_DECLARED_TYPE = {
    HTML: HTML,
    XHTML: XHTML,
    PDF: PDF,
    "application/x-pdf": PDF,
    MARKDOWN: MARKDOWN,
    "text/x-markdown": MARKDOWN,
    PLAIN_TEXT: PLAIN_TEXT,
}
_SAYS_NOTHING = {"", "application/octet-stream", "binary/octet-stream", "application/x-download", "*/*"}
_BY_EXTENSION = {
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": XHTML,
    ".xht": XHTML,
    ".pdf": PDF,
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".txt": PLAIN_TEXT,
    ".text": PLAIN_TEXT,
    ".rst": PLAIN_TEXT,
}
_UNSUPPORTED_EXTENSIONS_WORDS = (
    ".7z .avi .bmp .bz2 .csv .doc .docx .epub .exe .gif .gz .ico .jpeg .jpg .js .json .mkv .mobi .mov .mp3 .mp4 .odp "
    ".ods .odt .ogg .png .ppt .pptx .ps .rar .rtf .svg .tar .tgz .tif .tiff .wav .webm .webp .xls .xlsx .xml .xz "
    ".zip .zst"
)
_UNSUPPORTED_EXTENSIONS = frozenset(_UNSUPPORTED_EXTENSIONS_WORDS.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """The media types that the label and the file name stand for; `None` where one says nothing."""

    declared: str | None
    by_name: str | None

    @property
    def best(self) -> str | None:
        """The more telling one: servers and browsers call Markdown, and much else, plain text."""
        if self.declared in {None, PLAIN_TEXT} and self.by_name is not None:
            return self.by_name
        return self.declared


def claims_of(*, declared_type: str | None, file_name: str | None) -> Claims:
    """Read both labels, or raise `UnsupportedType` when one names a type that is not read here."""
    declared = (declared_type or "").split(";")[0].strip().lower()
    extension = PurePosixPath((file_name or "").replace("\\", "/")).suffix.lower()
    if declared not in _SAYS_NOTHING:
        if declared not in _BY_DECLARED_TYPE:
            raise UnsupportedType(f"{declared[:100]} is not supported: HTML, PDF, Markdown and plain text are")
        return Claims(declared=_BY_DECLARED_TYPE[declared], by_name=_BY_EXTENSION.get(extension))
    if extension in _UNSUPPORTED_EXTENSIONS:
        raise UnsupportedType(f"{extension} files are not supported: HTML, PDF, Markdown and plain text are")
    return Claims(declared=None, by_name=_BY_EXTENSION.get(extension))


def media_type_of(*, declared_type: str | None, file_name: str | None) -> str | None:
    """The supported media type that the labels promise; `None`: they say nothing, the bytes will tell.

    Raises `UnsupportedType` (415) when they promise something that is not read here.
    """
    return claims_of(declared_type=declared_type, file_name=file_name).best
