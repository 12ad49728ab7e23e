"""Which resource scenario 29 edits next: half of them are left alone for a while, and then edited on."""

from __future__ import annotations

from chaos.scenarios.work import EDITED, TOGETHER, Edits

RESOURCES = [f"resource {number}" for number in range(EDITED)]
LEAST = 10 * EDITED


def test_all_are_edited_in_turn_and_then_only_the_first_half() -> None:
    edits = Edits(RESOURCES, least=LEAST)
    together = [edits.next() for _ in range(int(LEAST * TOGETHER))]
    assert together == RESOURCES * int(LEAST * TOGETHER / EDITED)
    assert {edits.next() for _ in range(LEAST)} == set(RESOURCES[: EDITED // 2])


def test_all_are_edited_again_when_it_is_resumed_and_then_it_is_enough() -> None:
    edits = Edits(RESOURCES, least=LEAST)
    for _ in range(LEAST):
        assert edits.next() is not None
    edits.resume()
    last = list(iter(edits.next, None))
    assert set(last) == set(RESOURCES)
    assert len(last) == 3 * EDITED


def test_no_fewer_edits_than_were_asked_for() -> None:
    edits = Edits(RESOURCES, least=LEAST)
    edits.resume()
    assert len(list(iter(edits.next, None))) == LEAST
