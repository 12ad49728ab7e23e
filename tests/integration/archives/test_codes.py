"""The tree of codes is the same after an import, and what was changed last holds."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from app.knowledge.category_tree import Category
from app.services import archives, category_codes, classifiers, resources
from app.services.deleted_code_archive import FIRST_CODES_AT
from app.services.library import Library
from tests.integration.archives.conftest import as_lines, create, exported, imported, records

pytestmark = pytest.mark.integration


def codes(library: Library) -> list[dict[str, Any]]:
    return records(exported(library), "classification_code")


def code(library: Library, name: str) -> dict[str, Any]:
    return next(said for said in codes(library) if said["code"] == name)


def later(said: dict[str, Any], **changes: Any) -> dict[str, Any]:
    moved = datetime.fromisoformat(said["updated_at"]) + timedelta(seconds=1)
    return {**said, "updated_at": moved.isoformat(), **changes}


def in_force(library: Library) -> str:
    with library.database.reader() as session:
        return classifiers.name_in_force(session, library.embedding_model)


def test_a_code_comes_after_the_one_above_it(small: Library) -> None:
    told = codes(small)
    place = {said["code"]: number for number, said in enumerate(told)}

    assert place["A1"] > place["Z9"]
    assert all(place[said["parent"]] < place[said["code"]] for said in told if said["parent"])


def test_the_code_that_was_changed_last_holds(library: Library, other: Library) -> None:
    changed = Category(code="520", parent="500", label="Stars", description="stars")
    category_codes.change(library, changed)
    category_codes.change(other, Category(code="510", parent="500", label="Numbers", description="sums"))
    before = in_force(other)

    assert imported(other, as_lines(code(library, "520"), code(library, "510"))).outcomes == {"updated": 1, "kept": 1}

    assert (code(other, "520"), code(other, "510")["label"]) == (code(library, "520"), "Numbers")
    assert in_force(other) != before  # what the old tree said is stale
    before = in_force(other)
    assert imported(other, as_lines(code(library, "520"))).outcomes == {"unchanged": 1}
    assert in_force(other) == before


def test_two_edits_of_one_time_stay_where_they_are(library: Library) -> None:
    said = code(library, "520")

    assert imported(library, as_lines({**said, "label": "Another"})).outcomes == {"kept": 1}
    assert code(library, "520") == said


def test_first_codes_that_were_deleted_are_deleted_where_nobody_needs_them(library: Library, other: Library) -> None:
    below = [said["code"] for said in codes(library) if said["parent"] == "900"]
    for name in (*below, "900"):
        category_codes.delete(library, name)
    lines = exported(library)
    looked = archives.import_lines(other, b"".join(lines), is_only_checked=True)

    report = imported(other, lines)

    assert looked.outcomes == report.outcomes == {"unchanged": len(codes(library)), "updated": len(below) + 1}
    assert exported(other) == lines
    before = in_force(other)
    assert imported(other, lines).outcomes == {"unchanged": len(lines) - 1}
    assert in_force(other) == before


def test_a_deleted_code_that_was_changed_or_is_in_use_stays(library: Library, other: Library) -> None:
    for name in ("970", "980", "990"):
        category_codes.delete(library, name)
    category_codes.change(other, Category(code="980", parent="900", label="The Andes", description="Incas"))
    category_codes.create(other, Category(code="Z9", parent="970", label="Zebras", description="stripes"))
    resources.update(other, create(other, title="Maoris"), {"classification_code": "990"})

    report = imported(other, as_lines(*records(exported(library), "deleted_code")))

    assert (report.outcomes, report.failures) == ({"kept": 3}, [])
    assert {"970", "980", "990"} <= {said["code"] for said in codes(other)}


def test_a_deleted_code_that_no_library_begins_with_is_refused(small: Library) -> None:
    report = imported(small, as_lines({"record": "deleted_code", "code": "Z9"}))

    assert [one.detail for one in report.failures] == ["code: Z9 is none of the codes that a library begins with"]
    assert code(small, "Z9")


def test_every_first_code_is_of_the_first_day(library: Library) -> None:
    assert {datetime.fromisoformat(said["updated_at"]) for said in codes(library)} == {FIRST_CODES_AT}


def test_codes_that_make_no_tree_are_refused(library: Library) -> None:
    said = code(library, "500")
    broken = {
        "there is no classification code X1": later(said, code="X2", parent="X1"),
        "cannot be above it too": later(said, parent="520"),
        "code: String should match pattern": later(said, code="a b"),
        "label: ": later(said, label=" "),
    }
    before = exported(library)

    report = imported(library, as_lines(*broken.values()))

    assert len(report.failures) == len(broken)
    for failure, expected in zip(report.failures, broken, strict=True):
        assert expected in failure.detail
    assert exported(library) == before


def test_a_look_passes_over_a_parent_that_comes_with_the_import(small: Library, other: Library) -> None:
    below = b"".join(as_lines(code(small, "A1")))

    assert archives.import_lines(other, below, is_only_checked=True).outcomes == {"created": 1}
    assert [one.detail for one in archives.import_lines(other, below).failures] == [
        "there is no classification code Z9"
    ]
