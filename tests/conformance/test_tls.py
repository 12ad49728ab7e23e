"""Encrypted connections: the certificate is checked, by the publisher and by the worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.errors import TransportUnavailable
from chaos.ports import free_port
from chaos.servers.rabbit import RabbitServer
from chaos.servers.redis import RedisServer
from tests.conformance.brokers import messages
from tests.conformance.conftest import TransportMaker, WorkerMaker

PATIENT_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A self-signed certificate for 127.0.0.1, which is its own authority."""

    certificate: Path
    key: Path


def make_certificate(directory: Path) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "conformance")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    directory.mkdir()
    made = Certificate(certificate=directory / "certificate.pem", key=directory / "key.pem")
    made.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made


@contextmanager
def redis_with_tls(own: Certificate) -> Iterator[str]:
    port = free_port()
    with RedisServer() as server, server.client() as client:
        client.config_set("tls-cert-file", str(own.certificate), "tls-key-file", str(own.key))
        client.config_set("tls-auth-clients", "no")
        client.config_set("tls-port", port)
        yield f"rediss://:{server.password}@127.0.0.1:{port}/0"


@contextmanager
def rabbit_with_tls(own: Certificate) -> Iterator[str]:
    port = free_port()
    configuration = (
        f"listeners.ssl.local = 127.0.0.1:{port}\n"
        f"ssl_options.certfile = {own.certificate}\nssl_options.keyfile = {own.key}\n"
        f"ssl_options.cacertfile = {own.certificate}\n"
    )
    with RabbitServer(extra_configuration=configuration) as server:
        yield server.url.replace("amqp://", "amqps://").replace(f":{server.access.port}/", f":{port}/")


@pytest.mark.parametrize("with_tls", [redis_with_tls, rabbit_with_tls])
def test_a_known_certificate_is_accepted_and_a_strange_one_is_not(
    tmp_path: Path,
    transport_to: TransportMaker,
    start_worker: WorkerMaker,
    with_tls: Callable[[Certificate], AbstractContextManager[str]],
) -> None:
    own, other = make_certificate(tmp_path / "own"), make_certificate(tmp_path / "other")
    with with_tls(own) as url:
        known = f"{url}?ssl_ca_certs={own.certificate}"
        transport = transport_to(known)
        transport.declare(deadline_seconds=PATIENT_SECONDS)
        assert transport.publish(messages([3, 8]), deadline_seconds=PATIENT_SECONDS)[0].accepted
        assert start_worker(known).notes(at_least=2) == ["p8", "p3"]

        for strange in (f"{url}?ssl_ca_certs={other.certificate}", url):
            with pytest.raises(TransportUnavailable, match=r"(?i)certificate"):
                transport_to(strange).publish(messages(), deadline_seconds=PATIENT_SECONDS)
        assert transport_to(f"{url}?ssl_cert_reqs=none").health(deadline_seconds=PATIENT_SECONDS) == ()
