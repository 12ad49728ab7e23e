"""A backlog many times older than what is taken for lost is a wait and no loss: nothing is sent a second time."""

from __future__ import annotations

import threading
from contextlib import closing
from functools import partial

import pytest

from chaos.polling import poll_until
from chaos.stack import Stack
from tests.e2e.deployment import Client, Deployment
from tests.unit.content.web_server import Handler, web_server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

PAGES = 60
SECONDS_A_PAGE = 0.4
LOST_AFTER_SECONDS = 2  # 60 by default: a backlog of 20 s here is one of ten minutes there
OLD_SECONDS = 5 * LOST_AFTER_SECONDS


@pytest.mark.parametrize(
    "deployment", ["sqlite-valkey", "postgresql-redis", "postgresql-rabbitmq"], indirect=True, scope="module"
)
def test_a_backlog_causes_no_second_sending(deployment: Deployment) -> None:
    with (
        web_server() as pages,
        Stack(
            database_url=deployment.database_url,
            broker_url=deployment.broker_url,
            cache_url=deployment.cache_url,
            environment={
                "EMBEDDING_ENGINE": "hashing",
                "WORKER_CONCURRENCY": "1",
                "RELAY_LOST_AFTER_SECONDS": str(LOST_AFTER_SECONDS),
                "INGEST_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
            },
        ) as stack,
        closing(Client(stack.url)) as client,
    ):
        for number in range(PAGES):
            pages.answers[f"/{number}"] = partial(_answer_slowly, number)
            client.post("/ingest", {"url": pages.url(f"/{number}")})
        poll_until(client.has_converged, within_seconds=200, every_seconds=0.5, what="every page is read")

        assert len(pages.requests) == PAGES
    [(longest,)] = deployment.query(_LONGEST_WAIT[deployment.database_url.partition(":")[0]])
    assert float(longest) > OLD_SECONDS, "there was no backlog"
    assert deployment.query("SELECT value FROM counters WHERE name = 'redispatched_total' AND value > 0") == []
    assert deployment.query("SELECT id FROM task_calls WHERE generation > 1 OR starts > 1") == []


def _answer_slowly(number: int, page: Handler) -> None:
    threading.Event().wait(SECONDS_A_PAGE)
    text = f"<html><title>Page {number}</title><p>The page of number {number}, which takes its time to come.</p></html>"
    page.reply(200, text.encode(), Content_Type="text/html")


_LONGEST_WAIT = {
    "sqlite": "SELECT max((julianday(started_at) - julianday(sent_at)) * 86400) FROM task_calls",
    "postgresql": "SELECT max(extract(epoch FROM started_at - sent_at)) FROM task_calls",
}
