"""What every shape shares: unknown fields are refused, nothing is guessed, and text can be stored."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

NO_NUL = {"pattern": r"^[^\x00]*$"}
LINE_LENGTH_MAX = 1000


class Input(BaseModel):
    """A body sent by a client: an unknown field, or "3" where 3 is meant, is refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Output(BaseModel):
    """A body sent to a client."""

    model_config = ConfigDict(from_attributes=True)


def _storable(value: str) -> str:
    """PostgreSQL stores no NUL, and nobody half of a surrogate pair, which JSON can spell."""
    if "\x00" in value:
        raise ValueError("text must not contain NUL characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("text must not contain half of a surrogate pair") from None
    return value


def _date_text(value: object) -> object:
    """A date is text: pydantic would read 0 as 1970-01-01."""
    if isinstance(value, str) and len(value) == len("YYYY-MM-DD"):
        return value
    if isinstance(value, date) or value is None:
        return value
    raise ValueError("a date is written YYYY-MM-DD")


def _no_nul(schema: dict[str, Any]) -> None:
    schema.update(NO_NUL)


Text = Annotated[str, AfterValidator(_storable), Field(json_schema_extra=_no_nul)]
Line = Annotated[Text, Field(max_length=LINE_LENGTH_MAX)]
Label = Annotated[Text, Field(min_length=1, max_length=200)]
Paragraph = Annotated[Text, Field(max_length=20_000)]
Day = Annotated[date, BeforeValidator(_date_text), Field(strict=False)]
