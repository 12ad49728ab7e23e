"""Snippets: the right place, marked, and safe to show."""

from __future__ import annotations

import html
import re

from hypothesis import given
from hypothesis import strategies as st

from app.knowledge.snippets import snippet_of
from app.knowledge.terms import terms_of

FILLER = "Plain words of no importance stand here in long rows. " * 200


def test_a_phrase_deep_in_a_text_is_shown_and_marked() -> None:
    text = f"{FILLER}The heap invariant is kept by sifting items down. {FILLER}"

    snippet = snippet_of(text, terms_of("heap invariants sifting"))

    assert "<mark>heap invariant</mark> is kept by <mark>sifting</mark> items" in snippet
    assert snippet.startswith("…")
    assert snippet.endswith("…")
    assert len(snippet) < 320


def test_common_words_do_not_draw_the_snippet_away_from_the_rare_one() -> None:
    text = f"{FILLER}here in long rows sits one quokka. {FILLER}"

    assert "<mark>quokka</mark>" in snippet_of(text, terms_of("words here quokka in rows"))


def test_inflected_accented_and_unspaced_words_are_marked() -> None:
    assert "<mark>libraries</mark>" in snippet_of("many libraries here", terms_of("library"))
    assert "<mark>Gödel</mark>" in snippet_of("the Gödel sentence", terms_of("godel"))
    assert "<mark>東京</mark>" in snippet_of("ここは東京です", terms_of("東京"))
    assert "<mark>eﬃcient</mark>" in snippet_of("an eﬃcient way", terms_of("efficient"))


def test_markup_in_the_text_is_escaped() -> None:
    snippet = snippet_of("<script>alert('x')</script> & needle <mark>", terms_of("needle script"))

    assert snippet == (
        "&lt;<mark>script</mark>&gt;alert(&#x27;x&#x27;)&lt;/<mark>script</mark>&gt;"
        " &amp; <mark>needle</mark> &lt;mark&gt;"
    )


def test_without_a_match_the_beginning_is_shown() -> None:
    assert snippet_of("Once  upon\na time", ["dragon"]) == "Once upon a time"
    assert snippet_of("", ["dragon"]) == ""


@given(st.text(), st.text(max_size=20))
def test_any_text_gives_safe_html(text: str, query: str) -> None:
    snippet = snippet_of(text, terms_of(query))

    bare = re.sub("</?mark>", "", snippet)
    assert "<" not in bare
    assert ">" not in bare
    assert html.escape(html.unescape(bare)) == bare
    assert snippet.count("<mark>") == snippet.count("</mark>")
