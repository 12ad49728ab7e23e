"""Scenarios that break the cache."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import redis

from chaos import faults
from chaos.scenarios.scenario import Scenario
from chaos.trial import Trial
from chaos.workload import COMPARED

READERS = ("api", "worker", "worker-2", "ml-worker")
KEPT = ("amaranth", "bergamot", "cardamom")
READ_WITHIN_SECONDS = 2.0
"""One read, whatever the cache does; the product gives up on its cache after 0.05 s."""
PAUSE_SECONDS = 0.2
"""Between two reads: without one they slow the writes down that I7 compares with those beside no reader."""
WRITTEN_TO_WITHIN_SECONDS = 20.0


def broken_in_five_ways(trial: Trial) -> None:
    """Down, silent, slow, full, flushed; answers stay right."""
    reader = Reader(trial)
    reader.keep()
    lines = trial.lines("cache", *READERS)
    for way in (faults.down(), faults.stall(), faults.latency(milliseconds=300, jitter=100)):
        for line in lines:
            trial.wait_until_used(line)
        with trial.broken(lines, way):
            reader.read_all(way.name)
            trial.wait(4)
            reader.read_all(way.name)
    with closing(trial.ground.cache.client()) as client:
        with trial.fault("cache full") as fault:
            client.config_set("maxmemory", 1)
            fault.missed = _accepted(client)
            reader.read_all("full")
            trial.wait(5)
            reader.read_all("full")
            fault.missed = fault.missed or _accepted(client)
            client.config_set("maxmemory", 0)
        trial.poll(
            lambda: _is_written_to(trial, client), within_seconds=WRITTEN_TO_WITHIN_SECONDS, what="the cache is used"
        )
        with trial.fault("cache flushed") as fault:
            fault.missed = _flush(client)
            reader.read_all("flushed")


@dataclass(slots=True, kw_only=True)
class Answers:
    """What was right about a document that nobody changes: how it is read, and what a search for its name finds."""

    resource_id: str
    read: dict[str, Any]
    found: list[Any]


@dataclass(slots=True)
class Reader:
    """Reads through the API, and compares with what it accepted and with what it answered while nothing was broken."""

    trial: Trial
    kept: dict[str, Answers] = field(default_factory=dict)

    def keep(self) -> None:
        """Some documents that the load leaves alone, and the right answers about them."""
        trial = self.trial
        ids = {name: trial.client.ingest(trial.documents.url(f"/page/{name}")) for name in KEPT}
        trial.poll(
            lambda: not trial.tables.pending_ingestions() and all(self._found(name) for name in KEPT),
            within_seconds=60,
            what="documents that nobody changes are found",
        )
        for name, resource_id in ids.items():
            read = trial.client.ask("GET", f"/resources/{resource_id}")
            self.kept[name] = Answers(resource_id=str(resource_id), read=read, found=self._found(name))
            trial.expect(self.kept[name].found == [resource_id], f"{name} is found in {self.kept[name].found}")

    def read_all(self, state: str) -> None:
        """Twice: the second time the answer may come from the cache."""
        slowest = 0.0
        for _ in range(2):
            for name, right in self.kept.items():
                slowest = max(slowest, self._compare_kept(name, right, state))
                self.trial.wait(PAUSE_SECONDS)
            slowest = max(slowest, self._compare_edited(state))
        self.trial.measure(f"the slowest read, cache {state}", slowest, at_most=READ_WITHIN_SECONDS)

    def _compare_kept(self, name: str, right: Answers, state: str) -> float:
        """Seconds of the slower of a search and a read."""
        begun = time.monotonic()
        found = self._found(name)
        searched = time.monotonic()
        read = self._asked(f"/resources/{right.resource_id}")
        ended = time.monotonic()
        self.trial.expect(found == right.found, f"cache {state}: a search for {name} found {found}")
        self.trial.expect(_of(read, right.read) == right.read, f"cache {state}: {name} was read as {read}")
        return max(searched - begun, ended - searched)

    def _compare_edited(self, state: str) -> float:
        """What is read is never older than what was accepted before, and of that version it is the accepted text."""
        ledger, slowest = self.trial.ledger, 0.0
        with ledger.lock:
            known = {
                one: (entry.version, entry.content)
                for one, entry in ledger.entries.items()
                if not entry.maybe_deleted and not entry.unanswered
            }
        for resource_id, (version, content) in list(known.items())[-10:]:
            begun = time.monotonic()
            read = self._asked(f"/resources/{resource_id}")
            slowest = max(slowest, time.monotonic() - begun)
            self.trial.wait(PAUSE_SECONDS)
            if ledger.entries[resource_id].maybe_deleted:
                continue
            of = read.get("version", 0)
            self.trial.expect(of >= version, f"cache {state}: {resource_id} was read as {read}, {version} was accepted")
            same = of != version or read.get("content") == content
            self.trial.expect(same, f"cache {state}: the text of {resource_id} in version {version} is {read}")
        return slowest

    def _found(self, name: str) -> list[Any]:
        hits = self._asked("/search", query=f'"{name} is a page"', mode="keyword", limit=20)
        return [hit["id"] for hit in hits] if isinstance(hits, list) else [hits]

    def _asked(self, path: str, **parameters: Any) -> Any:
        """The answer; what went wrong stands in its place, and is no right answer."""
        try:
            return self.trial.client.ask("GET", path, **parameters)
        except Exception as error:  # noqa: BLE001  whatever a read ends in is what is told
            return {"error": repr(error)}


def _of(read: Any, right: dict[str, Any]) -> dict[str, Any]:
    return {name: read.get(name) for name in right}


def _accepted(client: redis.Redis) -> str:
    """Why the cache is not full. Empty: it refuses what needs memory."""
    try:
        client.set("anything", "x")
    except redis.exceptions.OutOfMemoryError:
        return ""
    return "a write was accepted"


def _is_written_to(trial: Trial, client: redis.Redis) -> bool:
    """Somebody reads, and a value is kept: there is something to flush."""
    trial.client.ask("GET", "/search", query="page")
    return int(client.dbsize()) > 0


def _flush(client: redis.Redis) -> str:
    """Why nothing was lost. Empty: there were values, and in the same step there were none."""
    with client.pipeline(transaction=True) as steps:
        steps.dbsize()
        steps.flushall()
        steps.dbsize()
        before, _, after = steps.execute()
    return "" if before > 0 and after == 0 else f"{before} values before, {after} after"


SCENARIOS = (
    Scenario(
        number=33,
        title="cache broken",
        fault="cache down, silent, slow by 300 ± 100 ms both ways, ≥ 8 s each; full for ≥ 5 s; flushed",
        bound="every search and read right, each ≤ 2 s; no write slower than 1.2 times, none fails;"
        " drained ≤ 10 s + backlog / rate",
        act=broken_in_five_ways,
        also=("I6", "I7"),
        load=COMPARED,
    ),
)
