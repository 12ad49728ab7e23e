"""Time decay: what is older counts less, by half for each half-life.

Source: Ding & Li, "Time weight collaborative filtering", CIKM 2005: an exponential of age, its rate by a half-life.
"""

from __future__ import annotations

from datetime import timedelta


def decayed(weight: float, *, age: timedelta, half_life: timedelta) -> float:
    """`weight * 2^(-age / half_life)`, of the sign of `weight`; an age below 0 counts as 0."""
    half_lives = max(0.0, age / half_life)
    return float(weight * 2.0**-half_lives)
