"""Search cursors: opaque, and refused when they are not ours."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidInput
from app.services.search_cursor import OFFSET_MAX, decode_cursor, encode_cursor, question_digest

QUESTION = question_digest("text", "keyword")


@given(st.integers(0, OFFSET_MAX))
def test_a_cursor_comes_back_as_its_offset(offset: int) -> None:
    assert decode_cursor(encode_cursor(offset, question=QUESTION), question=QUESTION) == offset


def test_no_cursor_is_the_beginning() -> None:
    assert decode_cursor(None, question=QUESTION) == 0


def test_a_cursor_of_another_search_is_refused() -> None:
    cursor = encode_cursor(20, question=question_digest("other", "keyword"))

    with pytest.raises(InvalidInput, match="another search"):
        decode_cursor(cursor, question=QUESTION)


@pytest.mark.parametrize(
    "content", [[-1, QUESTION], [True, QUESTION], [1.5, QUESTION], [OFFSET_MAX + 1, QUESTION], [1], {}, None, "x", 7]
)
def test_a_made_up_cursor_is_refused(content: object) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(content).encode()).decode()

    with pytest.raises(InvalidInput):
        decode_cursor(cursor, question=QUESTION)


@given(st.text())
def test_any_text_as_a_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        decode_cursor(text, question=QUESTION)
