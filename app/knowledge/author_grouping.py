"""Which names are one author: a function of all the names there are, and of nothing else.

It does not matter in which order names came, nor whether all of them are grouped at once or one closed set of blocks
after another (`app.services.authors`). A join is made by the first of these rules that allows it:

1. a person said so (`joined`);
2. the ORCID iD is the same;
3. the full name is the same, and no ORCID iD says otherwise: a name without one joins the only iD of that name;
4. one is the other with initials in place of names, or with fewer names, in one family name and suffix, when
   - it is unambiguous: every third author that may be the one may be the other too, and
   - they have written with the same person: a fellow author of the same family name and first initial.

None is made between names that a person has parted (`parted`), that have different ORCID iDs, or that stand side by
side in one document: two of one name on one by-line are two.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations

from app.knowledge.author_names import initials_agree

Pair = tuple[str, str]


class MergeReason(StrEnum):
    """Why a name belongs to its author."""

    ONLY_NAME = "only_name"
    BY_HAND = "by_hand"
    SAME_ORCID = "same_orcid"
    SAME_NAME = "same_name"
    INITIALS = "initials"


@dataclass(frozen=True, slots=True, kw_only=True)
class NameNode:
    """One full name, with the ORCID iD it was given with: what is joined or kept apart.

    `documents` are those it stands on, `fellows` the blocks of the other persons there. `is_told_apart`: a person has
    said that it is somebody else of that name, so that only a person, or an ORCID iD, joins it to anybody.
    """

    key: str
    name_key: str
    block: str
    family_key: str
    given: tuple[str, ...] = ()
    suffix: str = ""
    orcid: str | None = None
    is_group: bool = False
    is_told_apart: bool = False
    documents: frozenset[str] = frozenset()
    fellows: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """A name of an author, why it is his, by which other name of his, and what they have in common."""

    key: str
    reason: MergeReason
    linked_to: str | None = None
    evidence: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorGroup:
    """One author: `canonical` is the key of his fullest name."""

    canonical: str
    members: tuple[Membership, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What persons have said of pairs of keys, each pair in order."""

    joined: frozenset[Pair] = frozenset()
    parted: frozenset[Pair] = frozenset()


@dataclass(frozen=True, slots=True)
class _Link:
    pair: Pair
    reason: MergeReason
    evidence: str | None = None


@dataclass(slots=True)
class _Clusters:
    """Names joined so far. Links are tried in an order of their own, so the outcome has no history."""

    nodes: Mapping[str, NameNode]
    parted: frozenset[Pair]
    members: dict[str, frozenset[str]] = field(init=False)
    links: list[_Link] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.members = {key: frozenset((key,)) for key in self.nodes}

    def join(self, links: Iterable[_Link]) -> None:
        for link in sorted(links, key=lambda link: link.pair):
            one, other = (self.members[key] for key in link.pair)
            if one is other or not self._may_join(one, other, link.reason):
                continue
            both = one | other
            self.members.update(dict.fromkeys(both, both))
            self.links.append(link)

    def all(self) -> list[frozenset[str]]:
        return sorted(set(self.members.values()), key=min)

    def orcids(self, cluster: Iterable[str]) -> set[str]:
        return {orcid for key in cluster if (orcid := self.nodes[key].orcid) is not None}

    def _may_join(self, one: frozenset[str], other: frozenset[str], reason: MergeReason) -> bool:
        if any(ordered(a, b) in self.parted for a in one for b in other):
            return False
        if reason is MergeReason.BY_HAND:
            return True
        return len(self.orcids(one | other)) <= 1 and (
            reason is MergeReason.SAME_ORCID or not self._side_by_side(one, other)
        )

    def _side_by_side(self, one: frozenset[str], other: frozenset[str]) -> bool:
        return not self._documents(one).isdisjoint(self._documents(other))

    def _documents(self, cluster: Iterable[str]) -> frozenset[str]:
        return frozenset().union(*(self.nodes[key].documents for key in cluster))

    def may_be_one(self, one: frozenset[str], other: frozenset[str]) -> bool:
        """By rule 4, evidence aside."""
        return all(_names_agree(self.nodes[a], self.nodes[b]) for a in one for b in other) and self._may_join(
            one, other, MergeReason.INITIALS
        )


def ordered(one: str, other: str) -> Pair:
    """A pair of keys as `Decisions` hold it."""
    return (one, other) if one < other else (other, one)


