"""Lifespan: what starts and stops with the HTTP server."""

from __future__ import annotations

import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import FrameType
from typing import Any

import anyio
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from app.api.context import ApiContext
from app.services.cache_warming import warm_in_background

WARMING_ENDS_WITHIN_SECONDS = 1.0


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Start the samplers; give requests as many threads as there are database connections for them."""
    context: ApiContext = app.state.context
    settings = context.library.settings
    threads = settings.db_pool_size + settings.db_max_overflow
    anyio.to_thread.current_default_thread_limiter().total_tokens = threads
    context.signs.start()
    warming = warm_in_background(context.library, context.stopping)
    try:
        with _told_of_signals(context.stopping):
            yield
    finally:
        await run_in_threadpool(context.close)
        await run_in_threadpool(warming.join, WARMING_ENDS_WITHIN_SECONDS)


@contextmanager
def _told_of_signals(stopping: threading.Event) -> Iterator[None]:
    """Set `stopping` as soon as the process is told to end.

    The server waits for its open streams before it ends the lifespan, so they must hear of it earlier.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Callable[[int, FrameType | None], Any]] = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(number)
        if callable(handler):  # the server's own; without one the signal must keep its default meaning
            before[number] = handler

    def hear(number: int, frame: FrameType | None) -> None:
        stopping.set()
        before[number](number, frame)

    for heard in before:
        signal.signal(heard, hear)
    try:
        yield
    finally:
        for heard, handler in before.items():
            signal.signal(heard, handler)
