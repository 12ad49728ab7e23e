"""B6: an idle system; from a change that is committed to the start of the task that it calls for."""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from uuid import UUID

from sqlalchemy import select

from app.database import Database, open_database
from app.events import outbox
from app.events.hooks import PlannedCall
from app.models.outbox import TaskCall
from app.settings import load_settings
from app.tasks.task_names import TaskName
from app.transports.base import Priority
from bench.apps.idle_publisher import PAUSE_SECONDS
from bench.results import Found, Ratio
from bench.rounds import Measure, Rounds, Values
from bench.runs import Run
from bench.servers import Servers
from bench.systems import celery
from chaos.polling import poll_until
from chaos.servers.redis import RedisServer
from chaos.stack import Stack

A_ROUND = 20
REACH_MS = 20.0
Sample = Callable[[], list[float]]
"""Seconds from commit to start, of twenty changes with pauses between them."""


def when_idle(servers: Servers, rounds: Rounds) -> Found:
    """B6. All sides stand side by side all the time: idle, they cost each other nothing."""
    with ExitStack() as stack:
        enter = stack.enter_context
        directory, cache = Path(enter(TemporaryDirectory())), enter(RedisServer()).url
        rabbit = enter(servers.rabbitmq())
        postgres = [servers.postgres().create_database() for _ in range(2)]
        sqlite = f"sqlite:///{directory / 'library.sqlite3'}"

        def product(database: str, broker: str) -> Sample:
            return enter(Product(database=database, broker=broker, cache=cache, seed=rounds.seed)).sample

        samples: dict[str, Sample] = {
            "ours, PostgreSQL and Redis": product(postgres[0], enter(RedisServer()).url),
            "ours, PostgreSQL and RabbitMQ": product(postgres[1], enter(servers.rabbitmq())),
            "ours, SQLite and Redis": product(sqlite, enter(RedisServer()).url),
            "stock apply_async, Redis": enter(Stock(enter(RedisServer()).url, seed=rounds.seed)).sample,
            "stock apply_async, RabbitMQ": enter(Stock(rabbit, seed=rounds.seed)).sample,
        }
        found = _alternate(rounds, samples)
    measures = [measure for side, values in found.items() for measure in _measures(side, values)]
    ratios = [
        Ratio(what=f"{one.side}: p95", value=one.value, unit="ms", reach=REACH_MS, at_most=True)
        for one in measures
        if one.what == "p95" and one.side.startswith("ours")
    ]
    return Found(measures=measures, ratios=ratios)


class Product:
    """Relay and worker as they are shipped; changes are committed by this process, as the API does it."""

    def __init__(self, *, database: str, broker: str, cache: str, seed: int) -> None:
        self._stack = Stack(database_url=database, broker_url=broker, cache_url=cache, processes=("relay", "worker"))
        self._settings = load_settings(database_url=database, broker_url=broker, cache_url=cache)
        self._pauses = random.Random(f"{seed}-{broker}")

    def __enter__(self) -> Product:
        self._stack.start()
        self._database = open_database(self._settings)
        self._seconds([self._commit()], within_seconds=60.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._database.engine.dispose()
        self._stack.close()

    def sample(self) -> list[float]:
        """See `Sample`."""
        commits = []
        for _ in range(A_ROUND):
            Event().wait(self._pauses.uniform(*PAUSE_SECONDS))
            commits.append(self._commit())
        return self._seconds(commits, within_seconds=20.0)

    def _commit(self) -> tuple[UUID, float]:
        """One call, and when its commit had returned."""
        call = PlannedCall(
            task=TaskName.CANARY,
            args=["default"],
            queue="default",
            priority=Priority.MEDIUM,
            delay=timedelta(0),
            coalesce_key=None,
        )
        with self._database.writer() as session:
            (stored,) = outbox.enqueue(session, [call])
            outbox.wake_relay(session)
        return stored.id, time.time()

    def _seconds(self, commits: list[tuple[UUID, float]], *, within_seconds: float) -> list[float]:
        def all_started() -> dict[UUID, float]:
            started = _started(self._database, [call for call, _ in commits])
            return started if len(started) == len(commits) else {}

        started = poll_until(all_started, within_seconds=within_seconds, what="every call has started")
        return [started[call] - committed for call, committed in commits]


def _started(database: Database, calls: list[UUID]) -> dict[UUID, float]:
    wanted = select(TaskCall.id, TaskCall.started_at).where(TaskCall.id.in_(calls), TaskCall.started_at.is_not(None))
    with database.reader() as session:
        return {row.id: row.started_at.timestamp() for row in session.execute(wanted) if row.started_at is not None}


class Stock:
    """A stock worker and a process that publishes to it: nothing is committed, so it starts at the publish."""

    def __init__(self, broker: str, *, seed: int) -> None:
        self._run = Run(celery("stock apply_async", "celery_stock"), broker)
        self._seed = seed
        self._first = count(step=A_ROUND)

    def __enter__(self) -> Stock:
        self._run.__enter__()
        self._run.start_worker()
        self.sample()
        return self

    def __exit__(self, *_: object) -> None:
        self._run.__exit__(None, None, None)

    def sample(self) -> list[float]:
        """See `Sample`."""
        first = next(self._first)
        arguments = (self._run.system.module, str(first), str(A_ROUND), str(self._seed + first))
        published = json.loads(self._run.python("-m", "bench.apps.idle_publisher", *arguments))
        started = {note.number: note.moment for note in self._run.wait_for(first + A_ROUND)}
        return [started[number] - moment for number, moment in enumerate(published, start=first)]


def _alternate(rounds: Rounds, samples: dict[str, Sample]) -> dict[str, list[list[float]]]:
    taken: dict[str, list[list[float]]] = {name: [] for name in samples}

    def side(name: str) -> Callable[[], Values]:
        def measure() -> Values:
            taken[name].append(samples[name]())
            return {"median ms": statistics.median(taken[name][-1]) * 1000}

        return measure

    rounds.alternate("B6", {name: side(name) for name in samples})
    return taken


def _measures(side: str, taken: list[list[float]]) -> list[Measure]:
    """Over all rounds together: twenty values are too few for a 95th of a hundred."""
    every = [seconds * 1000 for one in taken for seconds in one]
    return [
        Measure(side=side, what=what, unit="ms", rounds=tuple(figure(one) * 1000 for one in taken), value=figure(every))
        for what, figure in (("median", statistics.median), ("p95", p95))
    ]


def p95(values: list[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1]
