"""Archive records: one kind of line of an export, each a row of a table that nothing else could restore."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from types import UnionType
from typing import Annotated, Any, Literal, get_args, get_type_hints

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, create_model
from sqlalchemy import Column, ColumnElement, String, func, select, tuple_
from sqlalchemy.orm import Session, undefer
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from app.errors import InvalidInput
from app.events.outbox import is_postgres
from app.models.base import Base
from app.services.library import Library
from app.services.resources import is_storable

SLICE = 200
_INTEGER_MAX = 2**31 - 1


class Outcome(StrEnum):
    """What became of one record. KEPT: what the library has in its place is as new, or newer, and stays."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    KEPT = "kept"


class TableRecords:
    """The rows of one table as records. For a table whose rows mean something to others, override `accept`."""

    name: str
    model: type[Base]
    left_out: frozenset[str] = frozenset()

    def __init__(self, name: str, model: type[Base]) -> None:
        self.name, self.model = name, model

    def where(self) -> Sequence[ColumnElement[bool]]:
        """Which rows are records; all of them."""
        return ()

    def more_fields(self) -> dict[str, Any]:
        """Fields beside the columns, as `create_model` takes them."""
        return {}

    def more_values(self, session: Session, row: Base) -> dict[str, Any]:  # noqa: ARG002
        """And their values."""
        return {}

    def accept(self, library: Library, values: Mapping[str, Any], *, is_only_checked: bool) -> Outcome:
        """Put a record into the library, in a transaction of its own, or see whether it could be.

        Raises `InvalidInput` when it cannot be. A look writes nothing, so what comes before the record in the same
        export may not be there: it passes over what the record refers to.
        """
        with library.work() as unit:
            present = unit.session.get(self.model, tuple(values[column.name] for column in self.key))
            if present is not None:
                return Outcome.UNCHANGED if self.is_same(present, values) else Outcome.KEPT
            if not is_only_checked:
                unit.session.add(self.model(**values))
            return Outcome.CREATED

    @cached_property
    def columns(self) -> list[Column[Any]]:
        """The columns that are written, in their order."""
        return [column for column in self.model.metadata.tables[self.model.__tablename__].columns if self._has(column)]

    @cached_property
    def key(self) -> list[Column[Any]]:
        """Of the table."""
        return [column for column in self.columns if column.primary_key]

    @cached_property
    def shape(self) -> type[BaseModel]:
        """A record as JSON: bytes in base64, times in ISO 8601, ids as text."""
        hints = get_type_hints(self.model)
        fields: dict[str, Any] = {"record": (Literal[self.name], self.name)}
        fields |= {column.name: _field(get_args(hints[column.name])[0], column) for column in self.columns}
        config = ConfigDict(extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")
        return create_model(f"{self.name}_record", __config__=config, **fields, **self.more_fields())

    def count(self, session: Session) -> int:
        """How many records there are."""
        return session.scalar(select(func.count()).select_from(self.model).where(*self.where())) or 0

    def lines(self, session: Session) -> Iterator[str]:
        """Every record as JSON, in the order of their keys. One row and `SLICE` keys are in memory, and no more."""
        for key in self._keys(session):
            row = session.get(self.model, key, options=[undefer("*")])
            if row is None:
                continue
            values = {column.name: getattr(row, column.name) for column in self.columns}
            values |= self.more_values(session, row)
            session.expunge_all()
            yield self.shape.model_validate(values).model_dump_json()

    def parse(self, line: bytes) -> dict[str, Any]:
        """The values of one line; `InvalidInput` says what is wrong with it."""
        try:
            record = self.shape.model_validate_json(line, strict=True)
        except ValidationError as error:
            raise _refusal(error) from None
        values = {name: getattr(record, name) for name in self.shape.model_fields if name != "record"}
        for name, value in values.items():
            if not _can_be_stored(value):
                raise InvalidInput(f"{name}: it holds a NUL character or half of a surrogate pair")
        return values

    def is_same(self, row: Base, values: Mapping[str, Any]) -> bool:
        """Whether the row says what the record says."""
        return all(getattr(row, column.name) == values[column.name] for column in self.columns)

    def _has(self, column: Column[Any]) -> bool:
        return column.name not in self.left_out

    def _keys(self, session: Session) -> Iterator[tuple[Any, ...]]:
        ordered = tuple_(*(_by_code_point(session, column) for column in self.key))
        after: tuple[Any, ...] | None = None
        while True:
            chosen = select(*self.key).where(*self.where()).order_by(*ordered.clauses).limit(SLICE)
            keys = [tuple(row) for row in session.execute(chosen if after is None else chosen.where(ordered > after))]
            yield from keys
            if len(keys) < SLICE:
                return
            after = keys[-1]


def check_as_sent(shape: type[BaseModel], values: Mapping[str, Any]) -> None:
    """`InvalidInput` for what the API takes from nobody, whose shape this is."""
    try:
        shape.model_validate({name: values[name] for name in shape.model_fields if name in values})
    except ValidationError as error:
        raise _refusal(error) from None


def _refusal(error: ValidationError) -> InvalidInput:
    first = error.errors(include_url=False, include_input=False)[0]
    return InvalidInput(f"{'.'.join(map(str, first['loc'])) or 'the line'}: {first['msg']}")


def _by_code_point(session: Session, column: Column[Any]) -> ColumnElement[Any]:
    """One order on both databases."""
    return column.collate("C") if isinstance(column.type, String) and is_postgres(session) else column


def _field(annotation: Any, column: Column[Any]) -> tuple[Any, Any]:
    limits: dict[str, Any] = {}
    options = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    base = next(option for option in options if option is not type(None))
    if base is datetime:
        base = AwareDatetime
    elif base is int:
        limits = {"ge": -_INTEGER_MAX, "le": _INTEGER_MAX}
    elif base is str and isinstance(column.type, String) and column.type.length:
        limits = {"max_length": column.type.length}
    kind = Annotated[base, Field(**limits)] if limits else base
    if column.nullable:
        return kind | None, None
    return kind, column.default.arg if isinstance(column.default, ScalarElementColumnDefault) else ...


def _can_be_stored(value: object) -> bool:
    if isinstance(value, str):
        return is_storable(value)
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, dict):
        return all(_can_be_stored(part) for pair in value.items() for part in pair)
    return all(map(_can_be_stored, value)) if isinstance(value, list) else True
