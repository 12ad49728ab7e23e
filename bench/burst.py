"""A running library and a hundred ingestions at once: the stack as it is shipped, its workers niced."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import httpx2
import psutil
from sqlalchemy import ColumnElement, exists, func, not_, select

from app.database import Database, open_database
from app.models.derived import Embedding
from app.models.resource import IngestionState, Resource
from app.settings import load_settings
from bench.rounds import Rounds
from bench.servers import Servers
from bench.texts import text_of, words_at
from chaos.polling import poll_until
from chaos.ports import free_port, port_answers
from chaos.processes import HarnessError, OwnedProcess
from chaos.servers.redis import RedisServer
from chaos.stack import Stack

INGESTIONS, RESOURCES = 100, 200
PARAGRAPHS, PARAGRAPH_WORDS = 5, 80
NICENESS = 10
SETTINGS = {"LOG_LEVEL": "WARNING", "INGEST_ALLOWED_PRIVATE_HOSTS": "127.0.0.1"}
SAID = (
    f"{INGESTIONS} pages of {PARAGRAPHS * PARAGRAPH_WORDS} words asked for at once, as in the seed's load test, and"
    " served by a process of its own, until all are embedded; API, relay, two workers and beat on PostgreSQL and Redis;"
    f" the workers' niceness is {NICENESS} above that of the others; the default engine of embeddings"
)


@dataclass(slots=True, kw_only=True)
class Running:
    """A stack with some documents in it, everything derived."""

    url: str
    http: httpx2.Client
    ids: list[UUID]
    pages: Path
    pages_url: str
    seed: int
    ingestions: int
    database: Database
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def client(self) -> httpx2.Client:
        """For one thread: who measures waits for nobody else's connection."""
        return httpx2.Client(base_url=self.url, timeout=60, trust_env=False)

    def word(self) -> str:
        """Nobody has written it before."""
        letters = str(next(self._numbers)).translate(str.maketrans("0123456789", "abcdefghij"))
        return f"wort{letters}k"

    def text(self) -> str:
        """Another one each time."""
        return text_of(words_at(self.seed, next(self._numbers), count=PARAGRAPH_WORDS))

    @contextmanager
    def ingesting(self) -> Iterator[Callable[[], bool]]:
        """All pages are asked for at once; what is given tells whether some are still to be read or embedded."""
        names = [self._write_page() for _ in range(self.ingestions)]
        with ThreadPoolExecutor(len(names)) as clients, self.client() as http:

            def ingest(name: str) -> None:
                http.post("/ingest", json={"url": f"{self.pages_url}/{name}"}).raise_for_status()

            sent = [clients.submit(ingest, name) for name in names]
            yield lambda: not all(one.done() for one in sent) or self._are_on_their_way()
            for one in sent:
                one.result()
        if failed := self._count(Resource.ingestion_status == IngestionState.FAILED):
            raise HarnessError(f"{failed} pages were not read")

    def rest(self) -> None:
        """Until everything is derived."""
        poll_until(
            lambda: self.http.get("/consistency").json()["converged"],
            within_seconds=300,
            every_seconds=0.5,
            what="everything is derived",
        )

    def _are_on_their_way(self) -> bool:
        """Asked of the database: the API is what is measured, and who measures may change other texts meanwhile."""
        is_embedded = exists().where(Embedding.resource_id == Resource.id)
        return self._count(Resource.ingestion_status != IngestionState.FAILED, not_(is_embedded)) > 0

    def _count(self, *conditions: ColumnElement[bool]) -> int:
        pages = select(func.count()).select_from(Resource).where(Resource.fetch_url.startswith(self.pages_url))
        with self.database.reader() as session:
            return session.scalar(pages.where(*conditions)) or 0

    def _write_page(self) -> str:
        name = f"page-{next(self._numbers)}.html"
        paragraphs = "".join(f"<p>{self.text()}</p>" for _ in range(PARAGRAPHS))
        head = f"<html lang='en'><head><title>{name}</title></head>"
        (self.pages / name).write_text(f"{head}<body><main><h1>{name}</h1>{paragraphs}</main></body></html>")
        return name


@contextmanager
def a_running_library(servers: Servers, rounds: Rounds) -> Iterator[Running]:
    """PostgreSQL with fsync, Redis as broker, another as cache."""
    with ExitStack() as stack:
        enter = stack.enter_context
        pages = Path(enter(TemporaryDirectory(prefix="alexandria-pages-")))
        pages_url = _served(stack, pages)
        database_url = servers.postgres().create_database()
        database = open_database(load_settings(database_url=database_url))
        stack.callback(database.engine.dispose)
        product = Stack(
            database_url=database_url,
            broker_url=enter(servers.redis()),
            cache_url=enter(RedisServer()).url,
            environment=SETTINGS,
        )
        enter(product)
        for worker in product.workers:
            _step_back(worker.pid)
        running = Running(
            url=product.url,
            http=enter(httpx2.Client(base_url=product.url, timeout=60, trust_env=False)),
            ids=[],
            pages=pages,
            pages_url=pages_url,
            seed=rounds.seed,
            database=database,
            ingestions=max(2, round(INGESTIONS * rounds.share)),
        )
        for _ in range(max(5, round(RESOURCES * rounds.share))):
            new = {"title": "A title", "content": running.text()}
            running.ids.append(UUID(running.http.post("/resources", json=new).raise_for_status().json()["id"]))
        running.rest()
        yield running


def _served(stack: ExitStack, pages: Path) -> str:
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(pages)]
    server = OwnedProcess("pages", command, log=pages / "server.log", environment={})
    stack.callback(server.kill)
    server.start()
    poll_until(lambda: port_answers(port), within_seconds=30, what="the pages are served")
    return f"http://127.0.0.1:{port}"


def _step_back(pid: int) -> None:
    """A worker and its pool; what these start later inherits it."""
    main = psutil.Process(pid)
    for process in (main, *main.children(recursive=True)):
        process.nice(min(19, process.nice() + NICENESS))
