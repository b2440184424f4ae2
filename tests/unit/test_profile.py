from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from moalog_tui.platform.profile import LOSES_LIMIT, ProfileError, parse_profile
from moalog_tui.platform.services import ProbeKind, ServiceKind
from moalog_tui.profiles import load_builtin

COMPOSE = Path(__file__).parents[3] / "shared" / "platform" / "moalog-server" / "docker-compose.yaml"

NEEDS = {
    "rate-limiter": {"redis"},
    "fluxpay-engine": {"fluxpay-postgres", "redis", "fluxpay-kafka"},
    "moalog-server": {"mysql", "rate-limiter", "fluxpay-engine"},
    "fluxpay-kafka": {"fluxpay-zookeeper"},
    "redis-exporter": {"redis"},
    "mysqld-exporter": {"mysql"},
    "rjmx-exporter-rate-limiter": {"rate-limiter"},
    "rjmx-exporter-fluxpay": {"fluxpay-engine"},
    "grafana": {"prometheus"},
    "prometheus": {"alertmanager"},
    "promtail": {"loki"},
    "otel-collector": {"jaeger"},
}
WINDOWS = {
    "redis": 15,
    "fluxpay-zookeeper": 15,
    "fluxpay-postgres": 15,
    "mysql": 60,
    "fluxpay-kafka": 75,
    "rate-limiter": 90,
    "fluxpay-engine": 120,
}

GOOD = """\
name = "shop"
prometheus = "metrics"

[[setting]]
name = "DB_PASSWORD"
secret = true

[[setting]]
name = "DB_USER"

[[service]]
name = "db"
kind = "datastore"
container = "shop-db"
port = 5432
port_variable = "DB_PORT"
container_port = 5432
probe = { kind = "postgres", user_setting = "DB_USER", password_setting = "DB_PASSWORD" }

[[service]]
name = "web"
kind = "application"
container = "shop-web"
port = 8080
container_port = 80
startup_s = 12.5
slow_ms = 0
probe = { kind = "http", path = "/ok", expect_json = ["a.b", "up"], expect_status = [200, 404], headers = { A = "b" } }
starts_after = ["db"]

  [[service.needs]]
  service = "db"
  loses = "no orders"
  timeout = "3 s"

  [[service.external]]
  name = "Bank"
  loses = "no payments"
  signatures = ["BankGone"]

[[service]]
name = "metrics"
kind = "observability"

[[metric]]
name = "load"
query = "up"
unit = "count"
service = "web"
warn = 3
"""


def mistake(old: str, new: str) -> str:
    assert GOOD.count(old) >= 1, old
    with pytest.raises(ProfileError) as caught:
        parse_profile(GOOD.replace(old, new, 1), "shop.toml")
    return caught.value.sentence


def sentence_of(text: str) -> str:
    try:
        return parse_profile(text, "x.toml").source
    except ProfileError as error:
        return error.sentence


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(GOOD.splitlines(), 1) if line.startswith(text))


def test_the_built_in_profile_has_every_service_with_its_needs_and_windows() -> None:
    profile = load_builtin()
    assert len(profile.services) == 20
    for service in profile.services:
        assert {need.service for need in service.needs} == NEEDS.get(service.name, set()), service.name
        assert service.startup_s == WINDOWS.get(service.name, 30), service.name
        assert service.container
        assert service.impact
        assert all(len(need.loses) <= LOSES_LIMIT for need in service.needs)
        assert service.scenario
    assert {metric.unit for metric in profile.metrics} == {"/s", "ratio", "s", "bytes"}
    assert profile.prometheus == "prometheus"


def test_the_built_in_profile_knows_the_traps_of_the_probes() -> None:
    profile = load_builtin()
    server = profile.service("moalog-server")
    assert server is not None
    assert server.probe.headers == (("X-Forwarded-For", "moalog-tui"),)
    assert server.probe.expect_json == ("result.status", "healthy")
    assert {signature for one in server.external for signature in one.signatures} == {
        "AiServiceUnavailable",
        "SocialAuthFailed",
    }
    engine = profile.service("fluxpay-engine")
    assert engine is not None
    assert (engine.probe.path, engine.probe.impaired_path) == ("/api/v1/health", "/actuator/health")
    agent = profile.service("otel-agent-init")
    assert agent is not None
    assert (agent.completes, agent.kind, agent.probe.kind) == (True, ServiceKind.ONE_SHOT, ProbeKind.NONE)
    collector = profile.service("otel-collector")
    assert collector is not None
    assert 404 in collector.probe.expect_status
    grafana = profile.service("grafana")
    assert grafana is not None
    assert grafana.probe.locks_accounts
    assert grafana.probe.password_setting is None


