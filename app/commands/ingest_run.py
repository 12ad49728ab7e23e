"""One run of `alexandria ingest`: documents sent, waited for, and told apart by how they ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from app.commands.api_client import ApiClient, readable
from app.content.media_types import media_type_of
from app.errors import AlexandriaError, UnsupportedType
from app.polling import wait_until

UPLOADS_AT_ONCE = 4
_SHORTEST_POLL_SECONDS = 0.3
_LONGEST_POLL_SECONDS = 10.0
_POLL_SHARE = 0.1  # of the time may go into asking


class State(StrEnum):
    """Where one document of the run is."""

    UNSENT = "unsent"
    SENT = "sent"
    COMPLETED = "completed"
    KNOWN = "already known"
    DUPLICATE = "duplicate"
    FAILED = "failed"


@dataclass(slots=True, kw_only=True)
class Item:
    """One document: a file or a URL, and what became of it."""

    label: str
    file: Path | None = None
    state: State = State.UNSENT
    resource_id: str | None = None
    was_known: bool = False
    reason: str | None = None

    def fail(self, reason: str) -> None:
        """It will not be read, and why."""
        self.state, self.reason = State.FAILED, reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Counts of one run so far."""

    total: int
    uploaded: int
    processed: int
    failed: int


@dataclass(slots=True, kw_only=True)
class IngestRun:
    """Sends every item and, unless told not to wait, waits until each is read or refused."""

    client: ApiClient
    items: Sequence[Item]
    tell: Callable[[Progress], None]
    _poll_at: float = field(default=0.0, init=False)

    def run(self, *, wait: bool) -> None:
        """Raises `ApiUnavailable` when the API was never reached or stays away while this waits."""
        self.client.reach()  # nothing can be done without it: better one line than one a file
        with ThreadPoolExecutor(max_workers=UPLOADS_AT_ONCE, thread_name_prefix="upload") as pool:
            uploads = [pool.submit(self._send, item) for item in self.items if item.state is State.UNSENT]
            try:
                wait_until(lambda: self._turn(uploads, wait=wait), within_seconds=float("inf"), every_seconds=0.1)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        if wait:
            self._name_duplicates()
        self.tell(self.progress())

    def progress(self) -> Progress:
        """How far it is."""
        states = [item.state for item in self.items]
        failed = states.count(State.FAILED)
        unfinished = states.count(State.SENT) + states.count(State.UNSENT)
        return Progress(
            total=len(states),
            uploaded=sum(item.resource_id is not None for item in self.items),
            processed=len(states) - unfinished - failed,
            failed=failed,
        )

    def _turn(self, uploads: Sequence[Future[None]], *, wait: bool) -> bool:
        all_sent = all(upload.done() for upload in uploads)
        if wait and time.monotonic() >= self._poll_at:
            self._look()
        self.tell(self.progress())
        return all_sent and not (wait and any(item.state is State.SENT for item in self.items))

    def _send(self, item: Item) -> None:
        try:
            receipt = self._receipt(item)
        except (AlexandriaError, OSError) as error:
            item.fail(error.detail if isinstance(error, AlexandriaError) else (error.strerror or str(error)))
            return
        except Exception as error:  # noqa: BLE001 — a file may fail in any way, and is accounted for in each
            item.fail(f"it could not be sent: {type(error).__name__}: {error}")
            return
        item.resource_id, item.was_known = receipt["resource_id"], not receipt["created"]
        item.state = State.SENT

    def _receipt(self, item: Item) -> dict[str, Any]:
        if item.file is None:
            receipt = self.client.post("/ingest", {"url": item.label})
        else:
            receipt = self.client.upload(item.file, media_type=_media_type(item.file))
        assert isinstance(receipt, dict)
        return receipt

    def _look(self) -> None:
        """Ask in bulk which documents still wait. Asking takes its share of the time and no more."""
        sent = [item for item in self.items if item.state is State.SENT]
        began = time.monotonic()
        if sent:
            pending = {found["id"] for found in self.client.resources(ingestion_status="pending", sort="created_at")}
            ended = [item for item in sent if item.resource_id not in pending]
            if ended:
                _settle(ended, self.client.resources(ingestion_status="failed", sort="-updated_at"))
        took = time.monotonic() - began
        self._poll_at = began + took + min(max(_SHORTEST_POLL_SECONDS, took / _POLL_SHARE), _LONGEST_POLL_SECONDS)

    def _name_duplicates(self) -> None:
        """The same text under another name: the newest resources say so of themselves."""
        new = {item.resource_id: item for item in self.items if item.state is State.COMPLETED}
        if not new:
            return
        for found in self.client.resources(sort="-created_at"):
            item = new.pop(found["id"], None)
            if item is not None and found["duplicate_of"]:
                item.state, item.reason = State.DUPLICATE, f"same text as {found['duplicate_of']}"
            if not new:
                return


def items_of(arguments: Sequence[str]) -> list[Item]:
    """One item for each URL, file, and supported file below each directory; what does not exist has failed already."""
    return [item for argument in arguments for item in _items(argument)]


def _items(argument: str) -> Iterator[Item]:
    path = Path(argument)
    if argument.lower().startswith(("http://", "https://")):
        yield Item(label=argument)
    elif path.is_dir():
        yield from (Item(label=readable(file), file=file) for file in sorted(path.rglob("*")) if _is_supported(file))
    elif path.is_file():
        yield Item(label=readable(path), file=path)
    elif path.exists():
        other = Item(label=readable(path), file=path)
        other.fail("not a file or directory: a device or pipe has no end that could be waited for")
        yield other
    else:
        missing = Item(label=readable(path), file=path)
        missing.fail("no such file or directory")
        yield missing


def _is_supported(file: Path) -> bool:
    return _media_type(file) is not None and file.is_file()


def _media_type(file: Path) -> str | None:
    try:
        return media_type_of(declared_type=None, file_name=file.name)
    except UnsupportedType:
        return None


def _settle(ended: Iterable[Item], failed: Iterable[dict[str, Any]]) -> None:
    reasons = {found["id"]: found["ingestion_error"] for found in failed}
    for item in ended:
        if item.resource_id in reasons:
            error = reasons[item.resource_id] or {}
            item.fail(error.get("detail") or error.get("type") or "no reason was given")
        else:
            item.state = State.KNOWN if item.was_known else State.COMPLETED
