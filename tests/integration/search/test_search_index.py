"""The promises of `SearchIndex`, each on both engines."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text

from app.index.documents import Filters, IndexedDocument
from app.index.term_store import TERMS_TABLE
from app.knowledge.query_grammar import parse
from app.models.derived import QualityScore
from app.models.search import SearchDocument, SearchSubject
from app.services.search_indexing import rebuild_search_index
from tests.integration.search.shelf import Shelf

pytestmark = pytest.mark.integration

SYNTAX = [
    '" OR 1=1 --',
    "NEAR(a b)",
    "a AND",
    "OR",
    "NOT alpha",
    "*",
    "alph*",
    "col:x",
    "{title} : alpha",
    "title : ^alpha",
    "^",
    "'",
    "''",
    "\\",
    "a & b | !c",
    "<->",
    "alpha <2> beta",
    "alpha:*A",
    "%",
    ":q",
    "%(q)s",
    "?",
    "$1",
    "{}",
    "((((",
    "'); DROP TABLE resources; --",
    "\x00",
    '"' * 500,
    "-" * 500,
    "a:" * 300,
    "alpha -alpha",
    "\ud800",
]


def test_every_word_must_be_there(shelf: Shelf) -> None:
    shelf.put("both", "the quick brown fox")
    shelf.put("one", "the slow brown bear")

    assert shelf.found("quick brown") == {"both"}
    assert shelf.found("brown") == {"both", "one"}
    assert shelf.found("quick bear") == set()


def test_the_best_alone_are_the_first_of_a_search(shelf: Shelf) -> None:
    for number in range(5):
        shelf.put(f"fox {number}", "the quick brown fox " * (number + 1))
    shelf.put("bear", "the slow brown bear")
    shelf.delete("fox 3", indexed=False)

    with shelf.database.reader() as session:
        best = shelf.index.best(session, parse("quick brown"), filters=Filters(), limit=3)
        nothing = shelf.index.best(session, parse("  "), filters=Filters(), limit=3)

    first = [hit.resource_id for hit in shelf.search("quick brown", limit=3).hits]
    assert [hit.resource_id for hit in best] == first
    assert len(first) == 3
    assert nothing == []


def test_words_are_found_by_their_stem_whatever_their_case_and_accents(shelf: Shelf) -> None:
    shelf.put("doc", "Libraries were searched; Gödel and eﬃcient naïveté")

    assert all(shelf.found(one) == {"doc"} for one in ("library", "SEARCHING", "godel", "Gödels", "efficient naivete"))


def test_a_phrase_stands_in_a_row(shelf: Shelf) -> None:
    shelf.put("row", "an exact phrase of words")
    shelf.put("apart", "a phrase, and an exact word: words of a phrase")

    assert shelf.found('"exact phrase of words"') == {"row"}
    assert shelf.found('"phrase exact"') == set()
    assert shelf.found("exact phrase") == {"row", "apart"}


def test_a_phrase_does_not_reach_from_one_field_into_another(shelf: Shelf) -> None:
    shelf.put("ends here", "begins there")

    assert shelf.found('"here begins"') == set()


def test_all_words_in_a_row_come_before_the_same_words_apart(shelf: Shelf) -> None:
    shelf.put("apart", "scan the index; an index of scans; scan scan scan index index index")
    shelf.put("row", f"{'filler ' * 500} an index scan of one {'filler ' * 500}")

    assert shelf.titles("index scan") == ["row", "apart"]


def test_a_word_in_the_title_weighs_more_than_in_the_text(shelf: Shelf) -> None:
    shelf.put("about something else", "a heap, and other words that go on for a while")
    shelf.put("the heap", "this text has other words that go on for a while")

    assert shelf.titles("heap") == ["the heap", "about something else"]


def test_exclusions_take_away(shelf: Shelf) -> None:
    shelf.put("a", "alpha beta gamma")
    shelf.put("b", "alpha gamma beta")
    shelf.put("c", "alpha")

    assert shelf.found("alpha -beta") == {"c"}
    assert shelf.found('alpha -"beta gamma"') == {"b", "c"}
    assert shelf.found("-alpha") == set()
    assert shelf.found("alpha -title:a") == {"b", "c"}


def test_field_filters_look_in_their_field_only(shelf: Shelf) -> None:
    shelf.put("hopper on compilers", "by someone", creator="Ada Lovelace", subject=["engines", "number theory"])
    shelf.put("engines", "hopper ada", creator="Grace Hopper", authors=["Grace Hopper", "Jean Bartik"])

    assert shelf.found("title:hopper") == {"hopper on compilers"}
    assert shelf.found("author:hopper") == {"engines"}
    assert shelf.found('creator:"ada lovelace"') == {"hopper on compilers"}
    assert shelf.found('subject:"number theory"') == {"hopper on compilers"}
    assert shelf.found('subject:"engines number"') == {"hopper on compilers"}
    assert shelf.found("creator:bartik engines") == {"engines"}


def test_facet_fields_and_years_narrow(shelf: Shelf) -> None:
    shelf.put("one", "text", language="en", type="Article", format="application/pdf", publication_year=2018)
    shelf.put("two", "text", language="de", type="Page", format="text/html", publication_year=2021)
    shelf.put("none", "text")

    assert shelf.found("text language:EN") == {"one"}
    assert shelf.found("text -language:en") == {"two", "none"}
    assert shelf.found("type:article") == {"one"}
    assert shelf.found("text format:pdf") == {"one"}
    assert shelf.found("format:text/html") == {"two"}
    assert shelf.found("format:%") == set()
    assert shelf.found("text year:2018..2020") == {"one"}
    assert shelf.found("text year:2020..") == {"two"}
    assert shelf.found("text -year:2018") == {"two", "none"}
    assert shelf.found("year:2018 -text") == set()


def test_filters_narrow(shelf: Shelf) -> None:
    one = shelf.put(
        "one",
        "text",
        language="en",
        creator="A. Writer",
        subject=["s1", "s2"],
        publication_year=2001,
        format="text/html",
    )
    shelf.put("two", "text", language="fr", subject=["s2"], publication_year=2011, classification_code="004")
    with shelf.database.writer() as session:
        scores = dict.fromkeys(("accuracy", "completeness", "consistency", "timeliness", "relevance", "overall"), 0.7)
        session.add(QualityScore(resource_id=one, weights={}, built_from=1, **scores))

    assert shelf.found("text", filters=Filters(language=["EN", "de"])) == {"one"}
    assert shelf.found("text", filters=Filters(creator=["A. Writer"])) == {"one"}
    assert shelf.found("text", filters=Filters(subject=["s2"])) == {"one", "two"}
    assert shelf.found("text", filters=Filters(subject=["s1"])) == {"one"}
    assert shelf.found("text", filters=Filters(classification_code=["004"])) == {"two"}
    assert shelf.found("text", filters=Filters(year_from=2001, year_to=2010)) == {"one"}
    assert shelf.found("text", filters=Filters(quality_min=0.5)) == {"one"}
    assert shelf.found("text", filters=Filters(language=["en"], subject=["s3"])) == set()


def test_facets_count_every_hit_not_only_the_page(shelf: Shelf) -> None:
    for number in range(7):
        shelf.put(
            f"t{number}",
            "text",
            language="en" if number < 5 else "de",
            publication_year=2000 + number % 2,
            subject=["all", f"s{number % 2}"],
        )
    shelf.put("other", "words", language="fr")

    matches = shelf.search("text", limit=2)

    assert matches.total == 7
    assert len(matches.hits) == 2
    assert matches.facets == {
        "language": {"en": 5, "de": 2},
        "publication_year": {"2000": 4, "2001": 3},
        "subject": {"all": 7, "s0": 4, "s1": 3},
    }


def test_pages_neither_repeat_nor_skip(shelf: Shelf) -> None:
    for number in range(23):
        shelf.put(f"t{number}", "the same text")

    pages = [shelf.titles("same text", limit=5, offset=offset) for offset in range(0, 25, 5)]

    assert [title for page in pages for title in page] == shelf.titles("same text", limit=50)
    assert sorted(title for page in pages for title in page) == sorted(shelf.ids)


def test_a_page_past_the_end_is_empty_and_knows_the_total(shelf: Shelf) -> None:
    shelf.put("one", "text")

    matches = shelf.search("text", offset=10)

    assert (matches.total, list(matches.hits)) == (1, [])


def test_a_changed_text_is_found_by_the_new_and_not_by_the_old(shelf: Shelf) -> None:
    shelf.put("doc", "the old phrase", subject=["before"])

    shelf.change("doc", content="a new sentence", subject=["after"])

    assert shelf.found("phrase") == set()
    assert shelf.found('"new sentence" subject:after') == {"doc"}
    assert shelf.search("sentence").facets["subject"] == {"after": 1}


def test_an_older_version_is_never_written_over_a_newer_one(shelf: Shelf) -> None:
    one = shelf.put("doc", "text")

    def upsert(version: int, body: str) -> bool:
        document = IndexedDocument(resource_id=one, built_from=version, title="doc", body=body, language=body)
        with shelf.database.writer() as session:
            return shelf.index.upsert(session, document)

    assert upsert(5, "five")
    assert not upsert(4, "four")
    assert upsert(5, "five")
    assert shelf.found("five") == {"doc"}
    assert shelf.found("four") == set()
    assert shelf.search("five").facets == {"language": {"five": 1}}


def test_a_deleted_resource_is_not_found_even_before_the_index_follows(shelf: Shelf) -> None:
    shelf.put("gone", "text", language="en")
    shelf.put("here", "text", language="en")

    shelf.delete("gone", indexed=False)

    matches = shelf.search("text")
    assert matches.total == 1
    assert matches.facets == {"language": {"en": 1}}
    with shelf.database.reader() as session:
        assert shelf.index.admitted(session, parse("text"), filters=Filters()) == {shelf.ids["here"]}


def test_what_is_removed_leaves_no_rows(shelf: Shelf) -> None:
    shelf.put("gone", "text", subject=["s"])

    shelf.delete("gone")
    shelf.delete("gone")

    with shelf.database.reader() as session:
        counts = [session.scalar(select(func.count()).select_from(table)) for table in (SearchDocument, SearchSubject)]
        counts.append(session.execute(text(f"SELECT count(*) FROM {TERMS_TABLE}")).scalar_one())
    assert counts == [0, 0, 0]


def test_words_and_phrases_of_unspaced_scripts_are_found(shelf: Shelf) -> None:
    shelf.put("ja", "全文検索エンジンは東京にあります")
    shelf.put("ko", "전문 검색 엔진")

    assert shelf.found("検索") == {"ja"}
    assert shelf.found("索検") == set()
    assert shelf.found("검색 엔진") == {"ko"}


def test_code_is_found_as_it_is_written(shelf: Shelf) -> None:
    shelf.put("path", "use os.path.join(a, b) or pg_stat_activity and --no-owner=3.11")
    shelf.put("heap", "the heapq module: join a path in os")

    assert shelf.found("os.path.join") == {"path"}
    assert shelf.found("pg_stat_activity") == {"path"}
    assert shelf.found("--no-owner=3.11") == {"path"}
    assert shelf.found("heapq") == {"heap"}


def test_a_phrase_is_found_anywhere_in_a_very_long_text(shelf: Shelf) -> None:
    common = "the 0 of and a to in it is as for on with that by " * 3000
    shelf.put("long", f"{common} the needle of the haystack is in it {common}")
    shelf.put("short", "the needle in the haystack")

    assert shelf.found('"the needle of the haystack is in it"') == {"long"}
    assert shelf.titles("the needle of the haystack is in it") == ["long"]


def test_a_phrase_of_more_terms_than_are_looked_for_is_found(shelf: Shelf) -> None:
    text = "猫は庭で眠る" * 30
    shelf.put("cat", text)

    assert shelf.found(f'"{text[:170]}"') == {"cat"}
    assert shelf.found(text[:170]) == {"cat"}


def test_a_value_with_a_control_character_spoils_no_search(shelf: Shelf) -> None:
    shelf.put("odd", "poison word", classification_code="a\x1fb", language="e\x1fn")

    assert shelf.found("poison") == {"odd"}
    assert shelf.search("poison").facets["classification_code"] == {"a b": 1}


def test_a_text_of_very_many_distinct_words_can_be_indexed(shelf: Shelf) -> None:
    shelf.put("many", " ".join(f"word{number:07d}" for number in range(120_000)))

    assert shelf.found("word0000042") == {"many"}


def test_a_misspelt_word_is_corrected_from_the_words_of_the_index(shelf: Shelf) -> None:
    shelf.put("doc", "Transaction isolation levels in PostgreSQL")

    assert shelf.suggestion("trnasaction levels") == "transaction levels"
    assert shelf.suggestion('"isolatoin level"') == '"isolation level"'
    assert shelf.suggestion("Postgersql -foo") == "postgresql -foo"
    assert shelf.suggestion("transaction") is None
    assert shelf.suggestion("qwertyuiop") is None


def test_a_word_that_no_document_has_any_more_is_not_suggested(shelf: Shelf) -> None:
    shelf.put("gone", "isolation")
    shelf.delete("gone")

    assert shelf.suggestion("isolatoin") is None


def test_a_rebuild_mends_everything_and_empties_nothing(shelf: Shelf) -> None:
    for number in range(5):
        shelf.put(f"t{number}", "the text")
    shelf.change("t0", indexed=False, content="changed behind the back")
    shelf.delete("t1", indexed=False)
    with shelf.database.writer() as session:
        lost = session.scalar(select(SearchDocument.number).where(SearchDocument.resource_id == shelf.ids["t2"]))
        key = "rowid" if shelf.database.is_sqlite else "number"
        session.execute(text(f"DELETE FROM {TERMS_TABLE} WHERE {key} = :number"), {"number": lost})

    assert rebuild_search_index(shelf.database, shelf.index) == 4

    assert shelf.found("text") == {"t2", "t3", "t4"}
    assert shelf.found('"behind the back"') == {"t0"}
    with shelf.database.reader() as session:
        assert session.scalar(select(func.count()).select_from(SearchDocument)) == 4


@pytest.mark.parametrize("syntax", SYNTAX)
def test_syntax_of_the_engines_is_text(shelf: Shelf, syntax: str) -> None:
    shelf.put("doc", "alpha beta col x near a b c q or and not")

    matches = shelf.search(syntax)

    assert matches.total in {0, 1}
    shelf.suggestion(syntax)


def test_words_that_are_operators_elsewhere_are_words(shelf: Shelf) -> None:
    shelf.put("doc", "near and or not")

    assert shelf.found("NEAR AND OR NOT") == {"doc"}
    assert shelf.found("alpha OR near") == set()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text() | st.lists(st.sampled_from([*SYNTAX, " ", '"', "alpha", "title:", "-"])).map("".join))
def test_any_text_is_answered(shelf: Shelf, anything: str) -> None:
    if not shelf.ids:
        shelf.put("doc", "alpha beta")

    assert shelf.search(anything).total in {0, 1}
    shelf.suggestion(anything)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1, max_size=60))
def test_any_text_is_found_by_itself(shelf: Shelf, anything: str) -> None:
    content = anything.replace("\x00", " ").encode("utf-8", "ignore").decode()
    shelf.clear()
    shelf.put("doc", f"before {content} after")
    quoted = content.translate(str.maketrans('"\u201c\u201d\u201e\u201f\uff02', "      "))

    assert shelf.found(f'"before {quoted} after"') == {"doc"}
