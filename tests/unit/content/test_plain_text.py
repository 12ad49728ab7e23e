from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.content.plain_text import decode_text, extract_plain_text, looks_binary
from app.errors import BrokenDocument

WORDS = "Grüße aus Köln, naïve façade"


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
        (b"", "utf-16-le"),
        (b"", "utf-16-be"),
        (b"", "cp1252"),
    ],
)
def test_text_is_read_without_being_told_its_encoding(mark: bytes, encoding: str) -> None:
    assert decode_text(mark + WORDS.encode(encoding)) == WORDS


@pytest.mark.parametrize(
    ("text", "encoding", "label"),
    [
        ("Привет, мир", "cp1251", "Windows-1251"),
        ("Привет, мир", "koi8-r", "koi8-r"),
        ("日本語のテキスト", "shift_jis", "Shift_JIS"),
        ("日本語のテキスト", "iso2022_jp", "ISO-2022-JP"),
        ("中文文本", "gb18030", "gb2312"),
        ("“quoted” dash", "cp1252", "iso-8859-1"),
    ],
)
def test_a_declared_charset_reads_what_utf8_cannot(text: str, encoding: str, label: str) -> None:
    assert decode_text(text.encode(encoding), charset=label) == text


@pytest.mark.parametrize("label", ["koi8-r", "us-ascii", "zip", "idna", "rot13", "no-such-charset", "utf-16", "\x00"])
def test_a_wrong_label_does_not_spoil_utf8(label: str) -> None:
    assert decode_text(WORDS.encode(), charset=label) == WORDS


def test_one_wrong_byte_costs_one_character() -> None:
    assert decode_text(
        "Grüße \xff aus Köln".encode("latin-1").replace(b"\xfc\xdf", "üß".encode()) + "öäü".encode()
    ) == ("Grüße \ufffd aus K\ufffdlnöäü")


def test_a_stray_nul_is_never_stored() -> None:
    document = extract_plain_text(b"before\x00after the nul byte of this line", charset=None)

    assert document.text == "before after the nul byte of this line"


def test_binary_data_is_not_text() -> None:
    data = bytes(range(256)) * 10

    assert looks_binary(data)
    with pytest.raises(BrokenDocument):
        decode_text(data)


@given(st.binary(max_size=400), st.sampled_from([None, "utf-8", "utf-16", "latin-1", "shift_jis", "iso2022_jp"]))
def test_any_bytes_become_text_or_one_clear_error(data: bytes, charset: str | None) -> None:
    try:
        document = extract_plain_text(data, charset=charset)
    except BrokenDocument:
        assert looks_binary(data)
        return
    assert "\x00" not in document.text
    assert document.text.encode("utf-8").decode("utf-8") == document.text


def test_the_title_is_a_short_first_line() -> None:
    assert extract_plain_text(b"\n== The Raven ==\n\nOnce upon", charset=None).title == "The Raven"
    assert extract_plain_text(b"word " * 60, charset=None).title is None
