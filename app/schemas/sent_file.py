"""What a client says of a file it sends: its name and its media type, made fit to be stored."""

from __future__ import annotations

from app.errors import InvalidInput

FILE_NAME_LENGTH_MAX = 255
MEDIA_TYPE_LENGTH_MAX = 255


def stored_name(sent: str | None) -> str | None:
    """The last part of the path that was sent, without what no database takes; None when nothing is left."""
    name = (sent or "").encode("utf-8", "replace").decode()  # a client may spell half of a surrogate pair
    name = name.replace("\\", "/").rsplit("/", 1)[-1].replace("\x00", "").strip()
    return name[-FILE_NAME_LENGTH_MAX:] or None


def stored_media_type(sent: str | None) -> str | None:
    """The media type as it was sent. Raises `InvalidInput` for one that can be none: too long, or not printable."""
    if sent is None:
        return None
    if len(sent) > MEDIA_TYPE_LENGTH_MAX or not (sent.isascii() and sent.isprintable()):
        raise InvalidInput("the media type of the file is none: it is too long, or holds what cannot be printed")
    return sent
