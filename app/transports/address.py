"""Where a broker is: its URL taken apart, and what of it may be shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from app.errors import SettingsError

TLS_SCHEMES = ("rediss", "amqps")
TLS_OPTIONS = ("ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
CERTIFICATE_CHECKS = ("none", "optional", "required")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A broker URL in parts, percent-decoded; `path` is without its leading slash.

    `celery_url` is what Celery is given. With `sentinels` the broker is where those say that `master_name` is.
    `name` is what the broker is called, whatever its address.
    """

    url: str = field(repr=False)
    scheme: str
    host: str
    port: int | None
    user: str | None
    password: str | None = field(repr=False)
    path: str
    tls: dict[str, str] | None
    celery_url: str = field(repr=False)
    sentinels: tuple[tuple[str, int], ...] = ()
    master_name: str = ""
    name: str = ""

    @property
    def place(self) -> str:
        """Host in one spelling; loopback names are one place."""
        host = self.host.lower()
        return "127.0.0.1" if host in {"localhost", "::1"} else host


def parse_one(url: str) -> Address:
    """Take a URL of one place apart, or raise `SettingsError` with a line that says what is wrong.

    The line never holds the URL: it may carry a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SettingsError(f"BROKER_URL: cannot be read: {error}") from None
    if not parts.scheme or "://" not in url:
        raise SettingsError("BROKER_URL: takes a URL such as redis://host:6379/0 or amqp://host:5672//")
    scheme = parts.scheme.lower()
    return Address(
        url=url,
        scheme=scheme,
        host=unquote(parts.hostname or "") or "127.0.0.1",
        port=port,
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        path=unquote(parts.path.removeprefix("/")),
        tls=_tls_options(parts.query) if scheme in TLS_SCHEMES else None,
        celery_url=_without_tls_options(url),
    )


def _without_tls_options(url: str) -> str:
    """Kombu would hand them to py-amqp under Redis' names."""
    parts = urlsplit(url)
    rest = [(name, value) for name, value in parse_qsl(parts.query) if name not in TLS_OPTIONS]
    return urlunsplit(parts._replace(query=urlencode(rest)))


def _tls_options(query: str) -> dict[str, str]:
    """The `ssl_…` options of the query; a certificate is required unless it says otherwise."""
    options = {name: value for name, value in parse_qsl(query) if name in TLS_OPTIONS}
    check = options.get("ssl_cert_reqs", "required").lower().removeprefix("cert_")
    if check not in CERTIFICATE_CHECKS:
        raise SettingsError(f"BROKER_URL: ssl_cert_reqs takes {', '.join(CERTIFICATE_CHECKS)}")
    return options | {"ssl_cert_reqs": check}
