from __future__ import annotations

import pytest

from app.api.rate_limit import RateLimiter, TooManyRequests
from app.settings import load_settings


def test_each_client_has_a_limit_of_its_own() -> None:
    limiter = RateLimiter(load_settings(rate_limit_per_minute=1))
    assert limiter.hit("192.0.2.1")["RateLimit-Remaining"] == "0"
    assert limiter.hit("192.0.2.2")["RateLimit-Remaining"] == "0"
    with pytest.raises(TooManyRequests) as refused:
        limiter.hit("192.0.2.1")
    assert 1 <= int(refused.value.headers["Retry-After"]) <= 60


@pytest.mark.parametrize("client", ["127.0.0.1", "::1", "127.8.9.10"])
def test_clients_on_this_machine_have_the_wider_one(client: str) -> None:
    limiter = RateLimiter(load_settings(rate_limit_per_minute=1, rate_limit_loopback_per_minute=500))
    assert [limiter.hit(client)["RateLimit-Limit"] for _ in range(3)] == ["500"] * 3


def test_zero_is_no_limit() -> None:
    limiter = RateLimiter(load_settings(rate_limit_per_minute=0, rate_limit_loopback_per_minute=0))
    assert [limiter.hit(client) for client in ("192.0.2.1", "::1", "unknown")] == [{}, {}, {}]
