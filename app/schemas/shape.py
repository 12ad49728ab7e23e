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


def whole_number(value: object) -> object:
    """JSON knows no integers: 3.0 is 3, but neither "3" nor true is."""
    if isinstance(value, bool | str):
        raise ValueError("a whole number is expected")
    return value


def _no_nul(schema: dict[str, Any]) -> None:
    schema.update(NO_NUL)


_IS_STORABLE = AfterValidator(_storable)
_SAYS_SO = Field(json_schema_extra=_no_nul)
Text = Annotated[str, _SAYS_SO, _IS_STORABLE]
Line = Annotated[str, Field(max_length=LINE_LENGTH_MAX), _SAYS_SO, _IS_STORABLE]
Label = Annotated[str, Field(min_length=1, max_length=200), _SAYS_SO, _IS_STORABLE]
Name = Annotated[str, Field(pattern=r"^[^\x00-\x20][^\x00]{0,199}$"), _IS_STORABLE]
Paragraph = Annotated[str, Field(max_length=20_000), _SAYS_SO, _IS_STORABLE]
Address = Annotated[str, Field(max_length=2048), _SAYS_SO, _IS_STORABLE]
Code = Annotated[str, Field(max_length=16), _SAYS_SO, _IS_STORABLE]
QueryText = Annotated[str, Field(max_length=1000), _SAYS_SO, _IS_STORABLE]
Cursor = Annotated[str, Field(max_length=8000), _SAYS_SO, _IS_STORABLE]
Year = Annotated[int, Field(strict=False, ge=1, le=9999), BeforeValidator(whole_number)]
Version = Annotated[int, Field(strict=False, ge=1), BeforeValidator(whole_number)]
PageLength = Annotated[int, Field(strict=False, ge=1, le=100), BeforeValidator(whole_number)]
Day = Annotated[date, BeforeValidator(_date_text), Field(strict=False)]
