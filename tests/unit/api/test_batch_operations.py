"""What a batch can do is said in one table, and everybody offers the whole of it."""

from __future__ import annotations

from typing import get_args

from app.commands import batches as command
from app.models.batch import BatchOperation
from app.models.derived import DerivedKind
from app.schemas import batch as schema
from app.services.batch_operations import OPERATIONS


def test_the_table_the_api_and_the_command_line_know_the_same_operations() -> None:
    named = {str(one) for one in BatchOperation}

    assert {str(one) for one in OPERATIONS} == set(get_args(schema.Operation)) == named
    assert {str(one) for one in command.Operation} == named


def test_what_a_model_or_a_formula_makes_can_be_made_anew_by_a_batch() -> None:
    rebuilt = [one.kind for one in OPERATIONS.values() if one.kind is not None]

    assert len(set(rebuilt)) == len(rebuilt)
    assert set(rebuilt) == set(DerivedKind) - {DerivedKind.AUTHORS, DerivedKind.CITATIONS}
