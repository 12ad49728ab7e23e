"""Recommendations suit, say why, and are true when they are read, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from app.errors import EmbedderUnavailable
from app.index.vectors import Vectors
from app.models.base import new_id, now
from app.models.derived import QualityScore
from app.models.resource import Resource
from app.services import citation_graph, citations, interactions, profiles, recommendations, resources
from app.services.candidates import OTHERS_MAX, Asker, joined_by_citations, of_best_quality
from app.services.library import Library
from app.services.quality import DIMENSIONS
from tests.integration.recommendations.conftest import Readers

pytestmark = pytest.mark.integration


@pytest.fixture
def shelf(readers: Readers) -> dict[str, UUID]:
    """Three documents on bees, two on tea."""
    return {
        "hive": readers.document("Bees make honey in the hive, and bees keep the hive warm.", title="The hive"),
        "swarm": readers.document("Bees leave the hive in a swarm when the hive is full of bees.", title="The swarm"),
        "queen": readers.document("The queen of the bees lays eggs in the hive of bees.", title="The queen"),
        "green": readers.document("Green tea is steamed after the leaves are picked.", title="Green"),
        "black": readers.document("Black tea is oxidised after the leaves are rolled.", title="Black"),
    }


def recommended(library: Library, user: str = "ada", *, limit: int = 10) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = recommendations.recommend(library, user, limit=limit)["items"]
    return items


def titles(library: Library, user: str = "ada", *, limit: int = 10) -> list[str]:
    return [item["title"] for item in recommended(library, user, limit=limit)]


def test_what_is_near_to_what_was_liked_comes_first_and_says_so(
    library: Library, readers: Readers, shelf: dict[str, UUID]
) -> None:
    readers.act(shelf["hive"], "annotation")
    readers.refresh()

    found = recommendations.recommend(library, "ada", limit=10)

    assert not found["cold_start"]
    assert set(titles(library, limit=2)) == {"The swarm", "The queen"}
    assert "The hive" not in titles(library)
    first = found["items"][0]
    assert first["score"] == pytest.approx(sum(first["parts"].values()))
    assert first["reason"]["text"] == "because you annotated “The hive”"
    assert first["reason"]["because"]["resource_id"] == str(shelf["hive"])
    library.cache.delete("recommendations:ada")
    assert recommendations.recommend(library, "ada", limit=10) == found


def test_a_shared_subject_is_a_reason_where_there_is_nothing_near(library: Library, readers: Readers) -> None:
    liked = readers.document("", title="A sound", subject=["folklore"])
    readers.document("", title="Another sound", subject=["folklore"])
    readers.act(liked)
    readers.refresh()

    [item] = recommended(library)

    assert (item["title"], item["reason"]["part"], item["reason"]["about"]) == ("Another sound", "affinity", "folklore")
    assert "folklore" in item["reason"]["text"]


def test_what_cites_what_is_liked_or_is_cited_by_it_is_a_candidate_and_says_so(
    library: Library, readers: Readers
) -> None:
    """Also where it is neither near nor new nor good: no other source names it."""
    cited = readers.document("", title="Cited", doi="10.1234/cited")
    liked = readers.document("Tea is picked, see doi:10.1234/cited for how.", title="Liked", doi="10.1234/liked")
    citing = readers.document("Zebras graze (doi:10.1234/liked).", title="Citing")
    readers.document("Zebras sleep.", title="Apart")
    for one in (cited, liked, citing):
        citations.extract(library, one, work=library.work)
        citation_graph.update(library, one, work=library.work)
    readers.act(liked, "annotation")
    readers.refresh()

    found = {item["title"]: item for item in recommended(library)}

    assert set(found) == {"Cited", "Citing", "Apart"}
    assert {title: item["parts"]["citations"] for title, item in found.items()} == {
        "Cited": pytest.approx(0.075),
        "Citing": pytest.approx(0.075),
        "Apart": 0.0,
    }
    with library.database.reader() as session:
        asker = Asker(user_id="ada", profile=profiles.find(session, "ada"), half_life=timedelta(days=30))
        assert set(joined_by_citations(library, session, asker)) == {cited, citing}
        stranger = Asker(user_id="eve", profile=None, half_life=timedelta(days=30))
        assert joined_by_citations(library, session, stranger) == []


def test_a_citation_is_the_reason_where_it_says_the_most(library: Library, readers: Readers) -> None:
    liked = [readers.document("", title=f"Liked {number}", doi=f"10.1234/{number}") for number in range(4)]
    review = readers.document(" ".join(f"doi:10.1234/{number}" for number in range(4)), title="Review")
    citations.extract(library, review, work=library.work)
    citation_graph.update(library, review, work=library.work)
    for one in liked:
        readers.act(one, "annotation")
    readers.act(liked[2], "export")
    readers.refresh()

    [item] = recommended(library)

    assert (item["title"], item["reason"]["part"]) == ("Review", "citations")
    assert item["reason"]["text"] == "because you exported “Liked 2”, and one cites the other"
    assert item["reason"]["because"]["resource_id"] == str(liked[2])
    resources.delete(library, liked[2])
    assert recommended(library)[0]["reason"]["text"] == "because it cites what you like, or is cited by it"


def test_who_is_unknown_gets_what_is_good_new_and_liked_by_others(
    library: Library, readers: Readers, shelf: dict[str, UUID]
) -> None:
    for user in ("bob", "eve"):
        readers.act(shelf["green"], user=user)
    readers.act(shelf["black"], user="bob", type_="rating", rating=1)

    found = recommendations.recommend(library, "ada", limit=10)

    assert found["cold_start"]
    assert found["items"][0]["title"] == "Green"
    assert len(found["items"]) == len(shelf)
    popularity = {item["title"]: item["parts"]["popularity"] for item in found["items"]}
    assert popularity.pop("Green") == pytest.approx(0.3)
    assert set(popularity.values()) == {0.0}  # a bad rating pleases nobody
    assert all(item["parts"]["content"] == item["parts"]["affinity"] == 0.0 for item in found["items"])


def test_what_happens_to_a_document_shows_at_once_though_the_order_is_kept(
    library: Library, readers: Readers, shelf: dict[str, UUID]
) -> None:
    readers.act(shelf["hive"])
    readers.refresh()
    assert len(titles(library)) == 4
    hits = library.cache.stats.hits

    resources.delete(library, shelf["swarm"])
    resources.update(library, shelf["queen"], {"title": "The old queen"})
    resources.update(library, shelf["hive"], {"title": "A hive"})
    readers.act(shelf["green"])

    assert sorted(titles(library)) == ["Black", "The old queen"]
    assert recommended(library)[0]["reason"]["text"] == "because you viewed “A hive”"
    assert library.cache.stats.hits == hits + 2

    resources.delete(library, shelf["hive"])
    assert recommended(library)[0]["reason"] == {
        "part": "content",
        "because": None,
        "about": None,
        "text": "because it is near to what you like",
    }


def test_as_many_as_are_wanted_are_found_however_many_of_the_best_are_gone(
    library: Library, readers: Readers, shelf: dict[str, UUID]
) -> None:
    readers.act(shelf["hive"])
    readers.refresh()
    order = recommended(library)

    for gone in range(len(order)):
        assert titles(library, limit=1) == [order[gone]["title"]]
        resources.delete(library, UUID(order[gone]["id"]))

    assert titles(library, limit=1) == []


def test_the_best_of_the_library_are_told_among_what_lives(library: Library, readers: Readers) -> None:
    """However many better ones were deleted today, whose scores stay until they are swept."""
    living = readers.document("Bees make honey in the hive.")
    with library.database.writer() as session:
        for _ in range(OTHERS_MAX):
            gone = Resource(id=new_id(), title="Gone", content="Gone", content_version=1, deleted_at=now())
            session.add(gone)
            session.flush()
            scores = dict.fromkeys((*DIMENSIONS, "overall"), 1.0)
            session.add(QualityScore(resource_id=gone.id, weights={}, reasons=[], built_from=1, **scores))

    with library.database.reader() as session:
        asker = Asker(user_id="ada", profile=None, half_life=timedelta(days=30))
        assert list(of_best_quality(library, session, asker)) == [living]


def test_a_duplicate_is_not_recommended_nor_the_original_of_one_that_was_seen(
    library: Library, readers: Readers, shelf: dict[str, UUID]
) -> None:
    text = "Bees make honey in the hive of the bees."
    original, copy = readers.document(text, title="Original"), readers.document(text, title="Copy")
    readers.act(shelf["hive"])
    readers.refresh()
    assert "Original" in titles(library)
    assert "Copy" not in titles(library)

    readers.act(copy)
    assert "Original" not in titles(library)
    readers.refresh()
    assert str(original) not in {item["id"] for item in recommended(library)}


def test_a_new_profile_is_a_new_order_and_a_user_who_comes_again_is_a_new_user(
    library: Library, readers: Readers, shelf: dict[str, UUID]
) -> None:
    readers.act(shelf["hive"])
    readers.refresh()
    assert titles(library)[0] in {"The swarm", "The queen"}
    of_ada = library.cache.get("recommendations:ada")

    interactions.forget(library, "ada")
    readers.act(shelf["green"])
    readers.refresh()
    # As if the drop had been lost, and with the revision of the user who was forgotten.
    library.cache.set("recommendations:ada", of_ada, version=1)

    assert titles(library)[0] == "Black"


def test_what_another_release_has_kept_is_not_shown(library: Library, readers: Readers, shelf: dict[str, UUID]) -> None:
    readers.act(shelf["hive"])
    readers.refresh()
    order = recommended(library)
    kept: dict[str, Any] = library.cache.get("recommendations:ada")
    del kept["form"]
    for item in kept["items"]:
        del item["parts"]["citations"]
    library.cache.set("recommendations:ada", kept, version=1)

    assert recommended(library) == order


def test_recommendations_do_without_an_embedding_model(
    library: Library, readers: Readers, shelf: dict[str, UUID]
) -> None:
    readers.act(shelf["hive"])
    readers.refresh()
    before = titles(library)

    def no_model() -> Vectors:
        raise EmbedderUnavailable("no model")

    library.cache.delete("recommendations:ada")

    assert titles(replace(library, vectors=no_model)) == before  # named by other sources, and judged as before
    assert len(before) == 4
