"""The documentation shows what each operation takes and answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi.testclient import TestClient
from jsonschema_rs import validator_for


def contents(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for item in document["paths"].values():
        for operation in item.values():
            answers = [one for status, one in operation["responses"].items() if status.startswith("2")]
            for part in (*answers, operation.get("requestBody", {})):
                for media_type, content in part.get("content", {}).items():
                    yield operation["operationId"], media_type, content


def test_every_body_and_every_answer_has_an_example_that_fits(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    seen = 0
    for operation, media_type, content in contents(document):
        schema = content.get("schema", {})
        name = schema.get("$ref", "").rpartition("/")[2]
        named = document["components"]["schemas"].get(name, schema)
        examples = [content["example"]] if "example" in content else named.get("examples", [])
        assert examples, (operation, media_type)
        whole = validator_for({**schema, "components": document["components"]})
        assert [str(error) for example in examples for error in whole.iter_errors(example)] == [], operation
        seen += 1
    assert seen > 20
