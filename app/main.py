"""HTTP composition root: `create_app()`, and `app` for `uvicorn app.main:app`."""

from __future__ import annotations

import re
import threading
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import FastAPI

from app.api import (
    archives,
    authors,
    batches,
    classification,
    dead_letters,
    derived,
    events,
    graph,
    health,
    ingest,
    metrics,
    operations,
    quality,
    recommendations,
    resources,
    search,
    tasks,
)
from app.api.api_keys import KeyRequired, key_required
from app.api.context import ApiContext, VitalSigns
from app.api.documentation import document
from app.api.health import readiness_of
from app.api.lifespan import lifespan
from app.api.methods import HeadLikeGet
from app.api.metrics import HttpMetrics
from app.api.middleware import BodyLimit, Observation, UnexpectedErrors
from app.api.problems import answer_with_problems
from app.api.rate_limit import RateLimiter
from app.api.sampler import Sampler
from app.api.site import OwnSite, hosts_of
from app.api.vital_signs import SAMPLE_SECONDS, BrokerExamination, CacheExamination, DatabaseExamination
from app.api.write_examination import WRITE_SECONDS, WriteExamination
from app.composition import open_library
from app.logs import configure
from app.migrate import head_revision
from app.models.base import new_id
from app.services.library import Library
from app.settings import get_settings
from app.transports.registry import broker_for, open_transport
from app.web.console import Console
from app.web.pages import add_console

ROUTERS = (
    *(ingest.router, resources.router, derived.router, quality.router, authors.router, classification.router),
    *(graph.router, recommendations.router, search.router, batches.router, archives.router),
    *(tasks.router, events.router, dead_letters.router, operations.router, health.router, metrics.router),
)
_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class Api(FastAPI):
    """The application; its OpenAPI document names every error."""

    def openapi(self) -> dict[str, Any]:
        """The document at `/openapi.json`."""
        return document(self)


def create_app(library: Library | None = None) -> FastAPI:
    """The HTTP application over `library`, or over that of the settings. Nothing is connected before it serves."""
    library = library or open_library(get_settings(), role="api")
    context = _context(library)
    app = Api(
        title="Neo Alexandria", version=_version(), lifespan=lifespan, docs_url=None, redoc_url=None
    )  # the usual pages of documentation load scripts from elsewhere
    app.state.context = context
    for router in ROUTERS:
        app.include_router(router)
    add_console(app, _console(context))
    answer_with_problems(app)
    # The last added is the first to see a request.
    app.add_middleware(BodyLimit, max_bytes=library.settings.max_body_bytes)
    app.add_middleware(
        KeyRequired,
        database=library.database,
        required=key_required(library.settings),
        drain_bytes=library.settings.max_body_bytes,
    )
    app.add_middleware(HeadLikeGet)
    app.add_middleware(OwnSite, hosts=hosts_of(library.settings))
    app.add_middleware(UnexpectedErrors)
    app.add_middleware(Observation, metrics=context.metrics)
    app.add_middleware(
        CorrelationIdMiddleware,
        header_name="X-Request-ID",
        generator=lambda: str(new_id()),
        validator=lambda given: _CORRELATION_ID.fullmatch(given) is not None,
    )
    return app


def _console(context: ApiContext) -> Console:
    return Console(
        library=context.library,
        readiness=partial(readiness_of, context),
        admit=context.rate_limiter.hit,
        version=_version(),
    )


def _context(library: Library) -> ApiContext:
    settings = library.settings
    transport, broker = open_transport(settings.broker, settings), broker_for(settings)
    database = DatabaseExamination(
        library.database, head=head_revision, canary_interval_seconds=settings.canary_interval_seconds
    )
    writes = WriteExamination(library.database, broker=broker.fingerprint)
    return ApiContext(
        library=library,
        signs=VitalSigns(
            database=Sampler("database", database, interval_seconds=SAMPLE_SECONDS),
            writes=Sampler("writes", writes, interval_seconds=WRITE_SECONDS),
            broker=Sampler("broker", BrokerExamination(transport), interval_seconds=SAMPLE_SECONDS),
            cache=Sampler("cache", CacheExamination(library.cache), interval_seconds=SAMPLE_SECONDS),
        ),
        transport_name=broker.transport,
        broker_fingerprint=broker.fingerprint,
        metrics=HttpMetrics(library),
        rate_limiter=RateLimiter(settings),
        streams=threading.BoundedSemaphore(settings.event_streams_max),
        exports=threading.BoundedSemaphore(settings.exports_max),
        closers=(transport.close,),
    )


def _version() -> str:
    try:
        return version("neo-alexandria")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"


def __getattr__(name: str) -> Any:
    """`app.main:app` is made when a server asks for it: importing this module reads no setting."""
    if name == "app":
        configure(get_settings(), role="api")
        return create_app()
    raise AttributeError(name)