def test_all_seven_rows_of_the_resilience_table_are_told() -> None:
    profile = load_builtin()
    rows = {
        (service.name, need.service): need
        for service in profile.services
        for need in service.needs
        if need.timeout and need.behaviour
    }
    for pair, word in {
        ("moalog-server", "rate-limiter"): "500 ms",
        ("moalog-server", "fluxpay-engine"): "5 s",
        ("rate-limiter", "redis"): "Spring",
        ("fluxpay-engine", "fluxpay-postgres"): "R2DBC",
        ("fluxpay-engine", "fluxpay-kafka"): "Spring",
    }.items():
        assert word in (rows[pair].timeout or "")
    server = profile.service("moalog-server")
    assert server is not None
    assert {(one.name, one.timeout) for one in server.external} == {("OpenAI", "30 s"), ("OAuth providers", "10 s")}


def test_every_secret_of_the_built_in_profile_is_marked() -> None:
    for setting in load_builtin().settings:
        looks = any(word in setting.name for word in ("PASSWORD", "SECRET", "KEY"))
        assert setting.secret is looks, setting.name


def test_the_built_in_profile_agrees_with_the_compose_file_where_that_is_at_hand() -> None:
    if not COMPOSE.is_file():
        return  # an addition to the tests above, which need no file
    file = yaml.safe_load(COMPOSE.read_text("utf-8"))["services"]
    profile = load_builtin()
    assert {service.name for service in profile.services} == set(file)
    for service in profile.services:
        entry = file[service.name]
        assert service.container == entry["container_name"]
        assert set(service.starts_after) == set(entry.get("depends_on", ()))
        mappings = [str(port).replace("${", "").replace("}", "") for port in entry.get("ports", ())]
        if service.port is None:
            assert not mappings
            continue
        variable = f"{service.port_variable}:-" if service.port_variable else ""
        assert f"{variable}{service.port}:{service.container_port}" in mappings


