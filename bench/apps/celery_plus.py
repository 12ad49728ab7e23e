"""Celery on celery-redis-plus, which the scheme `valkey` chooses; the settings are those of `celery_stock`.

Its documents add nothing to be durable: claims are atomic, unacknowledged messages return after
300 s (its default) and are renewed while they run.
"""

from __future__ import annotations

import celery_redis_plus  # registers the scheme

from bench.apps.celery_stock import app, publish

__all__ = ["app", "celery_redis_plus", "publish"]
