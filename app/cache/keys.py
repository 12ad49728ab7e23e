"""Cache keys: the seed's patterns, their families and their times to live.

A *family* is a key prefix whose entries are dropped together by one command (`search_query:*`).
The book-keeping of the cache (`cache:lease:…`, `cache:tombstone:…`, `cache:generation:…`, `cache:stats`) lives
beside the values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic_core import to_json

EMBEDDING = "embedding:"
QUALITY = "quality:"
SEARCH_QUERY = "search_query:"
RESOURCE = "resource:"
GRAPH_NEIGHBORS = "graph:neighbors:"
RECOMMENDATIONS = "recommendations:"

ALL_SEARCH_QUERIES = f"{SEARCH_QUERY}*"

DEFAULT_TTL_SECONDS = 300
TTL_SECONDS: Mapping[str, int] = {
    EMBEDDING: 3600,
    QUALITY: 1800,
    SEARCH_QUERY: 300,
    RESOURCE: 600,
    GRAPH_NEIGHBORS: DEFAULT_TTL_SECONDS,
    RECOMMENDATIONS: DEFAULT_TTL_SECONDS,
}
"""Seconds by family, as in the seed; families it gives no number have its default."""

OTHER_FAMILY = "other:"
BOOKS = "cache:"
GLOB_SYNTAX = frozenset("*?[]\\")


def embedding_key(resource_id: str) -> str:
    """`embedding:{resource_id}`: an embedding vector."""
    return f"{EMBEDDING}{resource_id}"


def quality_key(resource_id: str) -> str:
    """`quality:{resource_id}`: quality scores."""
    return f"{QUALITY}{resource_id}"


def search_query_key(request: Mapping[str, object]) -> str:
    """`search_query:{hash}`: a page of results; SHA-256 of the request as JSON, whatever the order of its fields."""
    canonical = to_json(dict(sorted(request.items())))
    return f"{SEARCH_QUERY}{hashlib.sha256(canonical).hexdigest()}"


def resource_key(resource_id: str) -> str:
    """`resource:{resource_id}`: full resource data."""
    return f"{RESOURCE}{resource_id}"


def graph_neighbors_key(resource_id: str) -> str:
    """`graph:neighbors:{resource_id}`: graph neighbours."""
    return f"{GRAPH_NEIGHBORS}{resource_id}"


def recommendations_key(user_id: str) -> str:
    """`recommendations:{user_id}`: recommendations for a user."""
    return f"{RECOMMENDATIONS}{user_id}"


def default_ttl_seconds(key: str) -> int:
    """Seconds an entry lives when its writer says nothing."""
    return TTL_SECONDS.get(family_of(key), DEFAULT_TTL_SECONDS)


def family_of(key: str) -> str:
    """The family of a key, or `OTHER_FAMILY`."""
    return next((family for family in TTL_SECONDS if key.startswith(family)), OTHER_FAMILY)


def whole_family(pattern: str) -> str | None:
    """The family that `pattern` names entirely (`search_query:*`), or None."""
    prefix = pattern.removesuffix("*")
    return prefix if prefix != pattern and prefix in TTL_SECONDS else None


def is_literal(pattern: str) -> bool:
    """Whether `pattern` names one key and no more."""
    return GLOB_SYNTAX.isdisjoint(pattern)


def escaped(text: str) -> str:
    """`text` as a glob that matches only itself; for patterns built from an id."""
    return "".join(f"\\{char}" if char in GLOB_SYNTAX else char for char in text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyspace:
    """Names in the server; without a namespace a value's name is the key itself."""

    namespace: str = ""

    @property
    def _prefix(self) -> str:
        return f"{self.namespace}:" if self.namespace else ""

    def value(self, key: str) -> str:
        """Where the entry is."""
        return f"{self._prefix}{key}"

    def lease(self, key: str) -> str:
        """Who computes it now: an invalidation removes the lease, so that value is not stored."""
        return f"{self._prefix}{BOOKS}lease:{key}"

    def tombstone(self, key: str) -> str:
        """The version of the last invalidation."""
        return f"{self._prefix}{BOOKS}tombstone:{key}"

    def generation(self, family: str) -> str:
        """The random mark that every readable entry of the family carries."""
        return f"{self._prefix}{BOOKS}generation:{family}"

    def counters(self) -> str:
        """The hash of shared statistics."""
        return f"{self._prefix}{BOOKS}stats"

    def leases_matching(self, pattern: str) -> str:
        """A glob of the leases on what `pattern` matches."""
        return f"{escaped(self._prefix)}{BOOKS}lease:{pattern}"

    def values_matching(self, pattern: str) -> str:
        """A glob of what `pattern` matches; `is_value` tells which names it may drop."""
        return f"{escaped(self._prefix)}{pattern}"

    def is_value(self, name: str, *, pattern: str) -> bool:
        """Whether a name that the glob matched is an entry of the cache.

        The books stay. On a server shared with others, and without a namespace, a glob that begins
        with a wildcard reaches the known families only.
        """
        key = name.removeprefix(self._prefix)
        if key.startswith(BOOKS):
            return False
        return bool(self.namespace) or pattern[:1] not in GLOB_SYNTAX or family_of(key) != OTHER_FAMILY
