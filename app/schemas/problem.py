"""Problem: every error, as RFC 9457 has it."""

from __future__ import annotations

from pydantic import BaseModel, Field

TYPE_PREFIX = "urn:neo-alexandria:problem:"


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    loc: list[str | int] = Field(description="Where: `body`, `query`, `path` or `header`, then the names on the way")
    msg: str


class Problem(BaseModel):
    """`application/problem+json`. `type` is stable: programs compare it, people read `detail`."""

    type: str = Field(examples=[f"{TYPE_PREFIX}not-found"])
    title: str = Field(examples=["Not found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["there is no resource 0198c0de-0000-7000-8000-000000000000"])
    instance: str = Field(description="The path of the request")
    correlation_id: str = Field(description="The id to find this request by in logs, events and calls")
    errors: list[FieldProblem] | None = Field(default=None, description="Of an input that does not fit its shape")
