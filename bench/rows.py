"""The rows of the benchmark: what each measures, in one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench import caching, latency, recovery, searching, throughput, under_load
from bench.results import Found
from bench.rounds import Rounds
from bench.servers import Servers


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the plan."""

    title: str
    measure: Callable[[Servers, Rounds], Found]


ROWS = {
    "B1": Row(
        title="no-op tasks on Redis: ours, stock Celery, Celery's own ceiling", measure=throughput.ours_against_stock
    ),
    "B2": Row(title="no-op tasks on Redis: other libraries", measure=throughput.ours_against_peers),
    "B3": Row(title="no-op tasks on RabbitMQ", measure=throughput.on_rabbitmq),
    "B4": Row(title="publishing, confirmed", measure=throughput.published_by_the_relay),
    "B6": Row(title="idle: from commit to the start of the task", measure=latency.when_idle),
    "B8": Row(title="answers during a hundred ingestions", measure=under_load.answers),
    "B9": Row(title="from a change to the search that finds it", measure=under_load.findable),
    "B10": Row(title="searches in ever larger libraries", measure=searching.in_ever_larger_libraries),
    "B11": Row(title="reads: cached, uncached, and the mix", measure=caching.cached_reads),
    "B12": Row(title="computations avoided on the mix, and by the seed's flow", measure=caching.computations_avoided),
    "B13": Row(title="from SIGKILL of a worker to the restart of its task", measure=recovery.after_a_kill),
}
