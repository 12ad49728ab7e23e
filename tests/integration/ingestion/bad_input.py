"""Input that must not be taken in, by the name of its fault: files, pages, addresses."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from dataclasses import dataclass

from tests.unit.content.pdf_files import encrypted, pdf_with_pages, text_page
from tests.unit.content.web_server import Answer, Handler, unused_port

MAX_BYTES = 200_000
MAX_TEXT_CHARS = 50_000
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
SENTENCE = "The heron waited beside the frozen mill until the evening came. "
PDF = pdf_with_pages(*(text_page(f"Page {number}.", SENTENCE, SENTENCE) for number in range(8)))
HTML = f"<html><head><title>A mill</title></head><body><main><p>{SENTENCE * 5}</p></main></body></html>".encode()
BOMB_BYTES = 64 * 1024 * 1024


def zip_bomb(name: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, b" " * BOMB_BYTES)
    return packed.getvalue()


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Bytes as somebody sends them, no two alike, and the `type` of the error they end in."""

    data: bytes
    media_type: str | None = None
    name: str | None = None
    error: str = ""


BAD_UPLOADS = {
    "empty file": Upload(data=b"", name="empty.txt", error="document-empty"),
    "blank file": Upload(data=b" \r\n\t\n", name="blank.md", error="document-empty"),
    "html without text": Upload(data=b"<html><body></body></html>", name="page.html", error="document-empty"),
    "pdf with a password": Upload(
        data=encrypted(PDF, user_password="secret"), name="locked.pdf", error="document-encrypted"
    ),
    "png called pdf": Upload(data=PNG, name="scan.pdf", error="document-mislabelled"),
    "png declared as pdf": Upload(data=PNG + b"\x00", media_type="application/pdf", error="document-mislabelled"),
    "pdf called html": Upload(data=PDF, name="page.html", error="document-mislabelled"),
    "html called pdf": Upload(data=HTML, name="paper.pdf", error="document-mislabelled"),
    "truncated pdf": Upload(data=PDF[:400], name="torn.pdf", error="document-broken"),
    "flate bomb in a pdf": Upload(
        data=pdf_with_pages(b"BT /F1 12 Tf " + b" " * BOMB_BYTES + b" ET"),
        name="bomb.pdf",
        error="document-too-large",
    ),
    "zip bomb called html": Upload(data=zip_bomb("a"), name="page.html", error="document-mislabelled"),
    "zip bomb without a label": Upload(data=zip_bomb("b"), error="unsupported-type"),
    "gzip bomb called text": Upload(data=gzip.compress(b" " * BOMB_BYTES), name="a.txt", error="document-mislabelled"),
    "text over the limit": Upload(data=SENTENCE.encode() * 1000, name="huge.txt", error="document-too-large"),
}


def answering(body: bytes, *, status: int = 200, **headers: str) -> Answer:
    def answer(handler: Handler) -> None:
        handler.reply(status, body, **headers)

    return answer


BAD_PAGES: dict[str, tuple[Answer, str]] = {
    "gzip bomb": (
        answering(gzip.compress(b" " * BOMB_BYTES), Content_Type="text/html", Content_Encoding="gzip"),
        "document-too-large",
    ),
    "flate bomb": (
        answering(zlib.compress(b" " * BOMB_BYTES), Content_Type="text/html", Content_Encoding="deflate"),
        "document-too-large",
    ),
    "damaged gzip": (
        answering(b"this is not gzip", Content_Type="text/html", Content_Encoding="gzip"),
        "document-broken",
    ),
    "body over the limit": (answering(b"x " * MAX_BYTES, Content_Type="text/plain"), "document-too-large"),
    "empty page": (answering(b"", Content_Type="text/html"), "document-empty"),
    "png called html": (answering(PNG, Content_Type="text/html"), "document-mislabelled"),
    "image": (answering(PNG, Content_Type="image/png"), "unsupported-type"),
    "no such page": (answering(b"gone", status=404), "fetch-failed"),
    "redirect to loopback": (
        answering(b"", status=302, Location=f"http://127.0.0.1:{unused_port()}/admin"),
        "fetch-refused",
    ),
    "redirect to localhost": (answering(b"", status=301, Location="http://localhost/"), "fetch-refused"),
    "redirect to the metadata service": (
        answering(b"", status=307, Location="http://169.254.169.254/latest/meta-data/"),
        "fetch-refused",
    ),
    "redirect to a v4-mapped address": (
        answering(b"", status=302, Location="http://[::ffff:127.0.0.1]/"),
        "fetch-refused",
    ),
    "redirect to a file": (answering(b"", status=302, Location="file:///etc/passwd"), "fetch-refused"),
    "redirect to itself": (answering(b"", status=302, Location="#again"), "fetch-refused"),
}

FORBIDDEN_AT_THE_DOOR = [
    "http://169.254.169.254/",
    "http://127.0.0.1/",
    "http://localhost/",
    "http://10.0.0.1/",
    "http://192.168.1.1/index.html",
    "http://172.16.0.9/",
    "http://[::1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[fd00::1]/",
    "http://0x7f000001/",
    "http://2130706433/",
    "file:///etc/passwd",
    "ftp://example.com/file",
    "gopher://example.com/",
    "http://user:password@example.com/",
    "http://example.com:22/",
]

NOT_QUITE_TEXT = [
    Upload(data=b"Caf\xe9 society, \xff\xfe and \xc3( more words.", name="latin.txt"),
    Upload(data=b"Words\x00with\x00nothing\x00between them", name="nul.txt"),
    Upload(data=b"<html><body><main><p>A mill\x00 \xe9t\xe9 \xed\xa0\x80" + b" words" * 40, name="bad.html"),
    Upload(data="Lone \ud800 surrogate and more words".encode("utf-8", "surrogatepass"), name="lone.md"),
    Upload(data="A mill in UTF-16".encode("utf-16"), name="wide.txt"),
    Upload(data=bytes(range(256)) * 20, name="everything.txt"),
]
