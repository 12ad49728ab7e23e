"""Access: what an operation asks of the key it is called with. Each operation of the API and the console says it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer, SecurityScopes
from starlette.types import Scope as AsgiScope

from app.errors import ScopeNeeded
from app.models.api_key import Scope
from app.services.api_keys import KeyHolder

KEY_COOKIE = "alexandria_key"
"""Where a browser keeps the key that its reader signed in with."""
SIGN_IN = "/console/sign-in"
_STATE = "key_holder"


_HEADER = APIKeyHeader(name="X-API-Key", scheme_name="ApiKey", auto_error=False)
_BEARER = HTTPBearer(scheme_name="Bearer", auto_error=False)


async def _may(
    request: Request,
    needed: SecurityScopes,
    _header: Annotated[object, Security(_HEADER)],  # these two are for the documentation: whose key it is
    _bearer: Annotated[object, Security(_BEARER)],  # was found out before anything of the request was read
) -> None:
    holder = holder_of(request.scope)
    missing = set(needed.scopes) - holder.scopes if holder is not None else set()
    if holder is not None and missing:
        raise ScopeNeeded(f"the key {holder.name} has not the scope {', '.join(sorted(missing))}, which this needs")


Reads = Security(_may, scopes=[Scope.READ])
Writes = Security(_may, scopes=[Scope.WRITE])
Administers = Security(_may, scopes=[Scope.ADMIN])
"""Dependencies of an operation: refuse a key without that scope."""


def hold(scope: AsgiScope, holder: KeyHolder) -> None:
    """The request of `scope` came with this key."""
    scope.setdefault("state", {})[_STATE] = holder


def holder_of(scope: AsgiScope) -> KeyHolder | None:
    """Whose key the request came with; None where no key is asked for."""
    holder: KeyHolder | None = scope.get("state", {}).get(_STATE)
    return holder


def client_of(request: Request) -> str:
    """Who is counted by a rate limit: the key, or without keys the client's address."""
    holder = holder_of(request.scope)
    if holder is not None:
        return f"key {holder.prefix}"
    return request.client.host if request.client else "unknown"
