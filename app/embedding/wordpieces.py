"""Wordpieces: text as the token ids of all-MiniLM-L6-v2 (BERT base uncased), and as words to cut between."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from tokenizers import Tokenizer

from app.embedding.model_files import read_checked
from app.embedding.passages import Word, split_passages

TOKENIZER_PATH = Path(__file__).with_name("minilm_tokenizer.json")
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"

# The length that the model reads; [CLS] and [SEP] take two of it.
MAX_TOKENS = 256
SPECIAL_TOKENS = 2
# No word of more than 100 characters is looked at by BERT's tokenizer, and 256 of them never fit on a page.
MAX_CHARS = MAX_TOKENS * 100


class Wordpieces:
    """The tokenizer of the model. Safe to share between threads."""

    def __init__(self) -> None:
        content = read_checked(TOKENIZER_PATH, sha256=TOKENIZER_SHA256)
        self._whole: Tokenizer = Tokenizer.from_buffer(content)
        self._whole.no_padding()
        self._whole.no_truncation()
        self._cut: Tokenizer = Tokenizer.from_buffer(content)
        self._cut.no_padding()
        self._cut.enable_truncation(max_length=MAX_TOKENS)

    def ids(self, text: str) -> list[int]:
        """The token ids of `text` with [CLS] and [SEP], the first 256 of them."""
        # One text a call: encode_batch starts threads, which do not survive a later fork.
        ids: list[int] = self._cut.encode(_valid(text[:MAX_CHARS])).ids
        return ids

    def words(self, text: str) -> list[Word]:
        """The words of `text` in order; a cut between two of them leaves the tokens of both as they were."""
        encoding = self._whole.encode(_valid(text), add_special_tokens=False)
        pieces = zip(encoding.word_ids, encoding.offsets, strict=True)
        words = []
        for _, group in groupby(pieces, key=lambda piece: piece[0]):
            spans = [span for _, span in group]
            words.append(Word(start=spans[0][0], end=spans[-1][1], tokens=len(spans)))
        return words

    def passages(self, text: str, *, max_passages: int) -> list[str]:
        """`text` cut into pieces that the model reads whole: see `split_passages`."""
        return split_passages(
            text, words=self.words, tokens_per_passage=MAX_TOKENS - SPECIAL_TOKENS, max_passages=max_passages
        )


def _valid(text: str) -> str:
    """`text` with each lone surrogate replaced by one character: the tokenizer refuses them."""
    return text.encode("utf-8", "replace").decode("utf-8")
