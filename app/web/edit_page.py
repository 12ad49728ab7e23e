"""`/library/{id}/edit`: change a document. A change that somebody else made meanwhile is never written over unseen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel, ValidationError
from starlette.responses import RedirectResponse

from app.access import Reads, Writes
from app.errors import TooLarge, VersionConflict
from app.schemas.resource import ResourceUpdate
from app.services import resources, texts
from app.web.console import CausesTasks, Console, TheConsole
from app.web.page_route import PageRoute
from app.web.rendering import render
from app.web.wording import sentence

router = APIRouter(route_class=PageRoute, include_in_schema=False, prefix="/library/{resource_id}")

TEXT_BYTES_MAX = 32 * 1024 * 1024
"""Of the form: more than the longest text that the library takes. The body as a whole has a limit of its own."""
OPTIONAL = frozenset({"creator", "description", "language", "classification_code"})


class EditForm(BaseModel):
    """The form as a browser sends it: text, whatever is in it."""

    version: int
    title: str = ""
    creator: str = ""
    description: str = ""
    language: str = ""
    classification_code: str = ""
    subject: str = ""
    content: str = ""

    def fields(self) -> dict[str, str]:
        """What was typed."""
        return _as_typed(self.model_dump(exclude={"version"}))


@router.get("/edit", dependencies=[Reads])
def show_form(request: Request, resource_id: UUID, console: TheConsole) -> Response:
    """The form, with what is there."""
    version, fields = _current(console, resource_id)
    return _form(request, resource_id, version=version, fields=fields)


@router.post("/edit", dependencies=[Writes, CausesTasks], form_limits={"max_part_size": TEXT_BYTES_MAX})
def save(request: Request, resource_id: UUID, console: TheConsole, sent: Annotated[EditForm, Form()]) -> Response:
    """Write the change for the version it was made from."""
    fields = sent.fields()
    shown: dict[str, Any] = {"version": sent.version, "fields": fields}
    _, current = _current(console, resource_id)
    try:
        changes = _changes(fields, _as_typed(current))
        resources.update(console.library, resource_id, changes, expected_version=sent.version)
    except ValidationError as error:
        return _form(request, resource_id, **shown, status=422, problems=_problems(error))
    except TooLarge as error:
        return _form(request, resource_id, **shown, status=error.status, problems=[sentence(error.detail)])
    except VersionConflict as error:
        newest, _ = _current(console, resource_id)
        return _form(request, resource_id, version=newest, fields=fields, status=error.status, began_at=sent.version)
    return RedirectResponse(f"/library/{resource_id}", 303)


def _form(
    request: Request,
    resource_id: UUID,
    *,
    version: int,
    fields: Mapping[str, str],
    status: int = 200,
    problems: Sequence[str] = (),
    began_at: int | None = None,
) -> Response:
    """`began_at`: the version that the refused change was made from; `version` is the one to write over now."""
    return render(
        request,
        "edit.html",
        status=status,
        resource_id=resource_id,
        version=version,
        fields=fields,
        problems=problems,
        began_at=began_at,
    )


def _current(console: Console, resource_id: UUID) -> tuple[int, dict[str, str]]:
    with console.library.database.reader() as session:
        resource = resources.find(session, resource_id)
        content = texts.text_of(session, resource_id).text
    fields = {name: getattr(resource, name) or "" for name in ("title", *OPTIONAL)}
    return resource.version, fields | {"subject": "\n".join(resource.subject), "content": content}


def _changes(fields: Mapping[str, str], current: Mapping[str, str]) -> dict[str, Any]:
    """What was typed anew, checked as the API checks it; an empty field is no value."""
    changed: dict[str, Any] = {name: text for name, text in fields.items() if text != current[name]}
    if "subject" in changed:
        changed["subject"] = [line.strip() for line in changed["subject"].splitlines() if line.strip()]
    for name in changed.keys() & OPTIONAL:
        changed[name] = changed[name] or None
    return ResourceUpdate.model_validate(changed).model_dump(exclude_unset=True)


def _as_typed(fields: Mapping[str, str]) -> dict[str, str]:
    """Browsers send the ends of lines as CR LF, whatever the text had; around a text nothing is lost."""
    return {name: _lines(text) if name == "content" else _lines(text).strip() for name, text in fields.items()}


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _problems(error: ValidationError) -> list[str]:
    found = error.errors(include_url=False, include_input=False)
    return [f"{entry['loc'][0] if entry['loc'] else 'form'}: {entry['msg']}" for entry in found]
