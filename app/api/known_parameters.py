"""Known parameters: a name in a query string that means nothing here is refused, as one in a body is."""

from __future__ import annotations

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute


async def _refuse_unknown(request: Request) -> None:
    route: APIRoute = request.scope["route"]
    known = _names(route.dependant)
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        reason = "Extra inputs are not permitted"
        raise RequestValidationError(
            [{"type": "extra_forbidden", "loc": ("query", name), "msg": reason} for name in unknown]
        )


def _names(dependant: Dependant) -> set[str]:
    """Of the operation, and of what it depends on."""
    return {parameter.alias for parameter in dependant.query_params}.union(*map(_names, dependant.dependencies))


KnownParametersOnly = Depends(_refuse_unknown)
"""Dependency of operations that take each query parameter by itself."""
