from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from app.embedding.model_files import read_checked
from app.embedding.wordpieces import TOKENIZER_PATH
from app.errors import ModelMismatch

BERT_BASE_UNCASED_VOCABULARY = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"


def test_a_file_with_other_bytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"right")
    expected = hashlib.sha256(b"right").hexdigest()
    assert read_checked(path, sha256=expected) == b"right"
    path.write_bytes(b"wrong")
    with pytest.raises(ModelMismatch, match=r"model\.onnx has SHA-256"):
        read_checked(path, sha256=expected)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelMismatch, match="No such file"):
        read_checked(tmp_path / "model.onnx", sha256="0" * 64)


def test_the_tokenizer_has_the_vocabulary_of_bert_base_uncased() -> None:
    vocabulary: dict[str, int] = json.loads(TOKENIZER_PATH.read_bytes())["model"]["vocab"]
    lines = "".join(f"{word}\n" for word, _ in sorted(vocabulary.items(), key=lambda entry: entry[1]))
    assert hashlib.sha256(lines.encode()).hexdigest() == BERT_BASE_UNCASED_VOCABULARY
