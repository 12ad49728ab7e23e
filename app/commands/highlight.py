"""A snippet of the API on a terminal: what matched stands out."""

from __future__ import annotations

import html
import re

from rich.text import Text

_MARK = re.compile(r"<mark>(.*?)</mark>", re.DOTALL)


def highlighted(snippet: str) -> Text:
    """`<mark>` becomes bold, character references become characters, and nothing else is read as markup."""
    text, end = Text(), 0
    for match in _MARK.finditer(snippet):
        text.append(_plain(snippet[end : match.start()]))
        text.append(_plain(match[1]), style="bold reverse")
        end = match.end()
    return text.append(_plain(snippet[end:]))


def printable(text: str) -> str:
    """No control characters: a document must not command the terminal."""
    return "".join(each if each.isprintable() else " " for each in text)


def _plain(part: str) -> str:
    return printable(html.unescape(part))
