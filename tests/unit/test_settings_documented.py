"""The pages for people say what the code does: every setting with its default, and only targets that make knows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from app.settings import Settings

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `(?P<variable>[A-Z_]+)` \| [^|]+ \| (?P<default>`[^`]+`|empty) \| [^|]+ \|$", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?://|#)(?P<target>[^)#\s]+)")
TARGET_IN_TEXT = re.compile(r"(?:`|^|&& )make (?P<target>[a-z][a-z-]*)", re.MULTILINE)
TARGET = re.compile(r"^(?P<target>[a-z][a-z-]*):", re.MULTILINE)


def documented_defaults() -> dict[str, str]:
    rows = ROW.finditer((ROOT / "docs/settings.md").read_text())
    return {row["variable"]: row["default"].strip("`") for row in rows}


def as_documented(field: FieldInfo) -> str:
    default: Any = field.default
    match default:
        case SecretStr():
            text = default.get_secret_value()
        case tuple():
            text = ",".join(map(str, default))
        case float():
            text = f"{default:g}"
        case None:
            text = ""
        case _:
            text = str(default)
    return text or "empty"


def test_every_setting_is_documented_with_its_default() -> None:
    assert documented_defaults() == {
        name.upper(): as_documented(field) for name, field in Settings.model_fields.items()
    }


def test_the_readme_names_only_targets_that_make_knows() -> None:
    named = {found["target"] for found in TARGET_IN_TEXT.finditer((ROOT / "README.md").read_text())}
    known = {found["target"] for found in TARGET.finditer((ROOT / "Makefile").read_text())}

    assert {"run", "test", "check"} <= named
    assert named <= known


def test_pages_link_only_to_files_that_exist() -> None:
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {found['target']}"
        for page in pages
        for found in LINK.finditer(page.read_text())
        if not (page.parent / found["target"]).exists()
    ]

    assert len(pages) > 2
    assert broken == []
