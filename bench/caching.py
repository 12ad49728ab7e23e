"""B11: cached reads beside the same uncached, and how many of a mix the cache answers. B12: what is not computed."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from threading import Event
from typing import Any
from uuid import UUID

import httpx2
from sqlalchemy import delete, func, select

from app.events.event_types import EventType
from app.events.hooks import HOOKS
from app.models.outbox import EffectRecord, TaskCall
from app.services import embeddings, interactions, profiles, quality, resources, search_indexing
from app.services.library import Library
from bench.latency import p95
from bench.results import Found, Ratio
from bench.rounds import Rounds, Values, median_of, medians
from bench.seed_flow import SeedFlow, tasks_of_the_seed
from bench.servers import Servers
from bench.trace import MIX, QUERIES, RESOURCES, USERS, Asked, trace
from chaos.polling import poll_until
from chaos.servers.redis import RedisServer
from chaos.stack import EVERYTHING, Stack
from tests.integration.libraries import a_library

READS = tuple(kind for kind in MIX if kind != "write")
DISTINCT = 40
"""Reads of each kind that are timed in a round, each of something else."""
WARM_UP, COUNTED = 3000, 1200
"""Requests whose reads fill the cache, as fast as they go: less than a time to live of them. And those counted."""
CLIENTS = 4
CACHED_MS, HIT_RATE, AVOIDED = 10.0, 0.60, 0.70
WORDS = [f"{first}{second}{third}" for first in "bdfgklmnprst" for second in "aeiou" for third in "lmnrst"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """A running library: API, relay and workers as they are shipped, PostgreSQL and Redis under them."""

    library: Library
    http: httpx2.Client
    ids: Sequence[UUID]

    def path(self, kind: str, rank: int) -> str:
        """What a read asks for."""
        if kind == "search":
            return f"/search?query={WORDS[rank]}%20{WORDS[2 * rank + 1]}"
        if kind == "recommendations":
            return f"/recommendations?user_id=user{rank}"
        return f"/resources/{self.ids[rank]}" + ("/quality" if kind == "quality" else "")

    def read(self, kind: str, rank: int) -> float:
        """Milliseconds until the answer."""
        began = time.perf_counter()
        self.http.get(self.path(kind, rank)).raise_for_status()
        return (time.perf_counter() - began) * 1000

    def write(self, one: Asked) -> None:
        """Another text, or another title."""
        text = f"{one.at}".encode().hex()
        change = {"content": _text(f"{one.rank}-{text}")} if one.is_new_text else {"title": f"Title {text}"}
        self.http.put(f"/resources/{self.ids[one.rank]}", json=change).raise_for_status()

    def play(self, asked: Sequence[Asked]) -> None:
        """Each request at its time, or as soon after it as a client is free."""
        began = time.monotonic() - asked[0].at

        def ask(one: Asked) -> None:
            Event().wait(max(0.0, began + one.at - time.monotonic()))
            if one.kind == "write":
                self.write(one)
            else:
                self.read(one.kind, one.rank)

        with ThreadPoolExecutor(CLIENTS) as clients:
            for done in [clients.submit(ask, one) for one in asked]:
                done.result()

    def counts(self) -> Counter[str]:
        """The cache's hits and misses so far, and the runs of tasks that build something."""
        with self.library.database.reader() as session:
            built = select(func.count()).select_from(EffectRecord).where(EffectRecord.kind.is_not(None))
            tasks = session.scalar(built) or 0
        seen: dict[str, Any] = self.http.get("/cache/stats").json()
        return Counter(hits=seen["hits"], misses=seen["misses"], tasks=tasks)

    def empty(self) -> None:
        """No value is cached any more; the counts stay, which would otherwise begin anew."""
        if not self.library.cache.delete_pattern("*", deadline_seconds=10):
            raise RuntimeError("the cache is not known to be empty")

    def rest(self) -> None:
        """Until everything is derived."""
        poll_until(
            lambda: self.http.get("/consistency").json()["converged"],
            within_seconds=180,
            every_seconds=0.5,
            what="everything is derived",
        )


def cached_reads(servers: Servers, rounds: Rounds) -> Found:
    """B11."""
    with a_shelf(servers) as shelf:

        def uncached() -> Values:
            shelf.empty()
            return _p95s(shelf)

        def cached() -> Values:
            _p95s(shelf)
            return _p95s(shelf)

        def mix() -> Values:
            shelf.empty()
            warm_up, asked = _trace(rounds)
            shelf.play(warm_up)
            before = shelf.counts()
            shelf.play(asked)
            seen = shelf.counts() - before
            shelf.rest()
            return {"hit rate": seen["hits"] / (seen["hits"] + seen["misses"])}

        found = rounds.alternate("B11", {"uncached": uncached, "cached": cached, "mix": mix})
    units = dict.fromkeys(READS, "ms") | {"every kind": "ms", "hit rate": "of 1"}
    hit_rate = median_of(found["mix"], "hit rate")
    p95s = {side: median_of(found[side], "every kind") for side in ("uncached", "cached")}
    ratios = [
        Ratio(what="cached: p95", value=p95s["cached"], unit="ms", reach=CACHED_MS, at_most=True),
        Ratio(what="uncached / cached, p95", value=p95s["uncached"] / p95s["cached"]),
        Ratio(what="hit rate of the mix", value=hit_rate, unit="of 1", reach=HIT_RATE),
    ]
    return Found(measures=medians(found, units=units), ratios=ratios, notes=[_said()])


