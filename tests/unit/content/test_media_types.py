from __future__ import annotations

import pytest

from app.content.extraction import media_type_of
from app.errors import UnsupportedType


@pytest.mark.parametrize(
    ("declared", "name", "media_type"),
    [
        ("text/html; charset=utf-8", None, "text/html"),
        ("APPLICATION/PDF", "x.bin", "application/pdf"),
        ("application/xhtml+xml", None, "application/xhtml+xml"),
        ("text/markdown", None, "text/markdown"),
        ("text/plain", "README.md", "text/markdown"),
        ("text/plain", "notes", "text/plain"),
        (None, "a/b/PAGE.HTM", "text/html"),
        ("application/octet-stream", "C:\\papers\\paper.pdf", "application/pdf"),
        ("", "notes.txt", "text/plain"),
    ],
)
def test_a_supported_label_is_known_at_the_door(declared: str | None, name: str | None, media_type: str) -> None:
    assert media_type_of(declared_type=declared, file_name=name) == media_type


@pytest.mark.parametrize(
    ("declared", "name"),
    [(None, None), ("application/octet-stream", "data"), (None, ".hidden"), (None, "x.unheard-of")],
)
def test_labels_that_say_nothing_leave_it_to_the_bytes(declared: str | None, name: str | None) -> None:
    assert media_type_of(declared_type=declared, file_name=name) is None


@pytest.mark.parametrize(
    ("declared", "name"),
    [("image/png", None), ("application/zip", "x.pdf"), (None, "x.docx"), ("application/octet-stream", "photo.JPG")],
)
def test_a_type_that_is_not_read_is_refused_at_the_door(declared: str | None, name: str | None) -> None:
    with pytest.raises(UnsupportedType):
        media_type_of(declared_type=declared, file_name=name)
