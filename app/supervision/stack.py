"""The stack of `alexandria up`: which processes it is made of, and what each is told."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import app
from app.settings import Settings, environment_of_child
from app.supervision.child_process import ChildSpec
from app.supervision.embedded_server import BROKER_OPTIONS, CACHE_OPTIONS, EmbeddedServer, embedded_server

_READY_ANSWER_SECONDS = 2.0
_ROOT = Path(app.__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Everything that `up` starts, stage by stage, and how to tell that it works."""

    stages: tuple[tuple[ChildSpec, ...], ...] = field(repr=False)
    told: Mapping[str, str] = field(repr=False)
    broker: str
    address: str
    with_workers: bool

    def missing(self) -> str:
        """What the API says is not well yet, of itself, the relay and the workers; empty: everything works."""
        answer = _get_json(f"{self.address}/readyz")
        parts = answer.get("parts", {})
        needed = ("database", "migrations", "relay", *(("workers",) if self.with_workers else ()))
        if not parts:
            return "the API does not answer"
        return "; ".join(
            f"{name}: {part.get('detail')}"
            for name, part in parts.items()
            if not part.get("ok") and (name in needed or name == "broker")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """What the processes of the stack run, each in a copy of the supervisor."""

    api: Callable[[int], object]
    relay: Callable[[], object]
    worker: Callable[[str, str, int], object]
    beat: Callable[[], object]


@contextmanager
def plan(
    settings: Settings, programs: Programs, *, address: str, listener: int, with_workers: bool = True
) -> Iterator[Stack]:
    """The stack for these settings; the directories of its servers are held until the end of the block.

    A broker or cache that is not set explicitly becomes a private server under the data directory.
    """
    with ExitStack() as held:
        servers: list[EmbeddedServer] = []
        told = {"DATA_DIR": str(settings.data_dir.resolve()), "API_PORT": str(urlsplit(address).port)}
        for name, variable, options in (
            ("broker", "BROKER_URL", BROKER_OPTIONS),
            ("cache", "CACHE_URL", CACHE_OPTIONS),
        ):
            if not _is_set(settings, name):
                server = held.enter_context(embedded_server(name, data_dir=settings.data_dir, options=options))
                servers.append(server)
                told[variable] = server.url
        environment = _environment(told)
        own_broker = "BROKER_URL" in told
        yield Stack(
            stages=(
                (*(server.spec(environment) for server in servers), _migrations(environment)),
                tuple(_processes(settings, programs, listener=listener, with_workers=with_workers)),
            ),
            told=told,
            broker="Valkey (private)" if own_broker else _without_password(settings.broker),
            address=address,
            with_workers=with_workers,
        )


def _is_set(settings: Settings, part: str) -> bool:
    names = {"broker": {"broker_url"}, "cache": {"cache_url", "redis_host", "redis_port", "redis_cache_db"}}[part]
    given = names & settings.model_fields_set
    return bool(given) and not (part == "cache" and given == {"cache_url"} and settings.cache_url is None)


def _environment(told: Mapping[str, str]) -> dict[str, str]:
    """Passwords travel here and never on a command line. The package is found wherever `up` was started."""
    return environment_of_child({**told, "PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1"})


def _migrations(environment: Mapping[str, str]) -> ChildSpec:
    """A program of its own, so that it runs while the supervisor imports what the others share."""
    command = (sys.executable, "-P", "-m", "app.cli", "db", "upgrade")
    return ChildSpec(name="db", command=command, environment=environment, one_shot=True)


def _processes(settings: Settings, programs: Programs, *, listener: int, with_workers: bool) -> Iterator[ChildSpec]:
    yield ChildSpec(name="api", run=partial(programs.api, listener), inherited_files=(listener,))
    yield ChildSpec(name="relay", run=programs.relay)
    if with_workers:
        for name, queues, concurrency in (
            ("worker", "default,ingest,batch", settings.worker_concurrency),
            ("ml-worker", "ml_tasks", settings.ml_worker_concurrency),
        ):
            yield ChildSpec(name=name, run=partial(programs.worker, queues, name, concurrency))
    yield ChildSpec(name="beat", run=programs.beat)


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or 'localhost'}" + (f":{parts.port}" if parts.port else "") + parts.path


def _get_json(url: str) -> dict[str, dict[str, dict[str, object]]]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_READY_ANSWER_SECONDS)
    with suppress(OSError, http.client.HTTPException, ValueError):
        try:
            connection.request("GET", parts.path)
            answer = json.loads(connection.getresponse().read())
            return answer if isinstance(answer, dict) else {}
        finally:
            connection.close()
    return {}
