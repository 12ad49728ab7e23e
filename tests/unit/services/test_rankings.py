"""A ranking with a few documents changed is the ranking of all as they are now, or it says that it cannot tell."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from app.services.rankings import Place, Ranking, with_spare

DEPTH = 5
Scores = dict[UUID, float]
IDS = [UUID(int=number) for number in range(16)]
SCORES = st.dictionaries(st.sampled_from(IDS), st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5]))


def place(one: UUID, score: float) -> Place:
    return score, one.int


def ranked(scores: Scores) -> Ranking:
    """As an engine ranks what it finds, cut at its reach."""
    reach = with_spare(DEPTH)
    best = sorted(scores, key=lambda one: (-scores[one], one.int))[:reach]
    return Ranking(places={one: place(one, scores[one]) for one in best}, is_complete=len(scores) < reach)


@given(SCORES, st.lists(SCORES, max_size=4))
def test_it_is_the_ranking_of_now_however_often_documents_change(before: Scores, steps: list[Scores]) -> None:
    scores, ranking = before, ranked(before)
    for found in steps:
        changed = set(found) | set(IDS[:2])  # those of no score are found no longer
        scores = {one: score for one, score in scores.items() if one not in changed} | found
        places = {one: place(one, score) for one, score in found.items()}
        after = ranking.with_changed(changed, places, wanted=DEPTH)
        if after is not None:
            assert after.first(DEPTH) == ranked(scores).first(DEPTH)
            assert Ranking.of_plain(after.plain()) == after
        ranking = ranked(scores) if after is None else after


@given(SCORES, st.sampled_from(IDS))
def test_one_document_that_leaves_a_full_ranking_is_replaced_by_a_spare_one(scores: Scores, gone: UUID) -> None:
    after = ranked(scores).with_changed({gone}, {}, wanted=DEPTH)

    assert after is not None
    assert after.first(DEPTH) == ranked({one: score for one, score in scores.items() if one != gone}).first(DEPTH)


def test_what_is_as_near_as_another_is_in_doubt() -> None:
    one, other, far = IDS[:3]
    ranking = Ranking(places={one: place(one, 0.5), other: place(other, 0.2)}, is_complete=True, error=1e-5)

    assert ranking.with_changed({far}, {far: place(far, 0.2 + 1e-7)}, wanted=DEPTH) is None
    assert ranking.with_changed({far}, {far: place(far, 0.3)}, wanted=DEPTH) is not None


def test_what_comes_behind_the_last_of_a_cut_ranking_is_not_known_to_be_the_next() -> None:
    ranking = ranked(dict.fromkeys(IDS, 0.5))
    behind = IDS[-1]

    after = ranking.with_changed({behind}, {behind: place(behind, 0.1)}, wanted=DEPTH)

    assert after is not None
    assert behind not in after.places
    first, second = list(ranking.places)[:2]
    assert ranking.with_changed({first, second}, {}, wanted=DEPTH) is None
