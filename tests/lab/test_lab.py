"""The lab is what it says: twenty services that answer, depend on their neighbours, and outlive their engine."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.lab import faults, ports
from tests.lab.folder import LABEL, REPOSITORY, Folder, LabError, packages
from tests.lab.harness import Lab

pytestmark = pytest.mark.lab
PLATFORM = REPOSITORY.parent / "shared" / "platform"


def status_of(lab: Lab, variable: str, path: str, **headers: str) -> int:
    """The HTTP status of a service."""
    return ports.fetch(f"http://127.0.0.1:{lab.settings()[variable]}{path}", headers)[0]


def states(lab: Lab) -> dict[str, str]:
    """The state of each container, by compose service."""
    with lab.client() as client:
        rows = client.api.containers(all=True, filters={"label": LABEL})
        return {row["Labels"]["com.docker.compose.service"]: row["State"] for row in rows}


def prometheus(lab: Lab, query: str) -> list[float]:
    """The values of an instant query."""
    port = lab.settings()["PROMETHEUS_PORT"]
    _, body = ports.fetch(f"http://127.0.0.1:{port}/api/v1/query?query={query}")
    return [float(row["value"][1]) for row in json.loads(body or "{}").get("data", {}).get("result", [])]


def test_all_twenty_services_run_under_compose_labels_and_answer(lab: Lab) -> None:
    found = states(lab)
    assert len(found) == 20
    assert found.pop("otel-agent-init") == "exited"
    assert set(found.values()) == {"running"}
    assert lab.ill() == {}
    with lab.container("redis") as container:
        assert container.name == "moalog-redis"
        assert container.labels["com.docker.compose.project"] == "moalog-server"


def test_compose_file_has_the_platforms_services_names_ports_and_dependencies(lab: Lab) -> None:
    ours = yaml.safe_load(lab.compose_file.read_text())["services"]
    assert len(ours) == 20
    if not PLATFORM.exists():
        return
    theirs = yaml.safe_load((PLATFORM / "moalog-server" / "docker-compose.yaml").read_text())["services"]
    assert list(ours) == list(theirs)
    for name, service in theirs.items():
        for key in ("container_name", "ports", "depends_on", "restart"):
            assert ours[name].get(key) == service.get(key), f"{name}.{key}"
        assert ("healthcheck" in ours[name]) == ("healthcheck" in service), name


def test_ports_are_published_on_loopback_only(lab: Lab) -> None:
    with lab.client() as client:
        rows = client.api.containers(filters={"label": LABEL})
    assert {port["IP"] for row in rows for port in row["Ports"] if "PublicPort" in port} == {"127.0.0.1"}


def test_traffic_flows_and_prometheus_sees_it(lab: Lab) -> None:
    assert lab.wait_until(lambda: prometheus(lab, "sum(rate(axum_http_requests_total[30s]))") > [0.5], 30, 1)
    assert lab.wait_until(lambda: len(prometheus(lab, "up==1")) == 9, 30, 1)
    assert prometheus(lab, "redis_up") == [1.0]


def test_stopped_redis_takes_its_dependants_health_but_not_their_answers(lab: Lab) -> None:
    lab.stop("redis")
    assert lab.wait_until(lambda: status_of(lab, "RATE_LIMITER_PORT", "/actuator/health") == 503, 10)
    assert lab.wait_until(lambda: status_of(lab, "FLUXPAY_PORT", "/actuator/health") == 503, 10)
    assert status_of(lab, "FLUXPAY_PORT", "/api/v1/health") == 200
    assert status_of(lab, "RATE_LIMITER_PORT", "/api/v1/rate-limit/check?key=x") == 200
    assert status_of(lab, "SERVER_PORT", "/health") == 200
    lab.start("redis")
    assert lab.wait_until(lambda: status_of(lab, "RATE_LIMITER_PORT", "/actuator/health") == 200, 15)


def test_stopped_rate_limiter_fails_open_and_says_so(lab: Lab) -> None:
    lab.stop("rate-limiter")
    assert status_of(lab, "SERVER_PORT", "/api/v1/retrospects") == 200
    assert "Fail Open" in lab.docker("logs", "--tail", "50", "moalog-server")


def test_stopped_mysql_and_payments_fail_their_routes_only(lab: Lab) -> None:
    lab.stop("mysql")
    lab.stop("fluxpay-engine")
    assert status_of(lab, "SERVER_PORT", "/api/v1/retrospects") == 500
    assert status_of(lab, "SERVER_PORT", "/api/v1/payments") == 502
    assert status_of(lab, "SERVER_PORT", "/health") == 200


def test_clients_without_an_address_share_one_limit(lab: Lab) -> None:
    """The 101st request of a minute is refused; another address is not."""
    crowd = {"X-Forwarded-For": "203.0.113.77"}
    seen = [status_of(lab, "SERVER_PORT", "/health", **crowd) for _ in range(101)]
    assert seen[:100] == [200] * 100
    assert seen[100] == 429
    _, body = ports.fetch(f"http://127.0.0.1:{lab.settings()['SERVER_PORT']}/health", crowd)
    assert json.loads(body)["code"] == "RATE4291"
    assert status_of(lab, "SERVER_PORT", "/health") == 200


def test_actuator_metrics_need_the_credentials(lab: Lab) -> None:
    login = base64.b64encode(b"actuator:admin").decode()
    assert status_of(lab, "RATE_LIMITER_PORT", "/actuator/prometheus") == 401
    assert status_of(lab, "RATE_LIMITER_PORT", "/actuator/prometheus", Authorization=f"Basic {login}") == 200


def test_broker_advertises_a_name_that_this_host_cannot_resolve(lab: Lab) -> None:
    with pytest.raises(OSError, match=r"not known|resolution|No address"):
        socket.getaddrinfo("fluxpay-kafka", 9092)
    assert "fluxpay-kafka:9092" in lab.docker("logs", "fluxpay-kafka")


def test_out_of_memory_is_the_engines_own_verdict(lab: Lab) -> None:
    faults.oom(lab, "redis")
    assert lab.wait_until(lambda: bool(lab.state("redis")["OOMKilled"]), 15)
    assert lab.state("redis")["ExitCode"] == 137


def test_crash_loop_restarts_again_and_again(lab: Lab) -> None:
    faults.crash_loop(lab, "rate-limiter", "3")

    def restarts() -> int:
        with lab.container("rate-limiter") as container:
            return int(container.attrs["RestartCount"])

    assert lab.wait_until(lambda: restarts() >= 3, 20, 0.5)


def test_hostile_lines_reach_the_log_as_they_are(lab: Lab) -> None:
    faults.hostile(lab, "promtail")
    assert lab.wait_until(lambda: "\x1b]52;c;" in lab.docker("logs", "--tail", "20", "moalog-promtail"), 10, 0.5)


@pytest.mark.parametrize("survive", [True, False], ids=["live-restore", "plain"])
def test_engine_comes_back_after_a_kill(lab: Lab, survive: bool) -> None:
    lab.engine.start(live_restore=survive)
    lab.engine.kill()
    assert not lab.engine.answers()
    assert status_of(lab, "GRAFANA_PORT", "/api/health") == 0, "the port proxies die with the engine"
    lab.engine.start()
    alive = [service for service, state in states(lab).items() if state == "running"]
    assert len(alive) == (19 if survive else 0)
    lab.engine.start(live_restore=False)


def test_a_taken_port_is_refused_in_a_sentence(lab: Lab, tmp_path: Path) -> None:
    """A second lab, in a folder of its own, finds the first one's ports taken, and starts nothing."""
    other = Lab(Folder(tmp_path))
    with pytest.raises(LabError, match=r"ports that something else holds: 2181 \(fluxpay-zookeeper\), .*; end that"):
        other.up()
    assert other.engine.pid() is None
    assert not other.engine.log.exists()
    assert lab.is_up()


