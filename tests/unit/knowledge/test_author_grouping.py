"""Who is one author depends on the names and the decisions alone: not on their order, nor on how they came."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace
from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from app.knowledge.author_grouping import AuthorGroup, Decisions, MergeReason, NameNode, group_names, ordered
from app.knowledge.author_names import parse_name

NO_DECISIONS = Decisions()


@cache
def node(written: str, *, documents: str = "", fellows: str = "", tag: str = "") -> NameNode:
    name = parse_name(written)
    assert name is not None
    return NameNode(
        key=name.key + (f"@{name.orcid}" if name.orcid else "") + tag,
        name_key=name.key,
        block=name.block,
        family_key=name.family_key,
        given=name.given_keys,
        suffix=name.suffix_key,
        orcid=name.orcid,
        is_group=name.is_group,
        is_told_apart=bool(tag),
        documents=frozenset(documents.split()),
        fellows=frozenset(fellows.split()),
    )


def parts(groups: list[AuthorGroup]) -> set[frozenset[str]]:
    return {frozenset(member.key for member in group.members) for group in groups}


def reasons(groups: list[AuthorGroup]) -> set[MergeReason]:
    return {member.reason for group in groups for member in group.members} - {MergeReason.ONLY_NAME}


ORCID, OTHER_ORCID = "0000-0002-1825-0097", "0000-0001-5109-3700"
JON, J, JAMES = (
    node("Jon Postel", documents="1", fellows="x"),
    node("J. Postel", documents="2", fellows="x"),
    node("James Postel", documents="3", fellows="x"),
)


def test_initials_join_the_only_name_they_fit_if_a_fellow_author_is_shared() -> None:
    [group] = group_names([JON, J], NO_DECISIONS)

    assert group.canonical == JON.key
    assert [(one.key, one.reason, one.linked_to, one.evidence) for one in group.members] == [
        (JON.key, MergeReason.ONLY_NAME, None, None),
        (J.key, MergeReason.INITIALS, JON.key, "x"),
    ]


def test_initials_alone_join_nobody() -> None:
    assert len(group_names([JON, replace(J, fellows=frozenset())], NO_DECISIONS)) == 2


def test_initials_that_fit_two_join_neither() -> None:
    assert len(group_names([JON, J, JAMES], NO_DECISIONS)) == 3


def test_names_that_differ_are_never_joined() -> None:
    assert len(group_names([JON, JAMES], NO_DECISIONS)) == 2
    assert len(group_names([node("John Lee Jr.", fellows="x"), node("J. Lee", fellows="x")], NO_DECISIONS)) == 2


def test_two_on_one_by_line_are_two() -> None:
    father, son = node("John Lee", documents="1", fellows="x"), node("J. Lee", documents="1", fellows="x")

    assert len(group_names([father, son], NO_DECISIONS)) == 2


def test_one_orcid_is_one_author_whatever_the_name() -> None:
    groups = group_names([node(f"Mary Smith ({ORCID})"), node(f"Mary Jones ({ORCID})")], NO_DECISIONS)

    assert reasons(groups) == {MergeReason.SAME_ORCID}
    assert len(groups) == 1


def test_different_orcids_are_different_authors() -> None:
    both = [node(f"Ann Lee ({ORCID})"), node(f"Ann Lee ({OTHER_ORCID})")]

    assert len(group_names(both, NO_DECISIONS)) == 2
    assert len(group_names([*both, node("Ann Lee")], NO_DECISIONS)) == 3  # nobody can say which of the two she is


def test_a_full_name_joins_the_only_orcid_of_that_name() -> None:
    groups = group_names([node(f"Ann Lee ({ORCID})"), node("Ann Lee")], NO_DECISIONS)

    assert reasons(groups) == {MergeReason.SAME_NAME}
    assert len(group_names([node(f"A. Lee ({ORCID})"), node("A. Lee")], NO_DECISIONS)) == 2


def test_a_decision_joins_what_no_rule_would() -> None:
    decided = Decisions(joined=frozenset((ordered(JON.key, JAMES.key),)))

    assert reasons(group_names([JON, JAMES], decided)) == {MergeReason.BY_HAND}


def test_a_decision_parts_what_every_rule_would_join() -> None:
    mary, jones = node(f"Mary Smith ({ORCID})"), node(f"Mary Jones ({ORCID})")
    decided = Decisions(parted=frozenset((ordered(mary.key, jones.key), ordered(JON.key, J.key))))

    assert len(group_names([mary, jones, JON, J], decided)) == 4


def test_who_is_told_apart_is_joined_by_no_rule() -> None:
    other = node("Jon Postel", documents="4", fellows="x", tag="#1")

    assert parts(group_names([JON, J, other], NO_DECISIONS)) == {frozenset((JON.key, J.key)), frozenset((other.key,))}


WRITTEN = st.builds(
    lambda given, family, orcid: f"{given} {family}{orcid}",
    st.sampled_from(["J.", "Jon", "James", "J. R.", "Jon Robert", "Jon Q.", "A.", "Ann"]),
    st.sampled_from(["Lee", "Postel", "van Dam"]),
    st.sampled_from(["", "", "", f" ({ORCID})", f" ({OTHER_ORCID})"]),
)
LIBRARY = st.lists(st.lists(WRITTEN, min_size=1, max_size=4), max_size=12)


def nodes_of(library: list[list[str]]) -> list[NameNode]:
    documents: dict[str, set[str]] = defaultdict(set)
    fellows: dict[str, set[str]] = defaultdict(set)
    found = {}
    for number, by_line in enumerate(library):
        names = {one.key: one for one in map(node, by_line)}
        for key, one in names.items():
            found[key] = one
            documents[key].add(str(number))
            fellows[key] |= {other.block for other in names.values() if other.block != one.block}
    return [
        replace(one, documents=frozenset(documents[key]), fellows=frozenset(fellows[key])) for key, one in found.items()
    ]


@given(LIBRARY, st.randoms(use_true_random=False), st.data())
def test_the_order_of_names_decides_nothing(
    library: list[list[str]], chance: random.Random, data: st.DataObject
) -> None:
    nodes = nodes_of(library)
    pairs = st.sets(st.sampled_from([(a.key, b.key) for a in nodes for b in nodes if a.key < b.key] or [("a", "b")]))
    decided = Decisions(joined=frozenset(data.draw(pairs)), parted=frozenset(data.draw(pairs)))
    shuffled = nodes[:]
    chance.shuffle(shuffled)

    assert group_names(shuffled, decided) == group_names(nodes, decided)


@given(LIBRARY)
def test_what_is_joined_agrees(library: list[list[str]]) -> None:
    nodes = {one.key: one for one in nodes_of(library)}
    for group in group_names(nodes.values(), NO_DECISIONS):
        members = [nodes[member.key] for member in group.members]
        assert len({one.orcid for one in members} - {None}) <= 1
        assert group.canonical in {one.key for one in members}


@given(LIBRARY)
def test_blocks_that_hang_together_can_be_grouped_by_themselves(library: list[list[str]]) -> None:
    """What the database does with each change: see `app.services.author_groups`."""
    nodes = nodes_of(library)
    tie: dict[str, set[str]] = defaultdict(set)
    for one in nodes:
        for other in nodes:
            if one.block == other.block or (one.orcid and one.orcid == other.orcid):
                tie[one.key].add(other.key)
    apart: list[AuthorGroup] = []
    left = {one.key: one for one in nodes}
    while left:
        closed, fringe = set[str](), {next(iter(left))}
        while fringe:
            closed |= fringe
            fringe = {key for known in fringe for key in tie[known]} - closed
        apart += group_names([left.pop(key) for key in sorted(closed)], NO_DECISIONS)

    assert sorted(apart, key=lambda group: group.canonical) == group_names(nodes, NO_DECISIONS)