def test_a_good_profile_is_read_whole() -> None:
    profile = parse_profile(GOOD, "shop.toml")
    assert (profile.name, profile.title, profile.project, profile.source) == ("shop", "shop", "shop", "shop.toml")
    web = profile.service("web")
    assert web is not None
    assert web.startup_s == 12.5
    assert web.slow_ms is None
    assert web.probe.expect_status == (200, 404)
    assert web.probe.expect_json == ("a.b", "up")
    assert web.needs[0].timeout == "3 s"
    assert web.external[0].signatures == ("BankGone",)
    assert profile.metrics[0].warn == 3


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('name = "shop"', 'nome = "shop"', ['"name" is missing', '"nome"', "a text"]),
        ('prometheus = "metrics"', 'promtheus = "metrics"', ["line 2", "unknown key", '"promtheus"', '"prometheus"']),
        ('prometheus = "metrics"', 'prometheus = "metric"', ["line 2", 'no service "metric"', '"metrics"']),
        ("port = 5432", 'port = "5432"', [f"line {line_of('port = 5432')}", '"db".port', 'the text "5432"', "whole"]),
        ("port = 5432", "port = 70000", ["70000", "1 to 65535"]),
        ("port = 5432", "port = 0", ["found 0", "1 to 65535"]),
        ("port = 5432", "port = true", ["found true", "whole number"]),
        ("port = 5432", "port = 54.5", ["54.5", "whole number"]),
        ("port = 5432\n", "", ['no "port"', "port_variable"]),
        ("container_port = 5432\n", "", ["container_port", '"db".probe']),
        ('kind = "datastore"', 'kind = "datastor"', ['"datastor"', '"datastore"']),
        ('kind = "datastore"', 'kind = "zebra"', ['"zebra"', "expected one of", "broker"]),
        ('kind = "datastore"\n', "", ['"kind" is missing']),
        ('kind = "postgres"', 'kind = "postgress"', ['"postgress"', '"postgres"', "probe.kind"]),
        ('kind = "postgres"', 'kind = "postgres", path = "/x"', ['no "path"', "http"]),
        ('path = "/ok"', 'path = "ok"', ['"ok"', '"/"']),
        ('path = "/ok"', 'pth = "/ok"', ['unknown key "pth"', '"path"']),
        ('["a.b", "up"]', '["a.b"]', ["1 texts", "dotted path"]),
        ("[200, 404]", "[20]", ["100 to 599"]),
        ("[200, 404]", '["200"]', ['"200"', "whole numbers"]),
        ('{ A = "b" }', "{ A = 1 }", ["number 1", "a text"]),
        ('service = "db"', 'service = "dbb"', ["needs", 'no service "dbb"', 'did you mean "db"']),
        ('starts_after = ["db"]', 'starts_after = ["dbb"]', ["starts_after", '"dbb"', '"db"']),
        ('starts_after = ["db"]', 'starts_after = ["db", "db"]', ["twice"]),
        ('starts_after = ["db"]', 'starts_after = "db"', ["array", "starts_after"]),
        ('starts_after = ["db"]', 'starts_after = ["web"]', ["circle", "web → web"]),
        ('service = "db"', 'service = "web"', ["circle", "web → web", "needs"]),
        ('loses = "no orders"', 'loses = ""', ["empty text", "loses"]),
        ('loses = "no orders"', f'loses = "{"x" * 31}"', ["31 characters", "at most 30"]),
        ('loses = "no orders"', "", ['"loses" is missing', 'needs "db"']),
        ('timeout = "3 s"', "timeout = 3", ["the number 3", "a text"]),
        ('password_setting = "DB_PASSWORD"', 'password_setting = "DB_PASWORD"', ['"DB_PASWORD"', '"DB_PASSWORD"']),
        ("secret = true", "secret = false", ["DB_PASSWORD", "secret = true"]),
        ("secret = true", 'secret = "yes"', ['the text "yes"', "true or false"]),
        ('name = "DB_USER"', 'name = "DB_PASSWORD"', ["second setting", "DB_PASSWORD"]),
        ('name = "web"', 'name = "db"', ["second service", '"db"']),
        ('container = "shop-web"', 'container = "shop-db"', ["also that of service", '"db"']),
        ("startup_s = 12.5", "startup_s = 0", ["found the number 0", "1 to 3600"]),
        ("startup_s = 12.5", "startup_s = nan", ["nan", "1 to 3600"]),
        ("startup_s = 12.5", "startup_s = 1e400", ["inf", "1 to 3600"]),
        ("startup_s = 12.5", f"startup_s = 1{'0' * 400}", ["1 to 3600"]),
        ("startup_s = 12.5", f"startup_s = 1{'0' * 5000}", ["not valid TOML"]),
        ("startup_s = 12.5", "completes = true", ["one-shot", "application"]),
        ('unit = "count"', 'unit = "parsec"', ['"parsec"', "ratio"]),
        ('query = "up"\n', "", ['metric "load"', '"query" is missing']),
        ('service = "web"', 'service = "wep"', ["metric", '"wep"', '"web"']),
        ('name = "web"', "name = 1979-05-27", ["a date or time", "service number 2"]),
        ("[[service]]", "[[servce]]", ['unknown key "servce"', '"service"']),
        ('name = "shop"', "name = ", ["not valid TOML", "line 1"]),
        ('name = "shop"', f'name = "shop"\nx = {"[" * 5000}', ["shop.toml"]),
    ],
)
def test_a_mistake_names_the_file_the_place_what_was_found_and_what_was_expected(
    old: str, new: str, expected: list[str]
) -> None:
    sentence = mistake(old, new)
    assert sentence.startswith("shop.toml")
    for word in expected:
        assert word in sentence, sentence


def test_a_longer_circle_is_told_in_its_order() -> None:
    text = 'name = "x"\n' + "".join(
        f'[[service]]\nname = "{name}"\nkind = "application"\n[[service.needs]]\nservice = "{other}"\nloses = "all"\n'
        for name, other in (("a", "b"), ("b", "c"), ("c", "a"))
    )
    with pytest.raises(ProfileError, match="a → b → c → a"):
        parse_profile(text, "x.toml")


def test_two_ways_to_one_service_are_no_circle() -> None:
    text = 'name = "x"\n' + "".join(
        f'[[service]]\nname = "{name}"\nkind = "application"\nstarts_after = {others}\n'
        for name, others in (("a", '["b", "c"]'), ("b", '["d"]'), ("c", '["d"]'), ("d", "[]"))
    )
    assert len(parse_profile(text, "x.toml").services) == 4


def test_a_profile_needs_a_service() -> None:
    with pytest.raises(ProfileError, match="no service"):
        parse_profile('name = "x"', "x.toml")


@given(st.text(max_size=200) | st.text(alphabet='[]{}="ab\n.1', max_size=60))
def test_any_text_is_a_profile_or_a_sentence(text: str) -> None:
    assert sentence_of(text).startswith("x.toml")


@given(st.integers(0, len(GOOD)), st.text(max_size=4))
def test_any_damage_to_a_good_profile_is_told_or_harmless(place: int, text: str) -> None:
    assert sentence_of(GOOD[:place] + text + GOOD[place + 1 :]).startswith("x.toml")
