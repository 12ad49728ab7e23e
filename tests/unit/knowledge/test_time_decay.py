from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.knowledge.time_decay import decayed

HALF_LIFE = timedelta(days=30)
AGES = st.timedeltas(min_value=timedelta(days=-10), max_value=timedelta(days=3_600_000))


@pytest.mark.parametrize(("days", "left"), [(0, 8.0), (30, 4.0), (60, 2.0), (90, 1.0), (-5, 8.0)])
def test_each_half_life_takes_half(days: int, left: float) -> None:
    assert decayed(8.0, age=timedelta(days=days), half_life=HALF_LIFE) == pytest.approx(left)
    assert decayed(-8.0, age=timedelta(days=days), half_life=HALF_LIFE) == pytest.approx(-left)


@given(AGES, AGES)
def test_what_is_older_never_counts_more(one: timedelta, other: timedelta) -> None:
    younger, older = (decayed(1.0, age=age, half_life=HALF_LIFE) for age in sorted((one, other)))

    assert 0.0 <= older <= younger <= 1.0