def computations_avoided(servers: Servers, rounds: Rounds) -> Found:
    """B12."""
    with a_shelf(servers) as shelf:

        def ours() -> Values:
            shelf.empty()
            warm_up, asked = _trace(rounds)
            shelf.play(warm_up)
            before = shelf.counts()
            shelf.play(asked)
            shelf.rest()
            seen = shelf.counts() - before
            return _avoided(asked, reads=seen["misses"], tasks=seen["tasks"], tasks_of=_kinds_built)

        def seed() -> Values:
            flow, (warm_up, asked) = SeedFlow(), _trace(rounds)
            flow.play(warm_up)
            flow.computed_reads = 0
            flow.play(asked)
            avoided = _avoided(asked, reads=flow.computed_reads, tasks=flow.tasks, tasks_of=tasks_of_the_seed)
            return avoided | {"old answers": flow.old_answers}

        found = rounds.alternate("B12", {"ours": ours, "the seed's flow": seed})
    units = {"avoided": "of 1", "reads computed": "reads", "tasks run": "tasks", "old answers": "reads"}
    avoided = {side: median_of(values, "avoided") for side, values in found.items()}
    ratios = [
        Ratio(what="ours: computations avoided", value=avoided["ours"], unit="of 1", reach=AVOIDED),
        Ratio(what="the seed's flow: computations avoided", value=avoided["the seed's flow"], unit="of 1"),
    ]
    return Found(measures=medians(found, units=units), ratios=ratios, notes=[_said()])


def _trace(rounds: Rounds) -> tuple[list[Asked], list[Asked]]:
    """Reads to begin with, and what is counted; others each round, the same for both sides."""
    seed = f"{rounds.seed}-{len(rounds.loads)}"
    before = trace(f"{seed}-before", requests=round(WARM_UP * rounds.share))
    reads = [replace(one, at=0.0) for one in before if one.kind != "write"]
    return reads, trace(seed, requests=round(COUNTED * rounds.share))


def _avoided(asked: Sequence[Asked], *, reads: int, tasks: int, tasks_of: Callable[[Asked], int]) -> dict[str, float]:
    """Of what is computed where every read computes and every event of the side's hook table runs its task."""
    writes = [one for one in asked if one.kind == "write"]
    wanted = len(asked) - len(writes) + sum(map(tasks_of, writes))
    return {"avoided": 1 - (reads + tasks) / wanted, "reads computed": reads, "tasks run": tasks}


def _kinds_built(write: Asked) -> int:
    """How many kinds our hook table has built anew for it."""
    changed = EventType.RESOURCE_CONTENT_CHANGED if write.is_new_text else EventType.RESOURCE_METADATA_CHANGED
    events = {EventType.RESOURCE_UPDATED, changed}
    return sum(hook.kind is not None and not events.isdisjoint(hook.triggers) for hook in HOOKS)


def _p95s(shelf: Shelf) -> dict[str, float]:
    taken = {kind: [shelf.read(kind, rank) for rank in range(DISTINCT)] for kind in READS}
    every = [one for some in taken.values() for one in some]
    return {kind: p95(some) for kind, some in taken.items()} | {"every kind": p95(every)}


def _said() -> str:
    mix = ", ".join(f"{share} % {kind}" for kind, share in MIX.items())
    return (
        f"mix: {mix}; {RESOURCES} documents, {QUERIES} searches, {USERS} users; hashed vectors, PostgreSQL, one Redis"
    )


@contextmanager
def a_shelf(servers: Servers) -> Iterator[Shelf]:
    """Filled, everything derived."""
    with ExitStack() as stack:
        enter = stack.enter_context
        cache_url = enter(RedisServer()).url
        database_url, broker_url = servers.postgres().create_database(), enter(servers.redis())
        library = enter(a_library(database_url=database_url, broker_url=broker_url, cache_url=cache_url))
        ids = _fill(library)
        product = Stack(
            database_url=database_url,
            broker_url=broker_url,
            cache_url=cache_url,
            processes=(EVERYTHING,),
            environment={"EMBEDDING_ENGINE": "hashing", "LOG_LEVEL": "WARNING", "CACHE_WARMED_RESOURCES": "0"},
        )
        enter(product)
        http = enter(httpx2.Client(base_url=product.url, timeout=60, trust_env=False))
        shelf = Shelf(library=library, http=http, ids=ids)
        shelf.rest()
        yield shelf


def _fill(library: Library) -> list[UUID]:
    ids: list[UUID] = []
    for number in range(RESOURCES):
        with library.work() as unit:
            fields = {"title": f"Title {number}", "content": _text(number), "subject": [WORDS[number % 20]]}
            ids.append(resources.create(library, fields, unit=unit)["id"])
        for build in (search_indexing.update, quality.recompute, embeddings.regenerate):
            build(library, ids[-1], work=library.work)
    for user in range(USERS):
        for step in range(4):
            with library.work() as unit:
                act = {"user_id": f"user{user}", "resource_id": ids[(user + 31 * step) % RESOURCES], "type": "view"}
                interactions.track(act, unit=unit)
        profiles.refresh(library, f"user{user}", work=library.work)
    with library.database.writer() as session:
        session.execute(delete(TaskCall))  # all that they would build is built
    return ids


def _text(seed: object) -> str:
    chosen = random.Random(f"text-{seed}")
    ranks = [1 / rank for rank in range(1, len(WORDS) + 1)]
    return " ".join(chosen.choices(WORDS, weights=ranks, k=200))
