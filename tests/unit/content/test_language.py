from __future__ import annotations

import pytest

from app.content.language import language_of

GERMAN = (
    "Der Mensch ist frei geboren, und überall liegt er in Ketten. Einer hält sich für den Herrn der anderen und bleibt"
    " doch mehr Sklave als sie. Wie ist dieser Wandel zustande gekommen? Ich weiß es nicht. Was kann ihm Rechtmäßigkeit"
    " verleihen? Diese Frage glaube ich beantworten zu können. Solange ein Volk gezwungen ist zu gehorchen und"
    " gehorcht, tut es wohl; sobald es das Joch abschütteln kann und es abschüttelt, tut es noch besser."
)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("The quick brown fox jumps over the lazy dog near the river bank.", "en"),
        ("Le renard brun saute par-dessus le chien paresseux près de la rivière.", "fr"),
        (GERMAN, "de"),
        ("Быстрая коричневая лиса перепрыгивает через ленивую собаку.", "ru"),
    ],
)
def test_a_sentence_tells_its_language(text: str, code: str) -> None:
    assert language_of(text) == code


@pytest.mark.parametrize("text", ["", "ok", "Bonjour", "1234 5678 9012 3456 7890 !!"])
def test_too_little_text_is_of_no_known_language(text: str) -> None:
    assert language_of(text) is None


def test_a_declared_language_settles_what_is_unsure() -> None:
    assert language_of("Bonjour", declared="FR-ca") == "fr"
    assert language_of("Bonjour", declared="nonsense") is None


def test_a_text_that_clearly_speaks_another_language_overrules_its_label() -> None:
    assert language_of(GERMAN, declared="en") == "de"
