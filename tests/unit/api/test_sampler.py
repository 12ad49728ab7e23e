from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TypeVar

from app.api.sampler import Sampler
from app.errors import TransportUnavailable
from chaos.polling import poll_until

T = TypeVar("T")


@contextmanager
def sampling(take: Callable[[], T]) -> Iterator[Sampler[T]]:
    sampler = Sampler("test", take, interval_seconds=0.01)
    sampler.start()
    yield sampler
    sampler.stop()


def test_the_first_sample_is_waited_for_and_later_ones_replace_it() -> None:
    numbers = iter(range(1_000_000))
    with sampling(lambda: next(numbers)) as sampler:
        first = sampler.latest()
        assert first is not None
        assert first.value is not None
        poll_until(lambda: is_newer(sampler, first.value or 0), within_seconds=5, what="a newer sample")


def is_newer(sampler: Sampler[int], value: int) -> bool:
    latest = sampler.latest()
    return latest is not None and latest.value is not None and latest.value > value


def test_an_error_is_a_sample_that_says_why() -> None:
    def refuse() -> int:
        raise TransportUnavailable("nobody there")

    with sampling(refuse) as sampler:
        sample = sampler.latest()
    assert sample is not None
    assert (sample.value, sample.error) == (None, "nobody there")


def test_a_sampler_that_hangs_holds_up_nobody_and_its_last_sample_grows_old() -> None:
    hang, calls = threading.Event(), []

    def hang_the_second_time() -> int:
        calls.append(1)
        if len(calls) > 1:
            hang.wait(30)
        return len(calls)

    with sampling(hang_the_second_time) as sampler:
        poll_until(lambda: len(calls) > 1, within_seconds=5, what="the second sample begins")
        began = monotonic()
        sample = sampler.latest()
        assert monotonic() - began < 0.5
        assert sample is not None
        poll_until(lambda: sample.age_seconds > 0.2, within_seconds=5, what="the sample is old")
        hang.set()


def test_a_sampler_that_never_began_has_nothing_to_say() -> None:
    assert Sampler("test", int, interval_seconds=1).latest() is None
