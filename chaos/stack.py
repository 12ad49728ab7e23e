"""The product as its users run it: API, relay, workers and beat as real processes, each of which can be broken."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chaos.directories import new_directory
from chaos.polling import DeadlineMissed, poll_until
from chaos.ports import free_port, port_answers
from chaos.processes import HarnessError, OwnedProcess
from chaos.stack_process import StackProcess

ROOT = Path(__file__).parents[1]
# What passes from the shell: none of our settings.
KEPT_VARIABLES = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "COVERAGE_PROCESS_START",
)
WORKER_QUEUES = {
    "worker": "default,ingest,batch",
    "worker-2": "default,ingest,batch",
    "ml-worker": "ml_tasks",
}
PROCESSES_OF = {"worker": 2, "worker-2": 2, "ml-worker": 1}
"""Their pool processes, by the settings' defaults: each has one call in hand at most, and no fault repeats more."""
SECOND_RELAY = "relay-2"
FLOWER = "flower"
EVERYTHING = "up"
MIGRATED_WITHIN_SECONDS = 60.0


class Stack:
    """A context manager: inside, `alexandria db upgrade` has run and every process asked for is up.

    `environment` overrides settings by the names of their variables, `own_environments` those of single processes.
    Each stack has a data directory and an API port of its own, so several run side by side. When the body of the
    `with` raises, the tails of all logs are added to the exception as notes. `processes` may leave some out of
    `("api", "relay", "worker", "ml-worker", "beat")`, or add `worker-2`, `relay-2`, `beat-2`, `flower`; `("up",)` has
    one parent start those five as `alexandria up` does, which is sooner up and cannot be broken in parts. `source` is
    the directory whose package `app` is run.
    """

    def __init__(
        self,
        *,
        database_url: str,
        broker_url: str,
        cache_url: str,
        environment: Mapping[str, str] | None = None,
        own_environments: Mapping[str, Mapping[str, str]] | None = None,
        processes: tuple[str, ...] = ("api", "relay", "worker", "ml-worker", "beat"),
        source: Path = ROOT,
    ) -> None:
        self._source = source
        self.directory = new_directory("stack")
        self.port = free_port()
        self.flower_port = free_port()
        self.environment = {
            **{name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ},
            "PYTHONUNBUFFERED": "1",
            "DATABASE_URL": database_url,
            "BROKER_URL": broker_url,
            "CACHE_URL": cache_url,
            "DATA_DIR": str(self.directory / "data"),
            "API_HOST": "127.0.0.1",
            "API_PORT": str(self.port),
            "CANARY_INTERVAL_SECONDS": "2",  # how soon a worker that came back is seen to consume
            **(environment or {}),
        }
        self._settings = dict(environment or {})
        self._own_environments = own_environments or {}
        self.processes = {name: self._make(name) for name in processes}

    @property
    def url(self) -> str:
        """The base URL of the API, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self) -> StackProcess:
        """`alexandria api`."""
        return self._named("api")

    @property
    def relay(self) -> StackProcess:
        """`alexandria relay`."""
        return self._named("relay")

    @property
    def worker(self) -> StackProcess:
        """The worker of every queue but `ml_tasks`."""
        return self._named("worker")

    @property
    def ml_worker(self) -> StackProcess:
        """The worker of `ml_tasks`."""
        return self._named("ml-worker")

    @property
    def workers(self) -> tuple[StackProcess, ...]:
        """Every worker process that belongs to this stack."""
        return tuple(self.processes[name] for name in WORKER_QUEUES if name in self.processes)

    @property
    def beat(self) -> StackProcess:
        """`alexandria beat`."""
        return self._named("beat")

    def run_command(self, *arguments: str, within_seconds: float = 60.0, exit_codes: tuple[int, ...] = (0,)) -> str:
        """`alexandria ARGUMENTS…` with the stack's settings, to its end; its output, or `ProcessFailed`."""
        name = arguments[0]
        log = self.directory / f"command-{name}.log"
        log.unlink(missing_ok=True)
        command = self._command(name, *arguments, log=log)
        command.start()
        try:
            poll_until(lambda: not command.running, within_seconds=within_seconds, what=f"{arguments} has ended")
        except DeadlineMissed as error:
            failure = command.failure(f"did not end within {within_seconds:g} s")
            raise failure from error
        finally:
            command.kill()
        if command.exit_code not in exit_codes:
            raise command.failure("failed")
        return log.read_text()

    def readiness(self) -> dict[str, Any]:
        """The answer of `/readyz`; empty when the API cannot be reached or does not answer in 5 s."""
        return self._get("/readyz") or {}

    def beside(self, *, broker_url: str, environment: Mapping[str, str], processes: tuple[str, ...]) -> Stack:
        """Another one on the same database and cache, with the same settings and these, on another broker."""
        return Stack(
            database_url=self.environment["DATABASE_URL"],
            broker_url=broker_url,
            cache_url=self.environment["CACHE_URL"],
            environment={**self._settings, **environment},
            processes=processes,
            source=self._source,
        )

    def prepare(self) -> None:
        """Make its data directory, and bring the database to the newest migration."""
        (self.directory / "data").mkdir(exist_ok=True)
        if EVERYTHING not in self.processes:  # which does so itself
            self.run_command("db", "upgrade", within_seconds=MIGRATED_WITHIN_SECONDS)

    def start(self) -> None:
        """`prepare`, start all processes and wait until `/readyz` has no complaint."""
        self.prepare()
        for process in self.processes.values():
            process.start()
        for process in self.processes.values():
            process.wait_until_up()

    def stop(self) -> None:
        """SIGTERM to all, the API first, each in its turn; `ProcessFailed` if one has to be killed."""
        for process in self.processes.values():
            process.terminate()

    def close(self) -> None:
        """SIGKILL whatever is left and remove the data directory."""
        for process in self.processes.values():
            process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def report(self) -> str:
        """State and last lines of every process."""
        return "\n".join(process.report() for process in self.processes.values())

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException as error:
            error.add_note(self.report())
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(self.report())
        self.close()

    def _named(self, name: str) -> StackProcess:
        if name not in self.processes:
            raise HarnessError(f"this stack was made without {name}")
        return self.processes[name]

    def _make(self, name: str) -> StackProcess:
        arguments: tuple[str, ...] = (name.removesuffix("-2"),)
        if name in WORKER_QUEUES:
            arguments = ("worker", "--queues", WORKER_QUEUES[name], "--name", name)
        elif name == FLOWER:
            arguments = (name, f"--port={self.flower_port}", "--address=127.0.0.1")
        process = self._command(name, *arguments, log=self.directory / f"{name}.log")
        return StackProcess(process, is_up=lambda seconds: self._is_up(name, seconds))

    def _command(self, name: str, *arguments: str, log: Path) -> OwnedProcess:
        return OwnedProcess(
            name,
            [sys.executable, "-m", "app.cli", *arguments],
            log=log,
            environment={**self.environment, **self._own_environments.get(name, {})},
            directory=self._source,
        )

    def _is_up(self, name: str, seconds_since_start: float) -> bool:
        """What `/readyz` says of it; without an API, being alive is all that can be known."""
        if name == FLOWER:
            return port_answers(self.flower_port)
        if not {"api", EVERYTHING} & self.processes.keys():
            return True
        answer = self.readiness()
        parts = answer.get("parts", {})
        served = {
            queue
            for queue, age in parts.get("workers", {}).get("canary_age_seconds", {}).items()
            if _younger(age, seconds_since_start)
        }
        if name in WORKER_QUEUES:
            return served.issuperset(WORKER_QUEUES[name].split(",")) and self._beats(self.processes[name].pid)
        if name == EVERYTHING:
            return bool(answer.get("ready")) and served.issuperset(",".join(WORKER_QUEUES.values()).split(","))
        if name in {"relay", SECOND_RELAY}:
            return bool(parts.get("relay", {}).get("ok"))
        return bool(answer.get("ready"))

    def _beats(self, pid: int) -> bool:
        """Whether the worker's own heartbeat is there: another of the same queues may have served the canaries."""
        stats = (self._get("/workers/status") or {}).get("stats", {})
        return any(one["pid"] == pid for one in stats.values())

    def _get(self, path: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()


def _younger(age: object, seconds: float) -> bool:
    return isinstance(age, int | float) and age < seconds
