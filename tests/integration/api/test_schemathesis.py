"""Every operation of the OpenAPI document, asked with what its schema allows and with what it does not."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CheckFunction, negative_data_rejection, positive_data_acceptance
from sqlalchemy import select
from sqlalchemy.orm import undefer

from app import migrate
from app.main import create_app
from app.models.base import now
from app.models.derived import QualityScore
from app.models.outbox import DeadLetter, TaskCall
from app.models.resource import Resource
from app.services import author_decisions, authors
from app.services.author_groups import id_of
from app.services.library import Library
from app.services.search_indexing import update_search_index
from app.settings import load_settings
from tests.integration.api.answers import create
from tests.integration.api.conftest import nobody_listens, open_test_library
from tests.integration.api.dead_calls import dead_letter
from tests.integration.api.serving import served

OPERATIONS = (
    *("ingest_document", "create_resource", "list_resources", "read_resource", "update_resource", "delete_resource"),
    *("read_classification_tree", "create_classification_code", "update_classification_code"),
    *("delete_classification_code", "list_classification_models", "list_classifications_to_review"),
    *("read_resource_classification", "decide_resource_classification", "undecide_resource_classification"),
    *("read_resource_status", "read_resource_quality", "read_consistency", "find", "search", "read_task"),
    *("export_library", "import_records"),
    *("list_citations", "list_neighbors", "read_graph_overview"),
    *("list_authors", "read_author", "merge_authors", "split_author"),
    *("track_interaction", "list_interactions", "forget_user", "read_profile", "recommend"),
    *("list_dead_letters", "read_dead_letter", "replay_dead_letter", "replay_dead_letters", "discard_dead_letter"),
    *("create_batch", "list_batches", "read_batch", "list_batch_items", "cancel_batch"),
    *("list_quality_degradations", "list_quality_outliers", "read_quality_distribution", "list_quality_history"),
    *("read_event_history", "stream_events", "read_pool", "read_cache_stats"),
    *("read_broker_status", "read_workers_status", "read_liveness", "read_readiness", "read_metrics"),
)
# What these name is the server's to know: no schema can say which value is a good one.
WITH_HITS = -200
"""Counted beside the statuses: answers to a search that found something."""
FOUND = "foxglove"
KNOWN_CODE = "570"
SEARCHES = {"find", "search"}
DECISIONS = {"merge_authors", "split_author"}
OPAQUE = {"if-match", "idempotency-key", "cursor"}
ANY_BODY = {"import_records"}
"""Every body is one that the schema allows: a line that is none is named in the answer."""
ALLOWED_EXAMPLES = 100
REFUSED_EXAMPLES = 20


@schemathesis.serializer("application/x-ndjson")
def as_lines(_context: object, value: object) -> bytes:
    """What schemathesis has made up, as the bytes of a body."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    app: FastAPI
    library: Library
    client: TestClient
    address: str
    schema: Any
    resource_id: str
    call_id: str
    batch_id: str

    def operation(self, operation_id: str) -> Any:
        return self.schema.find_operation_by_id(operation_id)

    def real_id(self, parameter: str, *, method: str) -> str:
        """An id that exists; one to delete is made for the purpose."""
        if parameter == "letter_id" and method != "GET":
            return str(dead_letter(self.library))
        if parameter == "author_id":
            return str(id_of("lee|ann|"))
        if parameter == "code":
            return self.new_code() if method == "DELETE" else KNOWN_CODE
        if parameter == "batch_id":
            return self.batch_id if method == "GET" else new_batch(self.client, self.resource_id)
        if parameter in {"call_id", "letter_id"}:  # the letter of that call has its id
            return self.call_id
        return str(create(self.client)["id"]) if method == "DELETE" else self.resource_id

    def new_code(self) -> str:
        code = uuid4().hex[:16]
        assert self.client.post("/classification/codes", json={"code": code, "label": "Of one test"}).status_code == 201
        return code


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    path: Path = tmp_path_factory.mktemp("schemathesis") / "library.sqlite3"
    library = open_test_library(
        load_settings(
            database_url=f"sqlite:///{path}",
            broker_url=nobody_listens(),
            cache_url=nobody_listens(),
            rate_limit_per_minute=0,
            rate_limit_loopback_per_minute=0,
        )
    )
    migrate.upgrade(library.settings)
    app = create_app(library)
    client = TestClient(app, base_url="http://localhost")
    with served(app) as address:
        resource_id, call_id = furnish(client, library)
        schema = schemathesis.openapi.from_dict(app.openapi())
        yield Api(
            app=app,
            library=library,
            client=client,
            address=address,
            schema=schema,
            resource_id=resource_id,
            call_id=call_id,
            batch_id=new_batch(client, resource_id),
        )
    library.database.engine.dispose()


def new_batch(client: TestClient, resource_id: str) -> str:
    return str(client.post("/batches", json={"operation": "rescore", "ids": [resource_id]}).json()["id"])


def decide(api: Api, body: dict[str, Any]) -> None:
    """Two authors who can be merged, and a name that can be split off again."""
    if "author_ids" in body:
        body["author_ids"] = [str(id_of("ray|bob|"))]
        return
    author_decisions.merge(api.library, id_of("lee|ann|"), [id_of("ray|bob|")])
    body["variant_ids"], body["resource_ids"] = [str(id_of("ray|bob|"))], []


