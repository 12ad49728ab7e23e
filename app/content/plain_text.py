"""Bytes to text: byte-order mark, then UTF-8, then the declared charset, then Windows-1252."""

from __future__ import annotations

import codecs
import re

from app.content.document import ExtractedDocument, normalise_text, one_line
from app.content.media_types import PLAIN_TEXT
from app.errors import BrokenDocument

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark begins with the same two bytes
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# The encodings of the WHATWG Encoding standard, under Python's names: a label can never reach a codec such as
# `zip` or `idna`, and UTF-7 is not on the web.
_TEXT_CODEC = re.compile(
    r"(utf-8|utf-16(-[lb]e)?|utf-32(-[lb]e)?|ascii|iso8859-\d+|cp125\d|cp866|cp874|cp932|cp949|koi8-[ru]|gbk|gb2312|gb18030|"
    r"big5(hkscs)?|euc[_-](jp|kr)|shift_jis|iso2022_jp|mac-(roman|cyrillic)|tis-620)"
)
_WEB_NAMES = {"ascii": "cp1252", "iso8859-1": "cp1252", "gb2312": "gb18030", "gbk": "gb18030"}
_CONTROL_BYTES = bytes(set(range(32)) - {0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x1B})
# Share of control bytes: text has none or a stray one, compressed and compiled files have more than a tenth.
_MAX_CONTROL_SHARE = 0.02
_SAMPLE_BYTES = 64 * 1024


def looks_binary(data: bytes) -> bool:
    """Whether the first 64 KiB hold too many control bytes to be text in any encoding but UTF-16 or UTF-32."""
    if _utf16_or_32(data) is not None:
        return False
    sample = data[:_SAMPLE_BYTES]
    controls = len(sample) - len(sample.translate(None, _CONTROL_BYTES))
    return controls > max(2, _MAX_CONTROL_SHARE * len(sample))


def decode_text(data: bytes, *, charset: str | None = None) -> str:
    """The text of the bytes. Never fails on a wrong or unknown `charset`; what no encoding explains is U+FFFD.

    Raises `BrokenDocument` when the bytes are not text at all.
    """
    if looks_binary(data):
        raise BrokenDocument("the bytes are not text in any known encoding")
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    declared = _codec_named(charset)
    for encoding in _in_order_of_trust(data, declared):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return _decode_damaged(data)


def extract_plain_text(data: bytes, *, charset: str | None) -> ExtractedDocument:
    """The whole text; its title is its first line when that is short enough to be one."""
    text = normalise_text(decode_text(data, charset=charset))
    return ExtractedDocument(text=text, title=first_line_title(text), media_type=PLAIN_TEXT)


def first_line_title(text: str) -> str | None:
    """The first line that holds a word, when it is at most 150 characters long."""
    for line in text[:2000].split("\n"):
        if any(character.isalpha() for character in line):
            title = one_line(line.strip(" #=*-_\t"))
            return title if title and len(title) <= 150 else None
    return None


def _in_order_of_trust(data: bytes, declared: str | None) -> list[str]:
    if guessed := _utf16_or_32(data):
        return [guessed]
    if declared == "iso2022_jp":  # its bytes are valid UTF-8 too
        return [declared, "utf-8"]
    return ["utf-8", declared] if declared and not declared.startswith("utf-") else ["utf-8"]


def _codec_named(charset: str | None) -> str | None:
    if not charset:
        return None
    try:
        name = codecs.lookup(charset.strip(" \t\"'")).name
    except (LookupError, ValueError, UnicodeError):
        return None
    return _WEB_NAMES.get(name, name) if _TEXT_CODEC.fullmatch(name) else None


def _utf16_or_32(data: bytes) -> str | None:
    """UTF-16 and UTF-32 by their mark, or UTF-16 without one by its zero bytes: nearly all on the same side."""
    for mark, encoding in _BYTE_ORDER_MARKS[1:]:
        if data.startswith(mark):
            return encoding
    sample = data[:4096]
    half = len(sample) // 2
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if half >= 4 and even <= half // 20 and odd >= half * 0.7:
        return "utf-16-le"
    if half >= 4 and odd <= half // 20 and even >= half * 0.7:
        return "utf-16-be"
    return None


def _decode_damaged(data: bytes) -> str:
    """UTF-8 with a few wrong bytes stays UTF-8; otherwise Windows-1252, the web's fallback (WHATWG)."""
    text = data.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    right = sum(character > "\x7f" for character in text) - wrong
    return text if right > wrong else data.decode("cp1252", "replace")
