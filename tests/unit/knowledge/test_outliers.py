"""What stands out below its like: by robust statistics, in words, and on real pages."""

from __future__ import annotations

import math
import random
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.content.document import ExtractedDocument, ExtractionLimits
from app.content.extraction import extract
from app.knowledge.outliers import LEAST_DIFFERENCE, finding_of, likeness_of
from app.knowledge.quality import QualityInput, score_quality
from app.settings import Settings
from tests.semantic_questions import library_pages

BOUND = Settings.model_fields["quality_outlier_distance"].default
DIMENSIONS = ("accuracy", "completeness", "consistency", "timeliness", "relevance")
PAGES, DAMAGED = 100, 8
LIMITS = ExtractionLimits(max_bytes=10**7, max_pages=10, max_text_chars=10**6, timeout_seconds=60)
Scores = dict[str, float]


def test_a_score_far_below_the_others_is_named_with_its_distance() -> None:
    scores = [0.70, 0.71, 0.69, 0.72, 0.68, 0.70, 0.73, 0.67, 0.12]

    found = finding_of({"accuracy": 0.12}, {"accuracy": likeness_of(scores)}, like="documents in English", bound=5)

    assert found is not None
    assert found.reasons == ("accuracy 0.12 is 19.6 deviations below 0.70, the median of 9 documents in English",)
    assert math.isclose(found.severity, (0.70 - 0.12) / (1.4826 * 0.02), rel_tol=1e-6)


def test_the_farthest_dimension_comes_first() -> None:
    like = likeness_of([0.70, 0.75, 0.80, 0.85, 0.90])

    found = finding_of({"accuracy": 0.3, "relevance": 0.1}, {"accuracy": like, "relevance": like}, like="d", bound=3)

    assert found is not None
    assert [reason.split()[0] for reason in found.reasons] == ["relevance", "accuracy"]
    assert found.severity == like.distance(0.1)


@pytest.mark.parametrize("score", [0.7, 0.75, 1.0, 0.7 - LEAST_DIFFERENCE + 0.01])
def test_what_lies_above_or_nearly_equal_does_not_stand_out(score: float) -> None:
    like = likeness_of([0.699, 0.700, 0.701, 0.700, 0.702])

    assert finding_of({"accuracy": score}, {"accuracy": like}, like="d", bound=3.5) is None


def test_where_most_are_equal_the_mean_deviation_takes_the_place_of_the_median_one() -> None:
    like = likeness_of([0.8] * 20 + [0.1])

    assert like.deviation == pytest.approx(1.2533 * 0.7 / 21)
    assert like.distance(0.1) > BOUND


def test_where_all_are_equal_nothing_stands_out() -> None:
    like = likeness_of([0.8] * 20)

    assert (like.distance(0.8), like.distance(0.0)) == (0.0, 0.0)


@given(st.lists(st.floats(min_value=0, max_value=1), min_size=1, max_size=60))
def test_half_of_the_scores_never_stand_out(scores: list[float]) -> None:
    like = likeness_of(scores)
    far = [one for one in scores if finding_of({"x": one}, {"x": like}, like="d", bound=BOUND)]

    assert 2 * len(far) <= len(scores)
    assert all(one < like.centre for one in far)


def test_damaged_pages_stand_out_among_real_ones() -> None:
    chosen = random.Random(35)
    pages = [_read(path.read_bytes(), path.name) for path in library_pages(total=PAGES, seed=20261126)]
    places = chosen.sample(range(PAGES), DAMAGED)
    harms = [_garbled, _stub, _menus, _garbled, _stub, _menus, _stub, _menus]
    damaged = {place: harm(pages[place], chosen) for place, harm in zip(places, harms, strict=True)}
    scores = [damaged[place] if place in damaged else _scores(page) for place, page in enumerate(pages)]
    likenesses = {name: likeness_of([one[name] for one in scores]) for name in DIMENSIONS}

    found = {place for place, one in enumerate(scores) if finding_of(one, likenesses, like="documents", bound=BOUND)}

    assert set(damaged) <= found
    assert len(found - set(damaged)) <= 0.05 * PAGES, "so few of the others do"


def _read(data: bytes, name: str) -> ExtractedDocument:
    return extract(data, declared_type="text/html", file_name=name, limits=LIMITS)


def _scores(page: ExtractedDocument, *, text: str | None = None, title: str | None = None) -> Scores:
    document = QualityInput(
        text=page.text if text is None else text,
        title=(page.title or "") if title is None else title,
        description=page.description or "",
        language=page.language or "",
        creators=page.authors,
        source="https://example.org/page",
        format="text/html",
        date_created=page.date_created,
        today=date(2026, 11, 26),
    )
    report = score_quality(document)
    return {name: getattr(report, name) for name in DIMENSIONS}


def _garbled(page: ExtractedDocument, chosen: random.Random) -> Scores:
    letters = "".join(chosen.choice("bcdfghjklmn\ufffd") if chosen.random() < 0.4 else char for char in page.text)
    return _scores(page, text=letters)


def _stub(page: ExtractedDocument, _chosen: random.Random) -> Scores:
    return _scores(page, text=" ".join(page.text.split()[:12]), title="")


def _menus(page: ExtractedDocument, chosen: random.Random) -> Scores:
    entries = ["Home", "Sign in", "Accept all cookies", "Next", "Share this", "Privacy policy"]
    return _scores(page, text="\n".join(chosen.choice(entries) for _ in range(300)))