def furnish(client: TestClient, library: Library) -> tuple[str, str]:
    """A resource with a score, its call, and a dead letter; some that are found by a word, with values of all kinds."""
    resource_id = create(client, content="The quick brown fox", subject=["animals"])["id"]
    odd = {"creator": "Ann \u0130", "type": "a\x1fb", "classification_code": "5\x1f1"}
    for fields in ({}, {"language": "en", "publication_year": 1999, "format": "text/html", "subject": ["a", "b"]}, odd):
        create(client, content=f"{FOUND} of the {len(fields)} hounds", **fields)
    named = create(client, content="A text of two authors", authors=["Ann Lee", "Bob Ray"])["id"]
    authors.normalise(library, UUID(named), work=library.work)
    with library.database.writer() as session:
        for resource in session.scalars(select(Resource).options(undefer(Resource.content))):
            update_search_index(session, library.index, resource)
    scores = dict.fromkeys(("accuracy", "completeness", "consistency", "timeliness", "relevance", "overall"), 0.5)
    with library.database.writer() as session:
        session.add(QualityScore(resource_id=UUID(resource_id), weights={"accuracy": 0.2}, built_from=1, **scores))
        call = session.scalars(select(TaskCall).limit(1)).one()
        letter = {"task": call.task, "args": call.args, "queue": call.queue, "priority": 5, "reason": "invalid"}
        error = {"type": "invalid", "detail": "it could not succeed"}
        session.add(
            DeadLetter(id=call.id, call_id=call.id, generation=1, error=error, attempts=1, first_at=now(), **letter)
        )
        return resource_id, str(call.id)


def test_the_document_has_these_operations_and_no_others(api: Api) -> None:
    found = {operation["operationId"] for item in api.app.openapi()["paths"].values() for operation in item.values()}
    assert found == set(OPERATIONS)


@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_whatever_the_schema_allows_is_answered_as_the_schema_says(api: Api, operation_id: str) -> None:
    statuses = ask(api, operation_id, mode=GenerationMode.POSITIVE, examples=ALLOWED_EXAMPLES)
    if takes_anything(api.operation(operation_id)):  # of the others there is one example
        assert statuses.total() - statuses[WITH_HITS] >= ALLOWED_EXAMPLES
    assert any(200 <= status < 300 for status in statuses), statuses
    if operation_id in SEARCHES:
        assert statuses[WITH_HITS]


@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_whatever_the_schema_forbids_is_refused_as_the_schema_says(api: Api, operation_id: str) -> None:
    if takes_anything(api.operation(operation_id)):
        ask(api, operation_id, mode=GenerationMode.NEGATIVE, examples=REFUSED_EXAMPLES)
    else:
        ask(api, operation_id, mode=GenerationMode.POSITIVE, examples=1)


def takes_anything(operation: Any) -> bool:
    return bool(operation.path_parameters or operation.query or operation.headers or operation.body)


def ask(api: Api, operation_id: str, *, mode: GenerationMode, examples: int) -> Counter[int]:
    """Ask and check the answers; how often each status, and `WITH_HITS`, was among them."""
    operation = api.operation(operation_id)
    statuses: Counter[int] = Counter()
    chosen = random.Random(operation_id)  # not hypothesis': an id that exists must not be part of what it shrinks

    @settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def answers_fit(case: Any) -> None:
        excluded: list[CheckFunction] = []
        if mode is GenerationMode.POSITIVE:
            make_meaningful(api, case, chosen=chosen)
            if operation_id == "track_interaction" and isinstance(case.body, dict):  # which documents there are
                case.body["resource_id"] = api.resource_id
            if operation_id == "ingest_document":  # which addresses may be fetched is a policy, not a shape
                excluded.append(positive_data_acceptance)
        if mode is GenerationMode.NEGATIVE and operation_id in ANY_BODY:
            excluded.append(negative_data_rejection)
        if operation_id == "stream_events" and isinstance(case.query, dict):
            case.query["follow"] = "false"
        response = case.call(base_url=api.address)
        statuses[response.status_code] += 1
        statuses[WITH_HITS] += FOUND in response.text
        case.validate_response(response, excluded_checks=excluded)

    answers_fit()
    return statuses


def make_meaningful(api: Api, case: Any, *, chosen: random.Random) -> None:
    """An id that exists, mostly; none of the values that only the server can know; an address that may be fetched."""
    for name in list(case.path_parameters or {}):
        if chosen.random() < 0.8:
            case.path_parameters[name] = api.real_id(name, method=case.method)
    for place in (case.headers, case.query):
        for name in [name for name in place or {} if name.lower() in OPAQUE]:
            del place[name]
    if case.operation.definition.raw.get("operationId") in SEARCHES and chosen.random() < 0.5:
        asked = case.query if case.method == "GET" else case.body
        if isinstance(asked, dict):
            asked["query" if case.method == "GET" else "text"] = FOUND
    if isinstance(case.body, dict):
        make_body_meaningful(api, case, chosen=chosen)


def make_body_meaningful(api: Api, case: Any, *, chosen: random.Random) -> None:
    case.body.pop("cursor", None)
    if case.operation.definition.raw.get("operationId") in DECISIONS:
        decide(api, case.body)
    case.body.pop("parent", None)
    if case.path == "/resources/{resource_id}/classification":
        case.body["code"] = KNOWN_CODE
    if "url" in case.body and chosen.random() < 0.5:
        case.body["url"] = f"https://example.org/{uuid4()}"
