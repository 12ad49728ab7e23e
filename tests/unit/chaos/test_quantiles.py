"""A p95 is called larger when it is, and seldom when it is not."""

from __future__ import annotations

import random

from chaos.invariants import quantiles

RUNS = 400
WRITES = 200


def drawn(source: random.Random, *, scale: float = 1.0) -> list[float]:
    """Times as writes have them: a floor, and a long tail."""
    return [scale * (0.01 + source.expovariate(100)) for _ in range(WRITES)]


def share_called_larger(*, scale: float) -> float:
    source = random.Random(7)
    called = 0
    for _ in range(RUNS):
        limit = 1.2 * quantiles.at_most(drawn(source))
        called += quantiles.is_larger(drawn(source, scale=scale), limit)
    return called / RUNS


def test_equal_times_and_times_at_the_bound_are_seldom_called_larger() -> None:
    assert share_called_larger(scale=1.0) == 0
    assert share_called_larger(scale=1.2) <= 0.02


def test_what_is_twice_as_slow_is_found() -> None:
    assert share_called_larger(scale=2.0) >= 0.95


def test_every_tenth_write_that_waits_is_found() -> None:
    source = random.Random(7)
    times = [one + (0.5 if number % 10 == 0 else 0) for number, one in enumerate(drawn(source))]
    assert quantiles.is_larger(times, 1.2 * quantiles.at_most(drawn(source)))


def test_few_times_say_what_they_can() -> None:
    assert quantiles.at_most([1.0] * 20) == 1.0
    assert quantiles.is_larger([1.3] * 20, 1.2)
    assert not quantiles.is_larger([1.1] * 18 + [9.0] * 2, 1.2)
