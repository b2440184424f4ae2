from __future__ import annotations

import pytest

from moalog_tui.platform.containers import Container, ContainerState, PublishedPort
from moalog_tui.platform.endpoints import parse_port, resolve_endpoint
from moalog_tui.platform.envfile import EnvFile, parse_env
from moalog_tui.platform.services import Endpoint, Service, ServiceKind

REDIS = Service("redis", ServiceKind.DATASTORE, port=6382, port_variable="REDIS_PORT", container_port=6379)


def container(
    *ports: PublishedPort, state: ContainerState = ContainerState.RUNNING, networks: tuple[str, ...] = ("bridge",)
) -> Container:
    return Container("c0ffee", "moalog-redis", "redis", "p", "redis:7", state, ports=ports, networks=networks)


def resolve(
    held: Container | None = None, env: str = "", remote: bool = False, service: Service = REDIS, **environment: str
) -> Endpoint | None:
    return resolve_endpoint(service, held, environment, parse_env(env) if env else EnvFile(), remote)


@pytest.mark.parametrize(
    ("host_ip", "expected"),
    [
        ("0.0.0.0", "127.0.0.1"),
        ("", "127.0.0.1"),
        ("::", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("192.0.2.7", "192.0.2.7"),
        ("::1", "::1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_the_published_port_wins_over_every_setting(host_ip: str, expected: str) -> None:
    held = container(PublishedPort(6379, host_ip, 7000))
    assert resolve(held, "REDIS_PORT=1", REDIS_PORT="2") == Endpoint(expected, 7000, "published")


def test_loopback_is_preferred_among_several() -> None:
    held = container(
        PublishedPort(6379, "2001:db8::1", 1), PublishedPort(6379, "192.0.2.7", 2), PublishedPort(6379, "0.0.0.0", 3)
    )
    assert resolve(held) == Endpoint("127.0.0.1", 3, "published")


@pytest.mark.parametrize(
    "ports",
    [(), (PublishedPort(6380, "0.0.0.0", 7000),), (PublishedPort(6379, "0.0.0.0", 7000, "udp"),)],
)
def test_a_running_container_that_does_not_publish_is_not_reachable(ports: tuple[PublishedPort, ...]) -> None:
    assert resolve(container(*ports), "REDIS_PORT=1", REDIS_PORT="2") is None


def test_a_container_on_the_hosts_network_needs_no_published_port() -> None:
    assert resolve(container(networks=("host",))) == Endpoint("127.0.0.1", 6379, "host network")


@pytest.mark.parametrize("state", [state for state in ContainerState if state is not ContainerState.RUNNING])
def test_without_a_running_container_the_settings_tell(state: ContainerState) -> None:
    held = container(state=state)
    assert resolve(held, "A=1\nREDIS_PORT=7001", REDIS_PORT="7002") == Endpoint("127.0.0.1", 7002, "environment")
    assert resolve(held, "A=1\nREDIS_PORT=7001") == Endpoint("127.0.0.1", 7001, ".env:2")
    assert resolve(held) == resolve(None) == Endpoint("127.0.0.1", 6382, "profile")


def test_an_empty_variable_of_the_shell_hides_the_file_and_gives_the_default() -> None:
    assert resolve(None, "REDIS_PORT=7001", REDIS_PORT="") == Endpoint("127.0.0.1", 6382, "profile")


def test_a_variable_that_is_no_port_is_passed_over() -> None:
    assert resolve(None, "REDIS_PORT=many") == Endpoint("127.0.0.1", 6382, "profile")
    assert resolve(None, REDIS_PORT="192.0.2.7:7003") == Endpoint("192.0.2.7", 7003, "environment")


def test_nothing_is_reachable_on_a_remote_engine_or_without_a_port() -> None:
    assert resolve(container(PublishedPort(6379, "0.0.0.0", 7000)), remote=True) is None
    assert resolve(service=Service("promtail", ServiceKind.OBSERVABILITY)) is None
    assert resolve(service=Service("x", ServiceKind.OBSERVABILITY, container_port=9)) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6382", ("127.0.0.1", 6382)),
        (" 6382 ", ("127.0.0.1", 6382)),
        ("127.0.0.1:6382", ("127.0.0.1", 6382)),
        ("0.0.0.0:6382", ("127.0.0.1", 6382)),
        ("[::1]:6382", ("::1", 6382)),
        ("", None),
        ("0", None),
        ("65536", None),
        ("-1", None),
        ("6382-6390", None),
        ("٣", None),
        ("9" * 5000, None),
        ("name:6382", None),
    ],
)
def test_a_port_variable_holds_a_port_or_an_address_with_one(text: str, expected: tuple[str, int] | None) -> None:
    assert parse_port(text) == expected