def test_nothing_without_the_label_is_removed(lab: Lab) -> None:
    """Every container, network and volume of the project carries it, so that `down` finds it all."""
    with lab.client() as client:
        project: dict[str, str | list[str] | bool] = {"label": "com.docker.compose.project=moalog-server"}
        assert len(client.volumes.list(filters=project)) == len(client.volumes.list(filters={"label": LABEL})) == 6
        assert len(client.networks.list(filters=project)) == len(client.networks.list(filters={"label": LABEL})) == 1
        assert len(client.containers.list(all=True, filters=project)) == 20


def test_down_refuses_while_something_is_not_the_labs(lab: Lab) -> None:
    lab.docker("volume", "create", "somebody-elses")
    try:
        with pytest.raises(LabError, match=r"not the lab's: somebody-elses; remove it yourself"):
            lab.down()
        assert lab.is_up()
    finally:
        lab.docker("volume", "rm", "somebody-elses")


def test_down_of_a_second_folder_leaves_the_first_lab_alone(lab: Lab, tmp_path: Path) -> None:
    Lab(Folder(tmp_path)).down()
    assert lab.is_up()


def test_env_prints_lines_for_a_shell(lab: Lab) -> None:
    argv = [sys.executable, "-m", "tests.lab", "env"]
    out = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True, cwd=REPOSITORY).stdout
    assert f"export DOCKER_HOST={lab.docker_host}\n" in out
    assert f"export MOALOG_HOME={lab.platform_dir}\n" in out


def test_what_the_lab_needs_is_listed_once() -> None:
    assert packages() == sorted(set(packages()))
    assert {"docker.io", "docker-compose", "redis-server"} <= set(packages())
