"""Faults of lines: how each is made, how it shows from outside, and when it was there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from chaos.lines import Line
from chaos.polling import DeadlineMissed, poll_until
from chaos.probe import TIMEOUT_SECONDS, Reaction
from chaos.toxiproxy import BOTH, Proxy, Stream

SHOWS_WITHIN_SECONDS = 5.0


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault and its window, by this machine's clock. `missed` says why it did not land; empty: it did.

    `stood`: the connections on its lines when it came, and those seen since; `ended_bytes`: what had been sent by
    then over those that were gone.
    """

    name: str
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: datetime | None = None
    missed: str = ""
    stood: dict[Line, frozenset[int]] = field(default_factory=dict, repr=False)
    ended_bytes: dict[Line, int] = field(default_factory=dict, repr=False)
    was_cut: bool = False

    @classmethod
    def of_lines(cls, way: str, lines: Sequence[Line]) -> Fault:
        """One that is about to come over these lines."""
        return cls(
            name=f"{way}: {', '.join(map(str, lines))}",
            stood={line: line.connections() for line in lines},
            ended_bytes={line: line.proxy.bytes_of_ended() for line in lines},
        )

    def has_cut(self) -> bool:
        """Whether a client has lost a connection: one that stood or was seen is gone, or one that nobody saw, since
        who comes back to a broken line may be cut off within a millisecond, while another connection of it is idle.
        """
        now = {line: line.connections() for line in self.stood}
        gone = any(self.stood[line] - now[line] for line in now)
        self.stood = {line: self.stood[line] | now[line] for line in now}
        self.was_cut = (
            self.was_cut or gone or any(line.proxy.bytes_of_ended() > sent for line, sent in self.ended_bytes.items())
        )
        return self.was_cut


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakage:
    """A way to break a line. `shows` asks the line while it is broken; `cuts`: standing connections end by it."""

    name: str
    apply: Callable[[Proxy], AbstractContextManager[None]]
    shows: Callable[[Line], bool]
    cuts: bool


def down() -> Breakage:
    """Connections closed, new ones refused."""
    return Breakage(name="down", apply=lambda proxy: proxy.down(), shows=_reacts(Reaction.REFUSED), cuts=True)


def stall(*, streams: tuple[Stream, ...] = BOTH) -> Breakage:
    """Data vanish, connections stay; they are closed when it ends."""
    return Breakage(
        name=f"stall {_named(streams)}",
        apply=lambda proxy: proxy.stall(streams=streams),
        shows=_reacts(Reaction.SILENT),
        cuts=True,
    )


def reset_peer() -> Breakage:
    """Every connection ends at its first data."""
    ended = _reacts(Reaction.RESET, Reaction.CLOSED)
    return Breakage(name="reset_peer", apply=lambda proxy: proxy.reset_peer(), shows=ended, cuts=True)


def limit_data(*, after_bytes: int, streams: tuple[Stream, ...]) -> Breakage:
    """Every connection ends after so many more bytes."""
    return Breakage(
        name=f"limit_data {after_bytes} B {_named(streams)}",
        apply=lambda proxy: proxy.limit_data(after_bytes=after_bytes, streams=streams),
        shows=_has_toxic("limit_data"),
        cuts=True,
    )


def latency(*, milliseconds: int, jitter: int = 0, streams: tuple[Stream, ...] = BOTH) -> Breakage:
    """All data late."""
    least, most = (len(streams) * (milliseconds + one) / 1000 for one in (-jitter, jitter))

    def shows(line: Line) -> bool:
        answer = line.probe(timeout_seconds=max(TIMEOUT_SECONDS, most + 1))
        return answer.reaction is Reaction.ANSWERED and answer.seconds >= least

    return Breakage(
        name=f"latency {milliseconds} ± {jitter} ms {_named(streams)}",
        apply=lambda proxy: proxy.latency(milliseconds=milliseconds, jitter=jitter, streams=streams),
        shows=shows,
        cuts=False,
    )


def bandwidth(*, kilobytes_per_second: int) -> Breakage:
    """Little at a time."""
    return Breakage(
        name=f"bandwidth {kilobytes_per_second} KB/s",
        apply=lambda proxy: proxy.bandwidth(kilobytes_per_second=kilobytes_per_second),
        shows=_has_toxic("bandwidth"),
        cuts=False,
    )


def slicer(*, average_bytes: int) -> Breakage:
    """In small pieces."""
    return Breakage(
        name=f"slicer {average_bytes} B",
        apply=lambda proxy: proxy.slicer(average_bytes=average_bytes),
        shows=_has_toxic("slicer"),
        cuts=False,
    )


@contextmanager
def broken(lines: Sequence[Line], way: Breakage) -> Iterator[Fault]:
    """Inside, all these lines are broken; whole again afterwards, whatever happens.

    The fault landed if a connection stood on one of the lines before, each line shows it from outside, and, where
    the way cuts connections, one of those that stood is gone at the end.
    """
    fault = Fault.of_lines(way.name, lines)
    with ExitStack() as applied:
        for line in lines:
            applied.enter_context(way.apply(line.proxy))
        if not any(fault.stood.values()):
            fault.missed = "no connection stood on these lines"
        for line in lines:
            fault.missed = fault.missed or _missing(line, way)
        yield fault
    fault.ended = datetime.now(UTC)
    if way.cuts and not fault.missed:
        fault.missed = _uncut(fault)


def _missing(line: Line, way: Breakage) -> str:
    try:
        poll_until(lambda: way.shows(line), within_seconds=SHOWS_WITHIN_SECONDS, what=way.name)
    except DeadlineMissed:
        return f"{line} does not show it: {line.probe()}"
    return ""


def _uncut(fault: Fault) -> str:
    try:
        poll_until(fault.has_cut, within_seconds=SHOWS_WITHIN_SECONDS, what="a connection that stood is gone")
    except DeadlineMissed:
        return "no connection was cut"
    return ""


def _reacts(*reactions: Reaction) -> Callable[[Line], bool]:
    return lambda line: line.probe().reaction in reactions


def _has_toxic(kind: str) -> Callable[[Line], bool]:
    return lambda line: any(one["type"] == kind for one in line.proxy.toxics().values())


def _named(streams: tuple[Stream, ...]) -> str:
    return "both ways" if streams == BOTH else " and ".join(streams)
