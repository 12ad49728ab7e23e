"""The text of a page that is nested too deeply for a tree: all of it, from the tags as they come."""

from __future__ import annotations

from html.parser import HTMLParser

from app.content.visible_text import Block, BlockWriter, joined

_UNSEEN = frozenset(("script", "style", "title"))


def flat_text(markup: str) -> str:
    """Everything but scripts, styles and the title.

    Navigation stays: on such a page nobody can say where an element ends.
    """
    return joined(flat_blocks(markup))


def flat_blocks(markup: str) -> list[Block]:
    """The blocks of `flat_text`."""
    parser = _TagReader()
    parser.feed(markup)
    parser.close()
    parser.writer.end_block(spaced=False)
    return parser.writer.blocks


class _TagReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.writer = BlockWriter()
        self._unseen: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.writer.open(tag, href=dict(attrs).get("href"))
        if tag in _UNSEEN:
            self._unseen = tag

    def handle_endtag(self, tag: str) -> None:
        self.writer.close(tag)
        if tag == self._unseen:
            self._unseen = None

    def handle_data(self, data: str) -> None:
        if self._unseen is None:
            self.writer.write(data)
