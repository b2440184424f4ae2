"""An engine over TCP with TLS: its certificates, its records, and ending its streams."""

from __future__ import annotations

import datetime
import ipaddress
import shutil
import socketserver
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from moalog_tui.platform.containers import ProjectHint
from moalog_tui.platform.logs import LogRing
from tests.adapters.engine_server import EngineServer, Handler, composed, engine_on, until

T0 = 1_790_000_000_000_000_001


def write_certificate(folder: Path) -> None:
    """Write one self-signed certificate that serves as authority, server and client."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "engine")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "ca.pem").write_bytes(pem)
    (folder / "cert.pem").write_bytes(pem)
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


class TlsListener(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    engine: EngineServer
    context: ssl.SSLContext

    def get_request(self) -> tuple[ssl.SSLSocket, Any]:
        connection, address = super().get_request()
        return self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class TlsEngine(EngineServer):
    """The server behind TLS that asks for a client certificate."""

    verified = True

    @property
    def environment(self) -> dict[str, str]:
        host, port = self.listener.server_address[:2]
        found = {"DOCKER_HOST": f"tcp://{host!s}:{port}", "DOCKER_CERT_PATH": str(self.folder)}
        return found | ({"DOCKER_TLS_VERIFY": "1"} if self.verified else {})

    def start(self) -> None:
        write_certificate(self.folder)
        self.listener = TlsListener(("127.0.0.1", 0), Handler)
        self.listener.engine = self
        self.listener.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.listener.context.load_cert_chain(self.folder / "cert.pem", self.folder / "key.pem")
        self.listener.context.load_verify_locations(self.folder / "ca.pem")
        self.listener.context.verify_mode = ssl.CERT_REQUIRED
        threading.Thread(target=self.listener.serve_forever, args=(0.01,), daemon=True).start()

    def vanish(self) -> None:
        self.end(self.listener)
        shutil.rmtree(self.folder)


@pytest.mark.parametrize("verified", [True, False])
async def test_an_engine_over_tls(verified: bool) -> None:
    box = composed("redis", "a" * 64, log=[(T0 + number, 1, b"line\n") for number in range(500)])
    server = TlsEngine()
    server.verified = verified
    server.boxes = [box]
    server.start()
    try:
        async with engine_on(server) as engine:
            status = await engine.status()
            assert status.connected, status.error
            assert ("TLS not verified" in status.endpoint) is not verified
            listing = await engine.containers(ProjectHint(None, None, "moalog-server", ()))
            ring = LogRing()
            follower = engine.follow(listing.containers[0][1], ring, None)
            # One record for each line: read one by one, 20 times a second, this took 25 seconds.
            await until(lambda: ring.end == 500, 5)
            server.write(box, (T0 + 500, 1, b"more\n"))
            await until(lambda: ring.end == 501, 2)
            follower.stop()
            assert follower.join(0.5)
    finally:
        server.vanish()


async def test_an_engine_that_speaks_no_tls_is_told() -> None:
    server = TlsEngine()
    server.start()
    try:
        server.listener.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # no certificate: every handshake fails
        async with engine_on(server) as engine:
            status = await engine.status()
        assert not status.connected
        assert status.error is not None
        assert "TLS" in status.error
    finally:
        server.vanish()


async def test_missing_certificates_are_named() -> None:
    server = TlsEngine()
    server.start()
    try:
        (server.folder / "cert.pem").unlink()
        async with engine_on(server) as engine:
            status = await engine.status()
        assert status.error is not None
        assert f"needs {server.folder / 'cert.pem'}, which does not exist" in status.error
    finally:
        server.vanish()
