"""Context: what the endpoints of one application share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from app.api.rate_limit import RateLimiter
from app.api.sampler import Sampler
from app.api.vital_signs import BrokerSign, CacheSign, DatabaseSign
from app.services.library import Library

if TYPE_CHECKING:
    from app.api.metrics import HttpMetrics


@dataclass(frozen=True, slots=True, kw_only=True)
class VitalSigns:
    """What is sampled in the background."""

    database: Sampler[DatabaseSign]
    writes: Sampler[bool]
    broker: Sampler[BrokerSign]
    cache: Sampler[CacheSign]

    def start(self) -> None:
        """Begin to sample."""
        for sampler in (self.database, self.writes, self.broker, self.cache):
            sampler.start()

    def stop(self) -> None:
        """Stop sampling; a sampler that hangs on a silent server is left behind (it is a daemon)."""
        for sampler in (self.database, self.writes, self.broker, self.cache):
            sampler.stop(patience_seconds=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiContext:
    """The library and what the API adds to it. `stopping` is set when the process begins to stop."""

    library: Library
    signs: VitalSigns
    transport_name: str
    broker_fingerprint: str
    metrics: HttpMetrics
    rate_limiter: RateLimiter
    streams: threading.BoundedSemaphore
    exports: threading.BoundedSemaphore
    stopping: threading.Event = field(default_factory=threading.Event)
    closers: tuple[Callable[[], None], ...] = ()

    def close(self) -> None:
        """Stop the samplers and let go of every connection."""
        self.stopping.set()
        self.signs.stop()
        for close in self.closers:
            with suppress(Exception):
                close()


async def context_of(request: Request) -> ApiContext:
    """The context of this application (async: no thread is needed to look at an attribute)."""
    context: ApiContext = request.app.state.context
    return context


async def library_of(request: Request) -> Library:
    """The library of this application."""
    return (await context_of(request)).library


async def metrics_of(request: Request) -> HttpMetrics:
    """The metrics of this application."""
    return (await context_of(request)).metrics


Context = Annotated[ApiContext, Depends(context_of)]
TheLibrary = Annotated[Library, Depends(library_of)]
