"""Classes over HTTP: the tree, decisions, and what is to be reviewed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi.testclient import TestClient

from app.services import classifying
from app.services.library import Library
from tests.integration.api.answers import create


def classified(client: TestClient, library: Library, **fields: Any) -> str:
    made = str(create(client, **fields)["id"])
    classifying.classify(library, UUID(made), work=library.work)
    return made


def codes_of(nodes: list[dict[str, Any]]) -> list[str]:
    return [code for node in nodes for code in (node["code"], *codes_of(node["children"]))]


def test_the_tree_begins_with_ten_classes_and_their_divisions(client: TestClient) -> None:
    items = client.get("/classification/tree").json()["items"]

    assert [node["code"] for node in items if len(node["code"]) == 3 and node["code"].endswith("00")] == [
        f"{number}00" for number in range(10)
    ]
    assert len(codes_of(items)) >= 99


def test_a_decision_is_made_and_taken_back_with_the_version_it_was_meant_for(
    client: TestClient, library: Library
) -> None:
    path = f"/resources/{classified(client, library, content='A text about zebras.')}/classification"
    said = client.get(path)

    decided = client.put(path, json={"code": "590"}, headers={"If-Match": said.headers["ETag"]})
    late = client.put(path, json={"code": "570"}, headers={"If-Match": said.headers["ETag"]})
    unknown = client.put(path, json={"code": "999"})
    back = client.delete(path)

    assert (decided.status_code, late.status_code, unknown.status_code, back.status_code) == (200, 412, 422, 200)
    assert (decided.json()["code"], decided.json()["decided_by"]) == ("590", "person")
    assert decided.json()["predicted"] == said.json()["predicted"] == back.json()["code"]
    assert back.headers["ETag"] == '"3"'
    assert client.delete(path).headers["ETag"] == '"3"'  # nobody has decided: nothing to take back


def test_what_is_to_be_reviewed_is_listed_page_by_page_until_somebody_decides(
    client: TestClient, library: Library
) -> None:
    made = {classified(client, library, title=f"Empty {number}") for number in range(3)}
    seen, cursor = [], None
    while True:
        asked = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = client.get("/classification/review", params=asked).json()
        seen += [item["resource_id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert made <= set(seen)
    assert len(seen) == len(set(seen)) == page["total"]
    assert client.put(f"/resources/{min(made)}/classification", json={"code": "000"}).status_code == 200
    assert client.get("/classification/review").json()["total"] == page["total"] - 1
    assert client.get("/classification/review", params={"cursor": "bm9wZQ"}).status_code == 422


def test_codes_are_made_changed_and_removed(client: TestClient) -> None:
    body = {"code": "599", "parent": "590", "label": "Mammals", "description": "whales, bats"}

    assert client.post("/classification/codes", json=body).status_code == 201
    assert client.post("/classification/codes", json=body).json()["type"].endswith("classification-code-exists")
    assert client.delete("/classification/codes/590").json()["type"].endswith("classification-code-in-use")
    changed = client.put("/classification/codes/599", json={"parent": "590", "label": "Mammals and others"})
    assert changed.json() == {"code": "599", "parent": "590", "label": "Mammals and others", "description": ""}
    assert client.delete("/classification/codes/599").status_code == 204
    assert client.delete("/classification/codes/599").status_code == 404
