"""One run of one scenario: what its fault has in hand, and what is written down on the way."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TypeVar

import psutil

from chaos.client import LedgerClient
from chaos.documents import Arrival, DocumentServer
from chaos.faults import Breakage, Fault, broken
from chaos.invariants.observed import Exit, Measured, Observed
from chaos.ledger import Ledger
from chaos.lines import Dependency, Line, Lines
from chaos.polling import DeadlineMissed, poll_until
from chaos.processes import ProcessFailed
from chaos.sampler import Sampler
from chaos.site import Ground
from chaos.stack import WORKER_QUEUES, Stack
from chaos.stack_process import StackProcess
from chaos.tables import Tables

Value = TypeVar("Value")
ARRIVES_WITHIN_SECONDS = 30.0
COMES_BACK_WITHIN_SECONDS = 60.0


class Trial:
    """Everything a scenario may touch. `is_fast`: fewer rounds of the same, for every submission.

    A process that ends in `poll` or `wait` without having been meant to is written down; those `kept_up` are then
    started again, as their supervisor would.
    """

    def __init__(
        self,
        *,
        ground: Ground,
        stack: Stack,
        lines: Lines | None,
        documents: DocumentServer,
        observed: Observed,
        sampler: Sampler,
        seed: int,
        is_fast: bool,
    ) -> None:
        self.ground = ground
        self.stack = stack
        self.documents = documents
        self.observed = observed
        self.sampler = sampler
        self.is_fast = is_fast
        self.random = random.Random(seed)
        self.kept_up: set[str] = set()
        self.healed_at: datetime | None = None
        """When the last fault since it was warm was over and who was killed was back."""
        self.client = LedgerClient(stack.url, observed.ledger)
        self._lines = lines
        self._meant: set[int] = set()

    def note_warm(self) -> None:
        """From here on the load of the scenario runs; that relays were ended to make a backlog was no fault."""
        self.observed.warm_at = datetime.now(UTC)
        self.healed_at = None

    def note_line(self) -> None:
        """From here on calls stand in line, since the scenario has them."""
        self.observed.line_from = datetime.now(UTC)

    def note_steady(self) -> None:
        """From here on there is nothing but the load."""
        self.observed.steady_from = datetime.now(UTC)

    @property
    def tables(self) -> Tables:
        """Past every proxy."""
        return self.observed.tables

    @property
    def ledger(self) -> Ledger:
        """What was accepted so far."""
        return self.observed.ledger

    def rounds(self, full: int, *, fast: int) -> int:
        """How often to do it."""
        return fast if self.is_fast else full

    def lines(self, dependency: Dependency, *roles: str) -> tuple[Line, ...]:
        """The lines of these roles, or of all, to one server."""
        if self._lines is None:
            raise AssertionError("this scenario was declared without lines")
        return self._lines.select(dependency, *roles)

    @contextmanager
    def broken(self, lines: Sequence[Line], way: Breakage) -> Iterator[Fault]:
        """See `faults.broken`; written down as a fault of this trial."""
        with broken(lines, way) as fault:
            self.observed.faults.append(fault)
            self.sampler.mark(way.name)
            yield fault
        self._note_healed()

    @contextmanager
    def fault(self, name: str) -> Iterator[Fault]:
        """A fault of another kind, made by the body, which sets `missed` if it did not land."""
        fault = Fault(name=name)
        self.observed.faults.append(fault)
        self.sampler.mark(name)
        yield fault
        fault.ended = datetime.now(UTC)
        self._note_healed()

    def poll(
        self, probe: Callable[[], Value], *, within_seconds: float, what: str, every_seconds: float = 0.1
    ) -> Value:
        """`poll_until`, while processes are watched."""

        def look() -> Value:
            self.keep_up()
            return probe()

        return poll_until(look, within_seconds=within_seconds, what=what, every_seconds=every_seconds)

    def wait(self, seconds: float) -> None:
        """Let time pass, as long as a fault is to last."""
        until = time.monotonic() + seconds
        self.poll(lambda: time.monotonic() >= until, within_seconds=seconds + 5, what="the fault has lasted")

    def kill(self, process: StackProcess) -> None:
        """SIGKILL to all of it, and meant."""
        self._meant.add(process.pid)
        process.kill()
        self._note_exit(process, intended=True)

    def end(self, process: StackProcess) -> None:
        """Ask it to end, and note how it did; a code of None: it had to be killed."""
        self._meant.add(process.pid)
        try:
            code: int | None = process.terminate()
        except ProcessFailed:
            code = None
        self.observed.exits.append(Exit(name=process.name, code=code, intended=True))

    def let_end(self, processes: Iterable[StackProcess]) -> None:
        """From now on these may end on their own; `ends_by_itself` looks whether they have."""
        self._meant.update(process.pid for process in processes)

    def ends_by_itself(self, process: StackProcess, *, code: int, within_seconds: float) -> None:
        """It is to end on its own, and with this exit code."""
        self.let_end((process,))
        self.poll(lambda: not process.running, within_seconds=within_seconds, what=f"{process.name} has ended")
        self.sampler.mark(f"{process.name} ended")
        self.expect(process.exit_code == code, f"{process.name} ended with {process.exit_code} and not with {code}")

    def start(self, process: StackProcess) -> None:
        """Start a relay or a worker, and wait until the tables say that its heart beats; a beat has none."""
        process.start()
        self.wait_until_beating(process)
        self._note_healed()

    def wait_until_beating(self, process: StackProcess) -> None:
        """Until the tables say that the heart of a relay or a worker beats."""
        self.poll(
            lambda: self.tables.query("SELECT 1 FROM process_heartbeats WHERE pid = %s", process.pid),
            within_seconds=COMES_BACK_WITHIN_SECONDS,
            what=f"{process.name} beats",
        )

    def keep_up(self) -> None:
        """Write down who has ended, and start those that are kept up."""
        for name, process in self.stack.processes.items():
            if process.running or process.pid in self._meant:
                continue
            self._meant.add(process.pid)
            self._note_exit(process, intended=process.pid in self.documents.killed)
            if name in self.kept_up:
                process.start()

    def arrival(self, path: str, number: int) -> Arrival | None:
        """The `number`-th process that asked for a document, waited for; None: it never came."""
        try:
            self.poll(
                lambda: len(self.documents.arrivals(path)) >= number,
                within_seconds=ARRIVES_WITHIN_SECONDS,
                what=f"{path} is asked for the {number}. time",
                every_seconds=0.02,
            )
        except DeadlineMissed:
            return None
        return self.documents.arrivals(path)[number - 1]

    def worker_of(self, pid: int) -> StackProcess | None:
        """The worker that a pool process belongs to."""
        for worker in self.stack.workers:
            if worker.running and pid in {child.pid for child in _children(worker.pid)}:
                return worker
        return None

    def stops_between_transactions(self, *processes: StackProcess, but: int = 0) -> bool:
        """SIGSTOP to them, unless one of them, `but` this pid, is amid a transaction: then they go on.

        What that has locked would be nobody's until PostgreSQL cuts it off, after 10 s.
        """
        for process in processes:
            process.pause()
        pids = {pid for process in processes for pid in process.pids} - {but}
        if not self.in_transaction(*pids):
            return True
        for process in processes:
            process.resume()
        return False

    def in_transaction(self, *pids: int) -> bool:
        """Whether a connection of these processes is amid a transaction. Only without lines: behind a proxy nobody
        knows whose connection it is.
        """
        if self._lines is not None:
            raise AssertionError("this scenario was declared with lines")
        return bool(self.tables.query(_IN_TRANSACTION, ports_of(*pids)))

    def measure(self, what: str, seconds: float | None, *, at_most: float) -> None:
        """A time that is part of the promise."""
        self.observed.measured.append(Measured(what=what, seconds=seconds, at_most=at_most))

    def expect(self, holds: bool, what: str) -> None:
        """Something else that is part of the promise."""
        if not holds:
            self.observed.disappointments.append(what)

    def wait_until_used(self, line: Line) -> frozenset[int]:
        """The connections on a line, once there are any: who was cut off comes back first."""
        return self.poll(line.connections, within_seconds=COMES_BACK_WITHIN_SECONDS, what=f"{line} is used")

    def wait_until_consuming(
        self,
        *,
        within_seconds: float,
        since: datetime | None = None,
        workers: Sequence[StackProcess] = (),
        queue: str | None = None,
    ) -> dict[str, float | None]:
        """By worker: seconds from `since` (now) to the first call that it started; None: not within the time.

        With `queue`, of those that serve it, and to the first call that was claimed for that queue since: what it had
        fetched before it starts without the queue, and canaries of others say nothing of this one.
        """
        since = since or datetime.now(UTC)
        asked = [
            worker
            for worker in workers or self.stack.workers
            if queue is None or queue in WORKER_QUEUES[worker.name].split(",")
        ]
        found: dict[str, float | None] = {worker.name: None for worker in asked}

        def all_found() -> bool:
            for worker in asked:
                if found[worker.name] is None:
                    found[worker.name] = self._first_start(worker, since, queue=queue)
            return None not in found.values()

        with suppress(DeadlineMissed):
            self.poll(all_found, within_seconds=within_seconds, what="every worker consumes")
        return found

    def close(self) -> None:
        """Give the connections back."""
        self.client.close()

    def _note_healed(self) -> None:
        """Lines are whole, and who was killed is back: the last time counts."""
        self.healed_at = datetime.now(UTC)
        self.sampler.mark("healed")

    def _first_start(self, worker: StackProcess, since: datetime, *, queue: str | None) -> float | None:
        """An owner is `host:pid of the pool process:id`."""
        pids = [f"%:{child.pid}:%" for child in _children(worker.pid)] if worker.running else []
        if not pids:
            return None
        first = self.tables.one(_FIRST_START, since, pids, queue, queue, since)
        return None if first is None else float((first - since).total_seconds())

    def _note_exit(self, process: StackProcess, *, intended: bool) -> None:
        self.sampler.mark(f"{process.name} ended")
        self.observed.exits.append(Exit(name=process.name, code=process.exit_code, intended=intended, killed=intended))


def ports_of(*pids: int) -> list[int]:
    """Of the connections of these processes, on their side: so PostgreSQL knows them."""
    ports: list[int] = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            ports += [one.laddr.port for one in psutil.Process(pid).net_connections("tcp")]
    return ports


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


_FIRST_START = """
    SELECT min(started_at) FROM task_calls
    WHERE started_at >= %s AND owner LIKE ANY(%s) AND (%s::text IS NULL OR queue = %s AND claimed_at >= %s)
"""


_IN_TRANSACTION = "SELECT 1 FROM pg_stat_activity WHERE client_port = ANY(%s) AND xact_start IS NOT NULL"
