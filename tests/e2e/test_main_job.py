"""The main job on real documents, through the real processes, on all three deployments."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from chaos.polling import poll_until
from chaos.stack import EVERYTHING, Stack
from tests.conftest import Alone
from tests.e2e.corpus import html_pages, pdf_phrases, pdfs, seeded_phrases
from tests.e2e.deployment import Client, Deployment
from tests.e2e.staleness import stale_by_the_tables
from tests.semantic_questions import load_semantic_questions

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SEMANTIC_RECALL_AT_10 = 0.85
KEYWORD_RECALL_AT_10 = 0.65


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledLibrary:
    """A stack that has taken in the corpus and come to rest."""

    deployment: Deployment
    stack: Stack
    client: Client
    summary: dict[str, Any]
    ids: dict[str, str]


@pytest.fixture(scope="module")
def library(deployment: Deployment) -> Iterator[FilledLibrary]:
    with Stack(
        database_url=deployment.database_url,
        broker_url=deployment.broker_url,
        cache_url=deployment.cache_url,
        processes=(EVERYTHING,),
        environment={
            "LOG_LEVEL": "WARNING",
            "RECONCILE_INTERVAL_SECONDS": "3",
            "CANARY_INTERVAL_SECONDS": "15",  # of this stack nothing is broken
            "EMBEDDING_MAX_PASSAGES": "16",
            "EMBEDDING_THREADS": "1",  # two need a quarter more of the processors, which other tests want too
            "ML_WORKER_CONCURRENCY": "2",  # with one, the last third of a filling is its work alone
        },
    ) as stack:
        files = [str(path) for path in (*html_pages(), *pdfs())]
        said = stack.run_command("ingest", "--json", *files, within_seconds=400, exit_codes=(0, 1))  # 1: some failed
        summary = json.loads(said)
        ids = {item["source"]: item["resource_id"] for item in summary["items"]}
        with closing(Client(stack.url)) as client:
            poll_until(client.has_converged, within_seconds=400, every_seconds=2, what="everything is derived")
            yield FilledLibrary(deployment=deployment, stack=stack, client=client, summary=summary, ids=ids)


def test_at_least_99_percent_of_the_documents_are_taken_in(library: FilledLibrary) -> None:
    counts = library.summary["counts"]
    total = len(html_pages()) + len(pdfs())

    assert len(html_pages()) >= 500
    assert len(pdfs()) >= 10
    assert counts.get("failed", 0) <= total * 0.01
    assert all(item["reason"] for item in library.summary["items"] if item["state"] == "failed")


def test_every_document_is_put_into_a_class_and_most_pages_of_the_manual_into_the_right_one(
    library: FilledLibrary,
) -> None:
    poll_until(library.client.has_converged, within_seconds=90, every_seconds=0.3, what="converged")
    rows = library.deployment.query(
        "SELECT r.id, c.predicted, c.confidence, c.built_from, r.content_version FROM resources r"
        " LEFT JOIN resource_categories c ON c.resource_id = r.id WHERE r.content_version > 0 AND r.deleted_at IS NULL"
    )
    known = {str(UUID(str(row[0]))): row for row in rows}
    pages = [known[library.ids[str(path)]] for path in html_pages() if library.ids[str(path)] in known]
    sure = [row for row in pages if row[1] is not None and row[2] >= 0.7]

    assert rows
    assert [row for row in rows if row[3] != row[4]] == []
    assert len(sure) >= 0.6 * len(pages)
    assert sum(row[1].startswith("0") for row in sure) >= 0.9 * len(sure)


def test_the_summary_equals_the_counts_in_the_tables(library: FilledLibrary) -> None:
    counts = library.summary["counts"]
    rows = library.deployment.query(
        "SELECT ingestion_status, count(*) FROM resources WHERE ingest_key LIKE 'sha256:%' GROUP BY 1"
    )
    in_tables = dict(rows)

    assert in_tables.get("failed", 0) == counts.get("failed", 0)
    known = counts.get("already known", 0)
    assert in_tables["completed"] == sum(counts.values()) - counts.get("failed", 0) - known
    assert sum(counts.values()) == len(html_pages()) + len(pdfs())


def test_an_exact_phrase_from_the_middle_finds_its_document(library: FilledLibrary) -> None:
    phrases = (*seeded_phrases(), *pdf_phrases())
    missed = [
        phrase
        for phrase in phrases
        if library.ids[str(phrase.file)] not in library.client.found(f'"{phrase.text}"', mode="keyword", limit=3)
    ]

    assert len(phrases) == 110
    assert missed == []


def test_questions_in_other_words_are_answered_by_meaning_and_not_by_keyword(library: FilledLibrary) -> None:
    questions = load_semantic_questions()
    recall = {
        mode: sum(
            library.ids[str(question.path)] in library.client.found(question.question, mode=mode)
            for question in questions
        )
        / len(questions)
        for mode in ("semantic", "keyword")
    }

    assert len(questions) >= 50
    assert recall["semantic"] >= SEMANTIC_RECALL_AT_10
    assert recall["keyword"] < KEYWORD_RECALL_AT_10


def test_after_a_change_only_the_new_words_are_found_within_two_seconds(library: FilledLibrary, alone: Alone) -> None:
    """Of a page that was taken in; it is as it was afterwards, for the other tests."""
    client, page = library.client, seeded_phrases()[0]
    resource_id, old, new = library.ids[str(page.file)], f'"{page.text}"', '"a heron waited beside the frozen mill"'
    poll_until(client.has_converged, within_seconds=60, every_seconds=0.3, what="the library is idle")
    content = client.get(f"/resources/{resource_id}")["content"]
    assert resource_id in client.found(old, mode="keyword")

    with alone():
        begun = time.monotonic()
        client.put(f"/resources/{resource_id}", {"content": "A heron waited beside the frozen mill."})
        poll_until(
            lambda: (
                client.found(new, mode="keyword") == [resource_id]
                and resource_id not in client.found(old, mode="keyword")
            ),
            within_seconds=10,
            what="only the new words are found",
        )
        took = time.monotonic() - begun

    client.put(f"/resources/{resource_id}", {"content": content})
    poll_until(
        lambda: resource_id in client.found(old, mode="keyword"), within_seconds=60, what="the page is as it was"
    )
    assert took <= 2.0


def test_the_tenth_interaction_of_a_user_makes_a_profile_at_once_and_recommendations_with_reasons(
    library: FilledLibrary,
) -> None:
    client, user = library.client, {"user_id": "reader"}
    read = list(dict.fromkeys(library.ids.values()))[:10]
    for resource_id in read[:-1]:
        client.post("/interactions", {**user, "resource_id": resource_id, "type": "view"})
    before = client.get("/profile", **user)
    client.post("/interactions", {**user, "resource_id": read[-1], "type": "annotation"})
    poll_until(
        lambda: client.get("/profile", **user)["state"] == "fresh", within_seconds=60, what="the profile is built"
    )

    found = client.get("/recommendations", **user, limit=20)
    rows = library.deployment.query("SELECT built_from, revision FROM user_profiles WHERE user_id = 'reader'")
    assert (before["state"], before["built_from"]) == ("stale", 0)  # nine wait for 300 s
    assert rows == [(10, 1)]
    assert not found["cold_start"]
    assert len(found["items"]) == 20
    assert {item["id"] for item in found["items"]}.isdisjoint(read)
    assert all(item["reason"]["text"] for item in found["items"])
    assert any((item["reason"]["because"] or {}).get("resource_id") in read for item in found["items"])


def test_a_deleted_document_is_found_no_more(library: FilledLibrary) -> None:
    client, words = library.client, '"seventeen lanterns above the orchard wall"'
    created = client.post("/resources", {"title": "Notes", "content": "Seventeen lanterns above the orchard wall."})
    poll_until(lambda: client.found(words, mode="keyword") == [created["id"]], within_seconds=30, what="it is indexed")

    client.delete(f"/resources/{created['id']}")

    poll_until(lambda: client.found(words, mode="keyword") == [], within_seconds=30, what="it is gone")


def test_a_batch_re_embeds_its_documents_and_rescores_them_behind_other_work(library: FilledLibrary) -> None:
    ids = list(library.ids.values())[:4]
    poll_until(library.client.has_converged, within_seconds=60, every_seconds=0.3, what="converged")
    listed = ", ".join(
        f"'{one.replace('-', '') if library.deployment.name.startswith('sqlite') else one}'" for one in ids
    )
    built = f"SELECT count(*) FROM effects WHERE kind IN ('embedding', 'quality') AND subject IN ({listed})"
    [(before,)] = library.deployment.query(built)

    started = [library.client.post("/batches", {"operation": one, "ids": ids}) for one in ("re_embed", "rescore")]
    for batch in started:
        poll_until(partial(_is_completed, library, batch["id"]), within_seconds=60, what="the batch is completed")

    [(after,)] = library.deployment.query(built)
    assert [library.client.get(f"/batches/{batch['id']}")["progress"]["done"] for batch in started] == [4, 4]
    assert after - before == 8, "each was built once more, and no other"
    assert stale_by_the_tables(library.deployment) == []


def _is_completed(library: FilledLibrary, batch_id: str) -> bool:
    return bool(library.client.get(f"/batches/{batch_id}")["state"] == "completed")


def test_nothing_is_stale_by_the_tables_themselves(library: FilledLibrary) -> None:
    poll_until(library.client.has_converged, within_seconds=60, every_seconds=0.3, what="converged")

    assert stale_by_the_tables(library.deployment) == []


def test_a_row_made_stale_by_hand_is_reported_and_mended(library: FilledLibrary) -> None:
    poll_until(library.client.has_converged, within_seconds=60, every_seconds=0.3, what="converged")
    [(resource_id,)] = library.deployment.query(
        "SELECT resource_id FROM derived_states WHERE kind = 'quality' AND built_from > 0 LIMIT 1"
    )
    row = f"resource_id = '{resource_id}' AND kind = 'quality'"

    # Three at once, so that the reconciler cannot mend them all between two looks.
    library.deployment.query(
        "UPDATE derived_states SET built_from = 0 WHERE kind = 'quality' AND resource_id IN"
        " (SELECT resource_id FROM derived_states WHERE kind = 'quality' LIMIT 300)"
        f" OR ({row})"
    )
    for table in ("embeddings", "search_documents"):  # what is built, and not what is noted of it
        some = f"SELECT resource_id FROM {table} ORDER BY resource_id LIMIT 2"
        library.deployment.query(f"UPDATE {table} SET built_from = 0 WHERE resource_id IN ({some})")

    assert library.client.get("/consistency")["kinds"]["quality"]["stale"] > 0
    poll_until(
        lambda: not stale_by_the_tables(library.deployment) and library.client.has_converged(),
        within_seconds=90,
        every_seconds=0.5,
        what="the stale rows are mended",
    )
    assert library.deployment.query(f"SELECT built_from > 0 FROM derived_states WHERE {row}")[0][0]


def test_authors_follow_a_document_that_comes_and_goes(library: FilledLibrary) -> None:
    client = library.client
    known = _authors(client, "zeileis achim")  # of two of the PDFs

    body = {"title": "On quills", "content": "A quill is a feather that writes.", "authors": ["Quill, Zenobia"]}
    made = client.post("/resources", body)
    poll_until(lambda: _authors(client, "zenobia") == [("Zenobia Quill", 1)], within_seconds=30, what="she is known")
    client.delete(f"/resources/{made['id']}")
    poll_until(lambda: _authors(client, "zenobia") == [], within_seconds=30, what="she is forgotten")
    poll_until(client.has_converged, within_seconds=60, every_seconds=0.3, what="all of it is derived")

    assert known == [("Achim Zeileis", 2)]
    assert stale_by_the_tables(library.deployment) == []


def _authors(client: Client, query: str) -> list[tuple[str, int]]:
    return [(one["name"], one["document_count"]) for one in client.get("/authors", query=query)["items"]]
