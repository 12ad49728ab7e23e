"""Category scores: how near a text is to each code, what that makes probable, and which code to say.

Zero-shot classification by embeddings: texts and labels are vectors of one model, and the nearest label is the answer
(Yin, Hay & Roth, "Benchmarking zero-shot text classification", EMNLP 2019). Scores become probabilities by a softmax
with a temperature (Guo et al., "On calibration of modern neural networks", ICML 2017). Some phrases are near to
whatever is asked ("hubs"), so a part of how near a phrase is to all others does not count (after Lample et al., "Word
translation without parallel data", ICLR 2018, whose CSLS takes it off whole). Where it is not sure of a code
it says the class above, which it is sure of (Deng et al., "Hedging your bets", CVPR 2012).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.knowledge.category_tree import CategoryTree

Floats = NDArray[np.float32]

NEAREST_PHRASES = 3
"""A code is as near as the mean of so many of its phrases: one alone is near by chance (docs/accuracy.md)."""
HUBNESS = 0.5
"""The share of a phrase's commonness that is taken off its nearness, chosen on other documents (docs/accuracy.md)."""
ZERO_SHOT_TEMPERATURE = 0.022
"""Of cosines of all-MiniLM-L6-v2, chosen on real documents that the table of docs/accuracy.md leaves out."""
ALTERNATIVES_MAX = 3
_LEAST = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class LikelyCode:
    """A code, and how probable it is that it, or one below it, is right."""

    code: str
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is said of one text; None: nothing can be said. `alternatives` are of other classes, best first."""

    best: LikelyCode | None
    alternatives: tuple[LikelyCode, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseVectors:
    """The phrases of every code: `vectors` (phrases, dimension), each of unit length, and whose each one is.

    `commonness` (phrases,): how much nearer each is to the others than phrases are on the average.
    """

    codes: Sequence[str]
    vectors: Floats
    owners: NDArray[np.int64]
    commonness: Floats


def commonness_of(vectors: Floats) -> Floats:
    """The mean cosine of each vector and the others, less the mean of all of these; shape (vectors,)."""
    if len(vectors) < 2:
        return np.zeros(len(vectors), dtype=np.float32)
    near = (vectors @ vectors.sum(axis=0) - 1) / (len(vectors) - 1)
    return np.asarray(near - near.mean(), dtype=np.float32)


def cosines_of_codes(vector: Floats, phrases: PhraseVectors) -> dict[str, float]:
    """The nearness of a text to each code that has a phrase; `vector` (dimension,) is of unit length.

    A cosine, less `HUBNESS` of what is common to the phrase.
    """
    near = phrases.vectors @ vector - HUBNESS * phrases.commonness
    found: dict[str, float] = {}
    for number, code in enumerate(phrases.codes):
        own = np.sort(near[phrases.owners == number])[-NEAREST_PHRASES:]
        if len(own):
            found[code] = float(own.mean())
    return found


def zero_shot_probabilities(
    tree: CategoryTree, cosines: Mapping[str, float], *, temperature: float = ZERO_SHOT_TEMPERATURE
) -> dict[str, float]:
    """How probable each code is, together with all below it.

    A class is as near as the nearest code of it. Below a code, its children and the code itself share its probability.
    """
    best = {code: max((cosines[one] for one in tree.subtree(code) if one in cosines), default=-1.0) for code in tree}
    probabilities: dict[str, float] = {}

    def share(codes: Sequence[str], scores: Sequence[float], whole: float) -> None:
        for code, part in zip(codes, softmax(np.array(scores) / temperature), strict=False):
            probabilities[code] = whole * float(part)
            if below := tree.children(code):
                share(below, [*(best[one] for one in below), cosines.get(code, -1.0)], probabilities[code])

    share(tree.roots, [best[code] for code in tree.roots], 1.0)
    return probabilities


def probabilities_with_descendants(tree: CategoryTree, of_labels: Mapping[str, float]) -> dict[str, float]:
    """How probable each code is together with all below it, from probabilities of codes that exclude each other."""
    return {code: sum(of_labels.get(one, 0.0) for one in tree.subtree(code)) for code in tree}


def judge(tree: CategoryTree, probabilities: Mapping[str, float], *, sure: float) -> Verdict:
    """The most probable class, or a code below it where that is sure; the best of other classes beside it."""
    roots = sorted(tree.roots, key=lambda code: (-probabilities.get(code, 0.0), code))
    said = [_descend(tree, probabilities, root, sure=sure) for root in roots[: 1 + ALTERNATIVES_MAX]]
    if not said or said[0].confidence <= 0:
        return Verdict(best=None)
    return Verdict(best=said[0], alternatives=tuple(one for one in said[1:] if one.confidence >= _LEAST))


def _descend(tree: CategoryTree, probabilities: Mapping[str, float], root: str, *, sure: float) -> LikelyCode:
    """Down while the child is sure; below a class that is not sure itself, while the child is sure given its parent."""
    at = root
    while below := tree.children(at):
        child = max(below, key=lambda code: probabilities.get(code, 0.0))
        given = probabilities.get(child, 0.0)
        needed = sure if probabilities.get(root, 0.0) >= sure else sure * probabilities.get(at, 0.0)
        if given <= 0 or given < needed:
            break
        at = child
    return LikelyCode(code=at, confidence=min(1.0, probabilities.get(at, 0.0)))


def softmax(scores: NDArray[np.floating]) -> NDArray[np.floating]:
    """Along the last axis; any finite numbers."""
    raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))
