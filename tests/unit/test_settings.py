from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.errors import SettingsError
from app.settings import CENTURY_DAYS, Settings, load_settings

IN_DAYS = sorted(name for name in Settings.model_fields if name.endswith("_days"))
HALF_LIVES_ASKED = 4
"""Of the popularity of a document, in `services.candidates`."""


@pytest.mark.parametrize("name", IN_DAYS)
def test_the_longest_time_to_keep_anything_has_a_beginning_and_a_longer_one_is_refused(name: str) -> None:
    longest = {"quality_history_days": CENTURY_DAYS, name: CENTURY_DAYS}

    days = getattr(load_settings(**longest), name)

    assert datetime.now(UTC) - HALF_LIVES_ASKED * timedelta(days=days) < datetime.now(UTC)
    with pytest.raises(SettingsError, match=name.upper()):
        load_settings(**{**longest, name: 1_000_000})


def test_a_half_life_is_a_time() -> None:
    with pytest.raises(SettingsError, match="RECOMMENDATION_HALF_LIFE_DAYS"):
        load_settings(recommendation_half_life_days=1e-300)
