"""Which engine is asked, and how its failures are told."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import socket
import ssl
from pathlib import Path

import pytest
import requests

from moalog_tui.adapters.blocking import BlockingCalls
from moalog_tui.adapters.docker import DockerEngine
from moalog_tui.adapters.docker_endpoint import EngineEndpoint, resolve_endpoint
from moalog_tui.adapters.docker_errors import is_stale, name_error
from moalog_tui.platform.containers import EngineError
from tests.adapters.engine_server import engine_server


def add_context(config: Path, name: str, host: str, tls: bool = False) -> None:
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = config / "contexts" / "meta" / key / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host}}}), "utf-8")
    if tls:
        folder = config / "contexts" / "tls" / key / "docker"
        folder.mkdir(parents=True)
        for file in ("ca.pem", "cert.pem", "key.pem"):
            (folder / file).write_text("x", "utf-8")


def test_the_default_socket_where_nothing_is_set(tmp_path: Path) -> None:
    endpoint = resolve_endpoint({"HOME": str(tmp_path)})
    assert str(endpoint) == "unix:///var/run/docker.sock (default)"
    assert not endpoint.remote


def test_docker_host_wins_over_a_context(tmp_path: Path) -> None:
    endpoint = resolve_endpoint({"DOCKER_HOST": "tcp://10.0.0.7:2375", "DOCKER_CONTEXT": "no", "HOME": str(tmp_path)})
    assert str(endpoint) == "tcp://10.0.0.7:2375 (DOCKER_HOST)"
    assert endpoint.tls is None


def test_tls_of_the_environment(tmp_path: Path) -> None:
    environment = {"DOCKER_HOST": "tcp://h:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
    endpoint = resolve_endpoint(environment)
    assert endpoint.tls is not None
    assert (endpoint.tls.verify, endpoint.tls.key) == (True, tmp_path / "key.pem")
    unverified = resolve_endpoint(environment | {"DOCKER_TLS_VERIFY": ""})
    assert unverified.tls is not None
    assert not unverified.tls.verify
    assert (
        resolve_endpoint({"DOCKER_HOST": "tcp://h:2376", "DOCKER_TLS_VERIFY": "", "DOCKER_CERT_PATH": ""}).tls is None
    )


def test_contexts_by_variable_and_by_configuration(tmp_path: Path) -> None:
    add_context(tmp_path, "rootless", "unix:///run/user/1000/docker.sock")
    add_context(tmp_path, "far", "tcp://far.example:2376", tls=True)
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "far"}), "utf-8")
    config = {"DOCKER_CONFIG": str(tmp_path)}
    far = resolve_endpoint(config)
    assert (str(far), far.remote) == ("tcp://far.example:2376 (context far)", True)
    assert far.tls is not None
    assert far.tls.verify
    rootless = resolve_endpoint(config | {"DOCKER_CONTEXT": "rootless"})
    assert str(rootless) == "unix:///run/user/1000/docker.sock (context rootless)"
    assert rootless.tls is None
    assert resolve_endpoint(config | {"DOCKER_CONTEXT": "default"}).source == "default"


@pytest.mark.parametrize("text", ["", "[]", "not json", '{"currentContext": 7}', "{}"])
def test_a_configuration_without_a_context_means_the_default(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text, "utf-8")
    assert resolve_endpoint({"DOCKER_CONFIG": str(tmp_path)}).source == "default"


async def test_an_unknown_context_is_an_error_and_not_the_default_socket(tmp_path: Path) -> None:
    environment = {"DOCKER_CONTEXT": "nowhere", "DOCKER_CONFIG": str(tmp_path)}
    engine = DockerEngine(BlockingCalls(), environment)
    status = await engine.status()
    assert (status.connected, status.kind) == (False, "context")
    assert status.error is not None
    assert '"nowhere" (named by DOCKER_CONTEXT) does not exist' in status.error
    with engine_server() as server:
        add_context(tmp_path, "nowhere", f"unix://{server.socket}")
        status = await engine.status()
        assert (status.connected, status.endpoint) == (True, f"unix://{server.socket} (context nowhere)")
        engine.close()


@pytest.mark.parametrize("meta", ["", "[]", '{"Endpoints": {}}', '{"Endpoints": {"docker": {"Host": ""}}}'])
def test_a_broken_context_is_an_error(tmp_path: Path, meta: str) -> None:
    add_context(tmp_path, "broken", "x")
    next(tmp_path.glob("contexts/meta/*/meta.json")).write_text(meta, "utf-8")
    with pytest.raises(EngineError, match=r"cannot be read|names no host") as caught:
        resolve_endpoint({"DOCKER_CONTEXT": "broken", "DOCKER_CONFIG": str(tmp_path)})
    assert caught.value.kind == "context"


@pytest.mark.parametrize(
    ("url", "remote"),
    [
        ("unix:///x.sock", False),
        ("tcp://127.0.0.1:2375", False),
        ("tcp://localhost:2375", False),
        ("tcp://[::1]:2375", False),
        ("tcp://10.1.2.3:2375", True),
        ("ssh://op@host", True),
        ("tcp://[broken", True),
    ],
)
def test_an_engine_of_another_host_is_remote(url: str, remote: bool) -> None:
    assert EngineEndpoint(url, "DOCKER_HOST").remote is remote


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("unix:///var/run/docker.sock", "sudo systemctl start docker"),
        ("unix:///run/user/1000/docker.sock", "systemctl --user start docker"),
        ("unix:///opt/x.sock", "correct DOCKER_HOST"),
    ],
)
def test_an_absent_engine_says_how_it_is_started(url: str, expected: str) -> None:
    endpoint = EngineEndpoint(url, "DOCKER_HOST")
    error = name_error(requests.ConnectionError("x", FileNotFoundError(2, "No such file")), endpoint, 3)
    assert (error.kind, expected in error.sentence) == ("absent", True)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (requests.ReadTimeout("read"), "timeout", "did not answer within 3 s"),
        (BlockingIOError(11, "try again"), "timeout", "did not answer"),
        (requests.ConnectionError(ConnectionResetError(104, "reset")), "refused", "closed the connection"),
        (requests.ConnectionError(socket.gaierror(-2, "unknown")), "other", "does not resolve"),
        (requests.exceptions.SSLError(ssl.SSLError(1, "certificate expired")), "other", "TLS"),
        (RuntimeError("odd"), "other", "cannot be asked: odd"),
        (KeyError(), "other", "cannot be asked: KeyError"),
    ],
)
def test_failures_are_told_as_sentences(error: Exception, kind: str, words: str) -> None:
    named = name_error(error, EngineEndpoint("tcp://h:2375", "DOCKER_HOST"), 3.0)
    assert (named.kind, words in named.sentence) == (kind, True), named.sentence


def test_only_a_dead_connection_is_worth_a_second_try() -> None:
    assert is_stale(requests.ConnectionError(ConnectionResetError(104, "reset")))
    assert not is_stale(requests.ConnectionError(ConnectionRefusedError(111, "refused")))
    assert not is_stale(requests.ReadTimeout("read"))


async def test_an_engine_over_ssh_without_its_extra_says_what_to_install() -> None:
    engine = DockerEngine(BlockingCalls(), {"DOCKER_HOST": "ssh://op@host.invalid"})
    status = await engine.status()
    engine.close()
    assert (status.connected, status.remote) == (False, True)
    assert status.error is not None
    if importlib.util.find_spec("paramiko") is None:
        assert "moalog-tui[ssh]" in status.error


async def test_an_engine_over_tcp_and_a_proxy_that_must_not_catch_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        engine = DockerEngine(BlockingCalls(), {"DOCKER_HOST": f"tcp://127.0.0.1:{port}"}, 0.5)
        status = await engine.status()
        engine.close()
    assert (status.kind, status.endpoint, status.remote) == ("refused", f"tcp://127.0.0.1:{port} (DOCKER_HOST)", False)
    assert status.error is not None
    assert str(port) in status.error
