"""`/library/{id}/edit`: change a document. A change that somebody else made meanwhile is never written over unseen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response
from pydantic import ValidationError
from starlette.responses import RedirectResponse

from app.errors import TooLarge, VersionConflict
from app.schemas.resource import ResourceUpdate
from app.services import resources, texts
from app.web.console import CausesTasks, Console, TheConsole
from app.web.page_route import PageRoute
from app.web.rendering import render

router = APIRouter(route_class=PageRoute, include_in_schema=False, prefix="/library/{resource_id}")

OPTIONAL = ("creator", "description", "language")


@router.get("/edit")
def show_form(request: Request, resource_id: UUID, console: TheConsole) -> Response:
    """The form, with what is there."""
    version, fields = _current(console, resource_id)
    return _form(request, resource_id, version=version, fields=fields)


@router.post("/edit", dependencies=[CausesTasks])
def save(
    request: Request,
    resource_id: UUID,
    console: TheConsole,
    version: Annotated[int, Form()],
    title: Annotated[str, Form()] = "",
    creator: Annotated[str, Form()] = "",
    description: Annotated[str, Form()] = "",
    language: Annotated[str, Form()] = "",
    subject: Annotated[str, Form()] = "",
    content: Annotated[str, Form()] = "",
) -> Response:
    """Write the change for the version it was made from."""
    fields = {
        **{"title": title.strip(), "creator": creator.strip(), "description": _lines(description).strip()},
        **{"language": language.strip(), "subject": _lines(subject), "content": _lines(content)},
    }
    try:
        changes = _changes(fields)
        resources.update(console.library, resource_id, changes, expected_version=version)
    except ValidationError as error:
        return _form(request, resource_id, version=version, fields=fields, status=422, problems=_problems(error))
    except TooLarge as error:
        return _form(request, resource_id, version=version, fields=fields, status=error.status, problems=[str(error)])
    except VersionConflict as error:
        newest, _ = _current(console, resource_id)
        return _form(request, resource_id, version=newest, fields=fields, status=error.status, began_at=version)
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


def _changes(fields: Mapping[str, str]) -> dict[str, Any]:
    """What the form says, checked as the API checks it; an empty field is no value."""
    subjects = [line.strip() for line in fields["subject"].splitlines() if line.strip()]
    optional = {name: fields[name] or None for name in OPTIONAL}
    update = ResourceUpdate(title=fields["title"], content=fields["content"], subject=subjects, **optional)
    return update.model_dump(exclude_unset=True)


def _lines(text: str) -> str:
    """Browsers send the ends of lines as CR LF, whatever the text had."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _problems(error: ValidationError) -> list[str]:
    found = error.errors(include_url=False, include_input=False)
    return [f"{entry['loc'][0] if entry['loc'] else 'form'}: {entry['msg']}" for entry in found]