def group_names(nodes: Iterable[NameNode], decisions: Decisions) -> list[AuthorGroup]:
    """The authors, by their canonical key. Quadratic in the names of one block, linear in blocks."""
    known = {node.key: node for node in nodes}
    clusters = _Clusters(known, decisions.parted)
    clusters.join(
        _Link(pair, MergeReason.BY_HAND) for pair in decisions.joined if pair[0] in known and pair[1] in known
    )
    clusters.join(_same_orcid(known.values()))
    clusters.join(_same_name(known.values()))
    clusters.join(_by_initials(clusters))
    return sorted((_group(cluster, clusters) for cluster in clusters.all()), key=lambda group: group.canonical)


def _same_orcid(nodes: Iterable[NameNode]) -> list[_Link]:
    holders: dict[str, list[str]] = defaultdict(list)
    for node in nodes:
        if node.orcid is not None:
            holders[node.orcid].append(node.key)
    return [
        _Link(pair, MergeReason.SAME_ORCID, orcid)
        for orcid, keys in holders.items()
        for pair in combinations(sorted(keys), 2)
    ]


def _same_name(nodes: Iterable[NameNode]) -> list[_Link]:
    """Nodes of one full name differ in their ORCID iD: the one without joins the only one with."""
    alike: dict[str, list[NameNode]] = defaultdict(list)
    for node in nodes:
        if not node.is_told_apart and (node.is_group or any(len(part) > 1 for part in node.given)):
            alike[node.name_key].append(node)
    links = []
    for same in alike.values():
        named = [node for node in same if node.orcid is not None]
        unnamed = [node for node in same if node.orcid is None]
        if len({node.orcid for node in named}) == 1:
            links += [_Link(ordered(a.key, b.key), MergeReason.SAME_NAME) for a in unnamed for b in named]
    return links


def _by_initials(clusters: _Clusters) -> list[_Link]:
    """Rule 4. Who may be the same third authors ("twins") is an equivalence: nothing depends on the order."""
    blocks: dict[str, list[frozenset[str]]] = defaultdict(list)
    for cluster in clusters.all():
        nodes = [clusters.nodes[key] for key in cluster]
        if len({node.block for node in nodes}) == 1 and not any(node.is_group or node.is_told_apart for node in nodes):
            blocks[nodes[0].block].append(cluster)
    return [link for within in blocks.values() if len(within) > 1 for link in _twins(within, clusters)]


def _twins(within: list[frozenset[str]], clusters: _Clusters) -> list[_Link]:
    may_be = {cluster: {cluster} for cluster in within}
    for one, other in combinations(within, 2):
        if clusters.may_be_one(one, other):
            may_be[one].add(other)
            may_be[other].add(one)
    links = []
    for one, other in combinations(within, 2):
        if other in may_be[one] and may_be[one] == may_be[other]:
            fellow = _fellow(one, other, clusters)
            if fellow is not None:
                links.append(_Link(ordered(min(one), min(other)), MergeReason.INITIALS, fellow))
    return links


def _fellow(one: frozenset[str], other: frozenset[str], clusters: _Clusters) -> str | None:
    """Somebody both have written with; the first by name, if several."""
    with_one, with_other = (
        frozenset().union(*(clusters.nodes[key].fellows for key in cluster)) for cluster in (one, other)
    )
    return min(with_one & with_other, default=None)


def _names_agree(one: NameNode, other: NameNode) -> bool:
    same_house = one.family_key == other.family_key and one.suffix == other.suffix
    return same_house and initials_agree(one.given, other.given)


def _group(cluster: frozenset[str], clusters: _Clusters) -> AuthorGroup:
    canonical = min(cluster, key=lambda key: _fullness(clusters.nodes[key]))
    reached = {canonical: Membership(key=canonical, reason=MergeReason.ONLY_NAME)}
    neighbours: dict[str, list[tuple[str, _Link]]] = defaultdict(list)
    for link in clusters.links:
        if link.pair[0] in cluster:
            neighbours[link.pair[0]].append((link.pair[1], link))
            neighbours[link.pair[1]].append((link.pair[0], link))
    queue = deque([canonical])
    while queue:
        here = queue.popleft()
        for there, link in sorted(neighbours[here], key=lambda found: found[0]):
            if there not in reached:
                reached[there] = Membership(key=there, reason=link.reason, linked_to=here, evidence=link.evidence)
                queue.append(there)
    return AuthorGroup(canonical=canonical, members=tuple(reached[key] for key in sorted(reached)))


def _fullness(node: NameNode) -> tuple[int, int, int, bool, str]:
    """Smallest for the fullest name: whole given names, then their letters, then an ORCID iD, then by key."""
    whole = sum(len(part) > 1 for part in node.given)
    return (-whole, -len(node.given), -sum(map(len, node.given)), node.orcid is None, node.key)
