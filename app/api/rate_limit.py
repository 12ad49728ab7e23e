"""Rate limit: how many requests that cause tasks one key or client may send a minute, in the words of `RateLimit-*`.

Counted in this process: an answer never depends on the cache. With n API processes a client gets n times as much.
"""

from __future__ import annotations

import ipaddress
import math
import time

from fastapi import Depends, Request, Response
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from app.access import client_of
from app.errors import RateLimited
from app.settings import Settings


class TooManyRequests(RateLimited):
    """This client is over its limit until `reset_seconds` have passed."""

    def __init__(self, detail: str, *, headers: dict[str, str]) -> None:
        super().__init__(detail)
        self.headers = headers


class RateLimiter:
    """Counts by key, or without keys by client address; clients on this machine have a limit of their own."""

    def __init__(self, settings: Settings) -> None:
        self._remote = _per_minute(settings.rate_limit_per_minute)
        self._loopback = _per_minute(settings.rate_limit_loopback_per_minute)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def hit(self, client: str) -> dict[str, str]:
        """Count one request and return its headers; none without a limit. Raises `TooManyRequests`."""
        limit = self._loopback if _is_loopback(client) else self._remote
        if limit is None:
            return {}
        allowed = self._limiter.hit(limit, client)
        window = self._limiter.get_window_stats(limit, client)
        reset_seconds = max(1, math.ceil(window.reset_time - time.time()))
        headers = {
            "RateLimit-Limit": str(limit.amount),
            "RateLimit-Remaining": str(max(0, window.remaining)),
            "RateLimit-Reset": str(reset_seconds),
        }
        if not allowed:
            headers["Retry-After"] = str(reset_seconds)
            raise TooManyRequests(f"the limit is {limit.amount} requests a minute", headers=headers)
        return headers


def _per_minute(amount: int) -> RateLimitItemPerMinute | None:
    return RateLimitItemPerMinute(amount) if amount else None


def _is_loopback(client: str) -> bool:
    try:
        return ipaddress.ip_address(client).is_loopback
    except ValueError:
        return False


async def _limit(request: Request, response: Response) -> None:
    limiter: RateLimiter = request.app.state.context.rate_limiter
    response.headers.update(limiter.hit(client_of(request)))


CausesTasks = Depends(_limit)
"""Dependency of every operation that puts calls into the outbox."""
