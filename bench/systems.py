"""The systems under test: where their Python is, what they import, how their workers are started."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ROOT / ".venv-bench"
PLUS = "celery-redis-plus"
CALLS = 3000


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One way to run the same tasks. `environment` None: the project's own; `publishes` False: nothing to publish."""

    name: str
    app: str
    worker: tuple[str, ...]
    environment: str | None = None
    scheme: str | None = None
    calls: int = CALLS
    publishes: bool = True

    @property
    def python(self) -> str:
        """What starts its Python."""
        return sys.executable if self.environment is None else str(ENVIRONMENTS / self.environment / "run")

    @property
    def module(self) -> str:
        """Its tasks and its way to publish."""
        return f"bench.apps.{self.app}"

    def url(self, broker: str) -> str:
        """The broker's URL as this system wants it."""
        return broker if self.scheme is None else f"{self.scheme}://{broker.split('://', 1)[1]}"

    def command(self, *arguments: str) -> list[str]:
        """Its Python with these arguments."""
        return [self.python, *arguments]

    def surroundings(self, *, broker: str, journal: Path) -> dict[str, str]:
        """The environment variables of its processes."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(journal.parent),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
            "BENCH_BROKER": self.url(broker),
            "BENCH_JOURNAL": str(journal),
            "BENCH_CALLS": str(self.calls),
            "RQ_REDIS_URL": self.url(broker),  # the only way to tell its worker pool without showing the password
        }


def celery(
    name: str, app: str, *, pool: str = "prefork", environment: str | None = None, scheme: str | None = None
) -> System:
    """A Celery worker of two processes, or of one without a pool (solo); events on, as Flower needs them."""
    of_pool = ("-P", pool, "-c", "2" if pool == "prefork" else "1")
    quiet = ("-l", "WARNING", "--without-gossip", "--without-mingle")
    worker = ("-m", "celery", "-A", f"bench.apps.{app}", "worker", *of_pool, "-E", *quiet, "-Q", "default")
    return System(name=name, app=app, worker=worker, environment=environment, scheme=scheme)


def over_nothing(pool: str, *, environment: str | None = None, told: bool = False) -> System:
    """Celery's own ceiling; `told`: with events that nobody waits for, as ours."""
    name, app = (
        ("Celery over nothing, told", "celery_nothing_told") if told else ("Celery over nothing", "celery_nothing")
    )
    return replace(celery(f"{name}, {pool}", app, pool=pool, environment=environment), publishes=False)


def of_celery(pool: str) -> dict[str, System]:
    """Stock, ours and both ceilings with that pool."""
    return {
        "stock": celery(f"stock Celery, {pool}", "celery_stock", pool=pool),
        "ours": celery(f"ours, {pool}", "celery_ours", pool=pool),
        "ceiling": over_nothing(pool),
        "told": over_nothing(pool, told=True),
    }


def on_python_3_13(pool: str) -> dict[str, System]:
    """celery-redis-plus and ours in the same environment."""
    return {
        "plus": celery(f"celery-redis-plus, {pool}", "celery_plus", pool=pool, environment=PLUS, scheme="valkey"),
        "ours": celery(f"ours on Python 3.13, {pool}", "celery_ours", pool=pool, environment=PLUS),
    }


DRAMATIQ_REDIS = System(
    name="dramatiq, 2 processes of 8 threads",
    app="dramatiq_redis",
    worker=("-m", "dramatiq", "bench.apps.dramatiq_redis", "-p", "2", "-t", "8"),
    environment="dramatiq",
)
DRAMATIQ_RABBITMQ = System(
    name="dramatiq, 2 processes of 8 threads",
    app="dramatiq_rabbitmq",
    worker=("-m", "dramatiq", "bench.apps.dramatiq_rabbitmq", "-p", "2", "-t", "8"),
    environment="dramatiq",
)
HUEY = System(
    name="huey, 2 processes",
    app="huey_redis",
    worker=("-m", "huey.bin.huey_consumer", "bench.apps.huey_redis.huey", "-w", "2", "-k", "process", "-q"),
    environment="huey",
)
TASKIQ = System(
    name="taskiq on streams, 2 processes",
    app="taskiq_redis_stream",
    worker=("-m", "taskiq", "worker", "bench.apps.taskiq_redis_stream:broker", "-w", "2", "--log-level", "WARNING"),
    environment="taskiq",
)
RQ = System(
    name="rq, 2 workers",
    app="rq_redis",
    worker=("-m", "rq.cli", "worker-pool", "-n", "2", "-q", "default"),
    environment="rq",
    calls=300,
)
