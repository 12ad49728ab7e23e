"""Ingestion requests and their receipt."""

from __future__ import annotations

from uuid import UUID

from pydantic import ConfigDict, Field

from app.schemas.shape import Address, Input, Output


class IngestRequest(Input):
    """A web page to take in."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"url": "https://example.org/paper.html"}]})

    url: Address = Field(description="http:// or https://, a public host")
    refresh: bool = Field(default=False, description="Fetch a known page again, and update it if it changed")


class IngestAccepted(Output):
    """The receipt: where to look, and what to wait for."""

    resource_id: UUID
    call_id: UUID | None = Field(description="The call that reads the document; null when it ended long ago")
    status_url: str
    created: bool = Field(description="False: the library has this URL, or these bytes, already")
