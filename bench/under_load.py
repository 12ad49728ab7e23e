"""B8: how fast the API answers during a hundred ingestions. B9: how soon a change is found, idle and during them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

from bench.burst import SAID, Running, a_running_library
from bench.latency import p95
from bench.results import Found, Ratio
from bench.rounds import Rounds, Values, median_of, medians
from bench.servers import Servers
from chaos.polling import poll_until

IDLE, LOADED = "idle", "during the ingestions"
CLIENTS = 2
PAUSE_SECONDS = (0.1, 0.3)
"""Of a client before it reads one document and retitles another: ten of each a second, which is no load."""
IDLE_SECONDS = 15.0
TIMES_IDLE, ANSWER_MS = 1.5, 100.0
CHANGES, APART_SECONDS, LOOK_SECONDS = 10, 0.1, 0.02
NEW, EDITED = "a new document", "another text"
FOUND_SECONDS = {IDLE: 2.0, LOADED: 5.0}


def answers(servers: Servers, rounds: Rounds) -> Found:
    """B8."""
    with a_running_library(servers, rounds) as running:

        def idle() -> Values:
            running.rest()
            return _answered(running, lambda: _pause(IDLE_SECONDS * rounds.share))

        def loaded() -> Values:
            running.rest()
            began = time.monotonic()
            with running.ingesting() as going:
                values = _answered(running, lambda: _while(going))
            return values | {"ingestions took": time.monotonic() - began}

        found = rounds.alternate("B8", {IDLE: idle, LOADED: loaded})
    ratios: list[Ratio] = []
    for kind in ("GET", "PUT"):
        before, during = (median_of(found[side], kind) for side in (IDLE, LOADED))
        ratios += [
            Ratio(what=f"{kind}: {LOADED} / {IDLE}", value=during / before, reach=TIMES_IDLE, at_most=True),
            Ratio(what=f"{kind} {LOADED}", value=during, unit="ms", reach=ANSWER_MS, at_most=True),
        ]
    said = f"{CLIENTS} clients read a document and give another a new title, about ten times a second"
    units = {"GET": "ms, p95", "PUT": "ms, p95", "requests": "requests", "ingestions took": "s"}
    return Found(measures=medians(found, units=units), ratios=ratios, notes=[SAID, said])


def findable(servers: Servers, rounds: Rounds) -> Found:
    """B9. The time runs from before the request that changes to the answer of the first search that shows it."""
    with a_running_library(servers, rounds) as running:

        def idle() -> Values:
            running.rest()
            return _p95s([_changed_and_found(running) for _ in range(2)])

        def loaded() -> Values:
            running.rest()
            taken: list[dict[str, list[float]]] = []
            with running.ingesting() as going:
                while not taken or going():
                    taken.append(_changed_and_found(running))
            return _p95s(taken)

        found = rounds.alternate("B9", {IDLE: idle, LOADED: loaded})
    ratios = [
        Ratio(what=f"{kind}, {side}", value=median_of(found[side], kind), unit="s", reach=limit, at_most=True)
        for side, limit in FOUND_SECONDS.items()
        for kind in (NEW, EDITED)
    ]
    said = "an edit waits a second for others (debounce); looked for every 20 ms by keyword, over HTTP"
    units = {NEW: "s, p95", EDITED: "s, p95", "changes": "changes"}
    return Found(measures=medians(found, units=units), ratios=ratios, notes=[SAID, said])


def _answered(running: Running, until: Callable[[], None]) -> dict[str, float]:
    """What two clients were answered, reading and retitling documents by turns, until then."""
    over = Event()
    with ThreadPoolExecutor(CLIENTS) as clients:
        asking = [clients.submit(_ask, running, over, number) for number in range(CLIENTS)]
        try:
            until()
        finally:
            over.set()
        taken = [one.result() for one in asking]
    every = {kind: [ms for one in taken for ms in one[kind]] for kind in ("GET", "PUT")}
    return {kind: p95(some) for kind, some in every.items()} | {"requests": sum(map(len, every.values()))}


def _ask(running: Running, over: Event, number: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {"GET": [], "PUT": []}
    chosen = random.Random(f"{running.seed}-{number}")
    with running.client() as http:
        while not over.wait(chosen.uniform(*PAUSE_SECONDS)) or len(taken["PUT"]) < 2:
            for kind, times in taken.items():
                body: dict[str, Any] = {"json": {"title": running.word()}} if kind == "PUT" else {}
                began = time.perf_counter()
                http.request(kind, f"/resources/{chosen.choice(running.ids)}", **body).raise_for_status()
                times.append((time.perf_counter() - began) * 1000)
    return taken


def _changed_and_found(running: Running) -> dict[str, list[float]]:
    """Seconds until they were found, of ten new documents and ten edits."""
    words = {kind: running.word() for kind in (NEW, EDITED)}
    began: dict[str, float] = {}
    found: dict[str, float] = {}
    kinds: dict[str, list[str]] = {NEW: [], EDITED: []}

    def change() -> None:
        with running.client() as http:
            for edited in random.Random(words[NEW]).sample(running.ids, min(CHANGES, len(running.ids))):
                for kind, method, path in ((NEW, "POST", "/resources"), (EDITED, "PUT", f"/resources/{edited}")):
                    at = time.monotonic()
                    content = {"content": f"{words[kind]} {running.text()}"}
                    answer = http.request(method, path, json=content).raise_for_status().json()
                    began[answer["id"]] = at
                    kinds[kind].append(answer["id"])
                _pause(APART_SECONDS)

    with ThreadPoolExecutor(1) as writer:
        changing = writer.submit(change)

        def all_found() -> bool:
            is_last = changing.done()
            for word in words.values():
                asked: dict[str, str | int] = {"query": word, "mode": "keyword", "limit": 2 * CHANGES}
                hits = running.http.get("/search", params=asked).raise_for_status().json()
                for hit in hits:
                    found.setdefault(hit["id"], time.monotonic())
            return is_last and found.keys() >= began.keys()

        poll_until(all_found, within_seconds=60, every_seconds=LOOK_SECONDS, what="every change is found")
        changing.result()
    return {kind: [found[one] - began[one] for one in ids] for kind, ids in kinds.items()}


def _p95s(taken: Sequence[dict[str, list[float]]]) -> dict[str, float]:
    every = {kind: [seconds for one in taken for seconds in one[kind]] for kind in (NEW, EDITED)}
    return {kind: p95(some) for kind, some in every.items()} | {"changes": sum(map(len, every.values()))}


def _while(going: Callable[[], bool]) -> None:
    poll_until(lambda: not going(), within_seconds=300, every_seconds=0.5, what="all is read and embedded")


def _pause(seconds: float) -> None:
    Event().wait(seconds)
