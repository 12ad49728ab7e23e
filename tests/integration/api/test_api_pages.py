from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from tests.integration.api.answers import assert_problem, create


def turn_pages(
    client: TestClient, *, between: Callable[[], object] = lambda: None, **parameters: Any
) -> list[dict[str, Any]]:
    """Every item, page by page; `between` happens before each next page."""
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = client.get("/resources", params=parameters | ({"cursor": cursor} if cursor else {})).json()
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items
        between()


@pytest.mark.parametrize("sort", ["created_at", "-created_at", "updated_at", "-updated_at", "title", "-title"])
def test_pages_repeat_nothing_while_others_insert(client: TestClient, sort: str) -> None:
    creator = f"creator {uuid4()}"
    made = {create(client, title=f"Title {number % 4}", creator=creator)["id"] for number in range(11)}
    found = turn_pages(
        client,
        between=lambda: create(client, title="Title 2", creator=creator),
        creator=creator,
        sort=sort,
        limit=3,
    )
    ids = [item["id"] for item in found]
    assert len(ids) == len(set(ids))
    assert made <= set(ids)
    values = [item[sort.removeprefix("-")] for item in found]
    assert values == sorted(values, reverse=sort.startswith("-"))


def test_a_page_counts_all_of_them_and_shows_no_content(client: TestClient) -> None:
    creator = f"creator {uuid4()}"
    for _ in range(3):
        create(client, creator=creator, content="long text")
    page = client.get("/resources", params={"creator": creator, "limit": 2}).json()
    assert (page["total"], len(page["items"])) == (3, 2)
    assert "content" not in page["items"][0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("language", "fi"),
        ("type", "Dataset"),
        ("format", "application/pdf"),
        ("source", "https://example.org/a?b=c"),
        ("subject", "rare % subject"),
        ("ingestion_status", "completed"),
    ],
)
def test_a_filter_shows_those_that_match_and_no_others(client: TestClient, name: str, value: str) -> None:
    creator = f"creator {uuid4()}"
    fields: dict[str, Any] = {"subject": ["common", value]} if name == "subject" else {name: value}
    wanted = create(client, creator=creator, **({} if name == "ingestion_status" else fields))["id"]
    if name != "ingestion_status":
        create(client, creator=creator, language="en", type="Text", format="text/html", subject=["rare"])
    found = client.get("/resources", params={"creator": creator, name: value}).json()["items"]
    assert [item["id"] for item in found] == [wanted]


def test_a_cursor_belongs_to_its_order(client: TestClient) -> None:
    for _ in range(2):
        create(client)
    cursor = client.get("/resources", params={"limit": 1}).json()["next_cursor"]
    refused = client.get("/resources", params={"limit": 1, "sort": "title", "cursor": cursor})
    assert_problem(refused, 422, "invalid-input")
