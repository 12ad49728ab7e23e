"""B10: searches by words, by meaning and by both in ever larger libraries, beside the engine's bare query."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

from app.embedding.hashing import HashingEmbedder
from app.index.term_store import FIELD_WEIGHTS
from app.knowledge.terms import terms_of
from app.services.search import Mode, SearchService
from bench.latency import p95
from bench.results import Found, Ratio
from bench.rounds import Rounds, Values, median_of, medians
from bench.servers import Servers
from bench.shelves import EMBEDDER, TITLE_WORDS, WORDS, Shelf, shelves
from bench.texts import stop_words, words_at

SIZES = (1_000, 10_000, 100_000)
QUESTIONS, LIMIT = 60, 20
MODES: tuple[Mode, ...] = ("keyword", "semantic", "hybrid")
FLOOR = "bare query"
TIMES_THE_FLOOR, HYBRID_MS = 2.0, 100.0

_WEIGHTS = ", ".join(str(weight) for weight in FIELD_WEIGHTS.values())
_OF_ONE = ", ".join(str(weight / 10) for weight in reversed(tuple(FIELD_WEIGHTS.values())))
BARE = {
    "SQLite": (
        f"SELECT rowid, bm25(search_terms, {_WEIGHTS}) AS score FROM search_terms"
        " WHERE search_terms MATCH ? ORDER BY score LIMIT ?"
    ),
    "PostgreSQL": (
        f"SELECT number, ts_rank('{{{_OF_ONE}}}', vector, asked.words, 1) AS score"
        " FROM search_terms, (SELECT CAST(%s AS tsquery) AS words) AS asked"
        " WHERE vector @@ asked.words ORDER BY score DESC LIMIT %s"
    ),
}
BETWEEN = {"SQLite": " AND ", "PostgreSQL": " & "}
QUOTE = {"SQLite": '"', "PostgreSQL": "'"}
SAID = (
    f"one to three words of a document, none of the hundred most frequent; {LIMIT} hits; texts of {WORDS} words drawn"
    " by Zipf's law from 50,000, one passage each; hashed vectors; `SearchService` in this process, without HTTP and"
    " cache; the bare query gives numbers and scores, a search also facets, titles and snippets"
)


def in_ever_larger_libraries(servers: Servers, rounds: Rounds) -> Found:
    """B10. Every side is asked the same questions in a round, in another order each time."""
    sizes = [round(size * rounds.share) for size in SIZES]
    with shelves(servers, sizes=sizes, seed=rounds.seed) as found:
        for shelf in found:  # its matrix of vectors is read, its statements are known
            _asked(shelf, questions(rounds.seed, "before", documents=sizes[0], count=3))
        sides = {shelf.name: _side(shelf, rounds, documents=sizes[0]) for shelf in found}
        values = rounds.alternate("B10", sides)
    measures = medians(values, units=dict.fromkeys((FLOOR, *MODES), "ms, p95"))
    return Found(measures=measures, ratios=_ratios(found, values), notes=[SAID])


def questions(seed: int, moment: object, *, documents: int, count: int) -> list[str]:
    """Each of one to three words that stand in one of the first `documents`, so that it finds something."""
    chosen, found = random.Random(f"{seed}-{moment}-questions"), list[str]()
    while len(found) < count:
        words = words_at(seed, chosen.randrange(documents), count=TITLE_WORDS + WORDS)
        telling = sorted(set(words) - stop_words())
        found.append(" ".join(chosen.sample(telling, chosen.choice((1, 2, 3)))))
    return found


def _side(shelf: Shelf, rounds: Rounds, *, documents: int) -> Callable[[], Values]:
    def measure() -> Values:
        count = max(10, round(QUESTIONS * rounds.share))
        return _asked(shelf, questions(rounds.seed, len(rounds.loads), documents=documents, count=count))

    return measure


def _asked(shelf: Shelf, asked: Sequence[str]) -> dict[str, float]:
    """The 95th percentile of each way to ask, in ms."""
    ways: dict[str, Callable[[str], float]] = {FLOOR: partial(_bare, shelf)}
    ways |= {mode: partial(_search, shelf, mode) for mode in MODES}
    taken: dict[str, list[float]] = {way: [] for way in ways}
    order = random.Random("ways")
    for question in asked:
        for way in order.sample(sorted(ways), len(ways)):  # whoever comes first warms the pages for the others
            taken[way].append(ways[way](question))
    return {way: p95(some) for way, some in taken.items()}


def _search(shelf: Shelf, mode: Mode, question: str) -> float:
    began = time.perf_counter()
    with shelf.database.reader() as session:
        service = SearchService(session, index=shelf.index, embedder=_embedder, vectors=lambda: shelf.vectors)
        service.search(question, mode=mode, limit=LIMIT)
    return (time.perf_counter() - began) * 1000


def _bare(shelf: Shelf, question: str) -> float:
    quote = QUOTE[shelf.engine]
    words = BETWEEN[shelf.engine].join(f"{quote}{term}{quote}" for term in terms_of(question))
    connection = shelf.database.engine.raw_connection()
    try:
        cursor = connection.cursor()
        began = time.perf_counter()
        cursor.execute(BARE[shelf.engine], (words, LIMIT))
        cursor.fetchall()
        return (time.perf_counter() - began) * 1000
    finally:
        connection.close()


def _embedder() -> HashingEmbedder:
    return EMBEDDER


def _ratios(found: Sequence[Shelf], values: dict[str, list[Values]]) -> list[Ratio]:
    ratios: list[Ratio] = []
    for engine in BARE:
        by_size = sorted((one for one in found if one.engine == engine), key=lambda one: one.size)
        ratios += [
            Ratio(
                what=f"{one.name}: keyword / {FLOOR}",
                value=median_of(values[one.name], "keyword") / median_of(values[one.name], FLOOR),
                reach=TIMES_THE_FLOOR,
                at_most=True,
            )
            for one in by_size
        ]
        hybrid = median_of(values[by_size[-1].name], "hybrid")
        ratios.append(Ratio(what=f"{by_size[-1].name}: hybrid", value=hybrid, unit="ms", reach=HYBRID_MS, at_most=True))
        ratios += [
            Ratio(
                what=f"{engine}, {way}: {larger.size:,} / {smaller.size:,}",
                value=median_of(values[larger.name], way) / median_of(values[smaller.name], way),
            )
            for way in (FLOOR, *MODES)
            for smaller, larger in pairwise(by_size)
        ]
    return ratios
