"""The whole platform judged: dependencies, root causes, blast radius, the order of the table and the verdict line."""

from __future__ import annotations

import itertools
import random
import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import moalog_tui.profiles
from moalog_tui.platform.containers import Container, ContainerState, EngineStatus
from moalog_tui.platform.health import HealthState, Outcome, ProbeResult, Reason
from moalog_tui.platform.judge import Facts, Judgement, judge, summary, verdict_line, worst_first
from moalog_tui.platform.services import Dependency, ProbeKind, ProbeSpec, Service, ServiceKind
from moalog_tui.platform.snapshot import Mute, ServiceStatus, Snapshot
from moalog_tui.platform.verdict import verdict_lines

NOW = datetime(2026, 11, 23, 19, 2, 11, tzinfo=UTC)
HEALTHY, DEGRADED, STARTING = HealthState.HEALTHY, HealthState.DEGRADED, HealthState.STARTING
DOWN, UNKNOWN = HealthState.DOWN, HealthState.UNKNOWN
APP, STORE, BROKER, WATCH = (
    ServiceKind.APPLICATION, ServiceKind.DATASTORE, ServiceKind.BROKER, ServiceKind.OBSERVABILITY
)  # fmt: skip

NEEDS: dict[str, tuple[ServiceKind, dict[str, str]]] = {
    "redis": (STORE, {}),
    "mysql": (STORE, {}),
    "fluxpay-postgres": (STORE, {}),
    "fluxpay-zookeeper": (BROKER, {}),
    "fluxpay-kafka": (BROKER, {"fluxpay-zookeeper": "no leader election"}),
    "rate-limiter": (APP, {"redis": "fails open"}),
    "fluxpay-engine": (
        APP, {"fluxpay-postgres": "no payments", "redis": "no idempotency", "fluxpay-kafka": "events queue up"}
    ),
    "moalog-server": (
        APP, {"mysql": "database routes fail", "rate-limiter": "no limits", "fluxpay-engine": "payments answer 502"}
    ),
    "redis-exporter": (ServiceKind.EXPORTER, {"redis": "no Redis metrics"}),
    "alertmanager": (WATCH, {}),
    "prometheus": (WATCH, {"alertmanager": "alerts reach nobody"}),
    "grafana": (WATCH, {"prometheus": "dashboards are empty"}),
}  # fmt: skip


def service(name: str) -> Service:
    kind, needs = NEEDS[name]
    return Service(
        name, kind, probe=ProbeSpec(ProbeKind.HTTP), startup_s=30.0, impact=(f"The platform lacks {name}.",),
        needs=tuple(Dependency(other, loses) for other, loses in needs.items()),
    )  # fmt: skip


PLATFORM = tuple(service(name) for name in NEEDS)
PASS = ProbeResult(Outcome.PASS, NOW, 3.0, answered=True)
REFUSED = ProbeResult(Outcome.FAIL, NOW, reason=Reason.REFUSED, detail="refused")
ILL = ProbeResult(Outcome.FAIL, NOW, reason=Reason.HTTP_STATUS, detail="503 instead of 200", answered=True)
LIMITED = ProbeResult(Outcome.PASS, NOW, 3.0, reason=Reason.LIMITED, detail="429", answered=True)
WRONG = ProbeResult(Outcome.UNKNOWN, NOW, reason=Reason.AUTH, detail="alive, credential wrong", answered=True)


def fact(one: Service, probe: ProbeResult = PASS, *, exited: bool = False, young: bool = False) -> Facts:
    began = NOW - timedelta(seconds=3 if young else 7200)
    state = ContainerState.EXITED if exited else ContainerState.RUNNING
    container = Container(one.name, one.name, one.name, "moalog", "i", state, started_at=began, created_at=began,
                          exit_code=1 if exited else None)  # fmt: skip
    return Facts(one, container, engine_known=True, seen_at=NOW, probe=probe, confirmed=True)


def judged(**faults: Facts) -> dict[str, Judgement]:
    """Judge the platform with some services' facts changed; names with underscores."""
    changed = {name.replace("_", "-"): facts for name, facts in faults.items()}
    return judge([changed.get(one.name, fact(one)) for one in PLATFORM], NOW)


def stopped(name: str) -> Facts:
    return fact(service(name), REFUSED, exited=True)


def failing(found: dict[str, Judgement]) -> dict[str, tuple[HealthState, tuple[str, ...]]]:
    return {name: (one.state, one.root_causes) for name, one in found.items() if one.state is not HEALTHY}


def test_a_down_dependency_degrades_its_direct_dependants_alone() -> None:
    found = judged(redis=stopped("redis"))
    assert failing(found) == {
        "redis": (DOWN, ()),
        "rate-limiter": (DEGRADED, ("redis",)),
        "fluxpay-engine": (DEGRADED, ("redis",)),
        "redis-exporter": (DEGRADED, ("redis",)),
    }
    assert found["redis"].dependants == ("rate-limiter", "fluxpay-engine", "redis-exporter")
    assert found["redis"].impact == ("The platform lacks redis.",)
    assert found["rate-limiter"].impact == ("rate-limiter: fails open",)
    assert found["moalog-server"].impact == ()


def test_a_degraded_dependency_degrades_nobody() -> None:
    found = judged(redis=fact(service("redis"), LIMITED))
    assert failing(found) == {"redis": (DEGRADED, ())}
    assert found["redis"].dependants == ()


def test_an_unknown_dependency_degrades_nobody_and_explains_nothing() -> None:
    found = judged(redis=fact(service("redis"), WRONG), rate_limiter=fact(service("rate-limiter"), REFUSED))
    assert failing(found) == {
        "redis": (UNKNOWN, ()),
        "rate-limiter": (DOWN, ()),
        "moalog-server": (DEGRADED, ("rate-limiter",)),
    }


def test_a_starting_dependency_degrades_nobody() -> None:
    assert failing(judged(redis=fact(service("redis"), REFUSED, young=True))) == {"redis": (STARTING, ())}


@pytest.mark.parametrize(
    ("probe", "state"),
    [(PASS, DEGRADED), (ILL, DEGRADED), (REFUSED, DOWN), (WRONG, UNKNOWN), (LIMITED, DEGRADED)],
)
def test_whether_the_dependants_own_probe_notices_or_not(probe: ProbeResult, state: HealthState) -> None:
    found = judged(redis=stopped("redis"), rate_limiter=fact(service("rate-limiter"), probe))
    assert found["rate-limiter"].state is state
    assert found["rate-limiter"].root_causes == (() if state is UNKNOWN else ("redis",))


def test_a_chain_has_its_root_at_the_end() -> None:
    kafka = fact(service("fluxpay-kafka"), REFUSED)
    found = judged(fluxpay_zookeeper=stopped("fluxpay-zookeeper"), fluxpay_kafka=kafka)
    assert failing(found) == {
        "fluxpay-zookeeper": (DOWN, ()),
        "fluxpay-kafka": (DOWN, ("fluxpay-zookeeper",)),
        "fluxpay-engine": (DEGRADED, ("fluxpay-zookeeper",)),
    }
    assert found["fluxpay-zookeeper"].dependants == ("fluxpay-kafka",)


def test_several_roots_of_one_service_are_all_told() -> None:
    found = judged(redis=stopped("redis"), fluxpay_postgres=stopped("fluxpay-postgres"))
    assert found["fluxpay-engine"].root_causes == ("fluxpay-postgres", "redis")
    assert found["fluxpay-engine"].detail == "fluxpay-postgres: no payments; redis: no idempotency"


def test_what_is_degraded_by_dependencies_is_explained_by_those_that_are_down() -> None:
    found = judged(redis=stopped("redis"), mysql=stopped("mysql"))
    assert found["moalog-server"].root_causes == ("mysql",)


def test_four_stopped_services_at_once() -> None:
    names = ("redis", "mysql", "fluxpay-postgres", "alertmanager")
    found = judged(**{name.replace("-", "_"): stopped(name) for name in names})
    roots = [name for name, one in found.items() if one.state is not HEALTHY and not one.root_causes]
    assert roots == list(names)


def test_everything_down_has_the_roots_of_the_graph() -> None:
    found = judged(**{name.replace("-", "_"): stopped(name) for name in NEEDS})
    roots = {name for name, one in found.items() if not one.root_causes}
    assert roots == {name for name, (_, needs) in NEEDS.items() if not needs}
    assert all(one.state is DOWN for one in found.values())


def test_the_order_of_the_profile_does_not_matter() -> None:
    expected = failing(judged(redis=stopped("redis"), fluxpay_zookeeper=stopped("fluxpay-zookeeper")))
    facts = [stopped(one.name) if one.name in ("redis", "fluxpay-zookeeper") else fact(one) for one in PLATFORM]
    for seed in range(20):
        shuffled = list(facts)
        random.Random(seed).shuffle(shuffled)
        assert failing(judge(shuffled, NOW)) == expected


def test_circles_and_strangers_in_a_profile_are_survived() -> None:
    def probe(name: str, *needs: str) -> Service:
        return Service(name, APP, probe=ProbeSpec(ProbeKind.HTTP), needs=tuple(Dependency(n, "x") for n in needs))

    circle = [probe("a", "b"), probe("b", "a"), probe("c", "c", "nobody"), probe("d", "a")]
    found = judge([fact(one, REFUSED) for one in circle], NOW)
    assert {name: one.state for name, one in found.items()} == dict.fromkeys("abcd", DOWN)
    assert found["a"].root_causes == found["b"].root_causes == found["c"].root_causes == ()
    assert len(worst_first(statuses(found, circle))) == 4


def test_a_dense_graph_is_judged_at_once() -> None:
    names = [f"s{index}" for index in range(60)]
    dense = [
        Service(name, APP, probe=ProbeSpec(ProbeKind.HTTP), needs=tuple(Dependency(n, "x") for n in names[:index]))
        for index, name in enumerate(names)
    ]
    found = judge([fact(one, REFUSED) for one in dense], NOW)
    assert found["s59"].root_causes == ("s0",)


def test_the_profile_has_the_dependencies_of_the_design() -> None:
    text = (Path(moalog_tui.profiles.__file__).parent / "moalog.toml").read_text("utf-8")
    found = {
        one["name"]: {need["service"] for need in one.get("needs", ())} for one in tomllib.loads(text)["service"]
    }  # fmt: skip
    for name, (_, needs) in NEEDS.items():
        assert found[name] == set(needs)


# --------------------------------------------------------------------- order


def statuses(found: dict[str, Judgement], services: list[Service] | None = None) -> list[ServiceStatus]:
    return [
        ServiceStatus(
            one, (j := found[one.name]).state, j.reason, j.detail, Outcome.PASS, NOW, NOW,
            root_causes=j.root_causes, dependants=j.dependants, impact=j.impact,
        )
        for one in services or PLATFORM
    ]  # fmt: skip


def rows(found: dict[str, Judgement]) -> list[tuple[str, int]]:
    return [(status.name, depth) for status, depth in worst_first(statuses(found))]


def test_all_healthy_keeps_the_profiles_order_within_platform_and_observability() -> None:
    platform = [one.name for one in PLATFORM if one.kind.is_platform]
    rest = [one.name for one in PLATFORM if not one.kind.is_platform]
    assert rows(judged()) == [(name, 0) for name in platform + rest]


def test_a_root_comes_first_with_what_it_breaks_below_it() -> None:
    assert rows(judged(redis=stopped("redis")))[:5] == [
        ("redis", 0), ("rate-limiter", 1), ("fluxpay-engine", 1), ("redis-exporter", 1), ("mysql", 0),
    ]  # fmt: skip


def test_the_wider_blast_radius_and_the_platform_come_first() -> None:
    found = judged(alertmanager=stopped("alertmanager"), mysql=stopped("mysql"), redis=stopped("redis"))
    roots = [name for name, depth in rows(found) if depth == 0 and found[name].state is DOWN]
    assert roots == ["redis", "mysql", "alertmanager"]


def test_worse_states_come_first_and_unknown_before_healthy() -> None:
    found = judged(
        redis=fact(service("redis"), LIMITED), mysql=stopped("mysql"), grafana=fact(service("grafana"), WRONG),
        fluxpay_postgres=fact(service("fluxpay-postgres"), REFUSED, young=True),
    )  # fmt: skip
    assert [name for name, _ in rows(found)][:6] == [
        "mysql", "moalog-server", "redis", "fluxpay-postgres", "grafana", "fluxpay-zookeeper",
    ]  # fmt: skip


def test_a_chain_is_drawn_as_deep_as_it_is() -> None:
    found = judged(
        fluxpay_zookeeper=stopped("fluxpay-zookeeper"), fluxpay_kafka=fact(service("fluxpay-kafka"), REFUSED)
    )
    assert rows(found)[:3] == [("fluxpay-zookeeper", 0), ("fluxpay-kafka", 1), ("fluxpay-engine", 2)]


def test_muted_services_are_last_and_every_service_is_there_once() -> None:
    for names in itertools.combinations(NEEDS, 3):
        found = judged(**{name.replace("-", "_"): stopped(name) for name in names})
        muted = [
            replace(one, mute=Mute(one.name, "planned", None)) if one.name == names[0] else one
            for one in statuses(found)
        ]
        order = worst_first(muted)
        assert sorted(one.name for one, _ in order) == sorted(NEEDS)
        assert order[-1][0].name == names[0]
        assert order[-1][1] == 0


# ------------------------------------------------------------------- verdict


def snapshot(found: dict[str, Judgement], **more: object) -> Snapshot:
    picture = Snapshot(
        NOW, 1, "moalog", "moalog", EngineStatus("unix", connected=True), tuple(statuses(found)), complete=True
    )
    return replace(picture, **more)  # type: ignore[arg-type]


FIVE_ROOTS = ("redis", "mysql", "fluxpay-postgres", "fluxpay-zookeeper", "alertmanager")


@pytest.mark.parametrize(
    ("faults", "state", "sentence"),
    [
        ({}, HEALTHY, "all 12 healthy"),
        (
            {"redis": stopped("redis")}, DOWN,
            "redis is down: rate-limiter fails open, fluxpay-engine no idempotency, redis-exporter no Redis metrics"
            " · 3 of 12 impaired, 1 more in observability",
        ),
        (
            {"moalog_server": stopped("moalog-server")}, DOWN,
            "moalog-server is down: The platform lacks moalog-server · 1 of 12 impaired",
        ),
        (
            {name.replace("-", "_"): stopped(name) for name in FIVE_ROOTS}, DOWN,
            "5 roots: redis, mysql +3 · 8 of 12 impaired, 3 more in observability",
        ),
        (
            {"grafana": stopped("grafana")}, DOWN,
            "grafana is down: The platform lacks grafana · no part of the platform impaired, 1 in observability",
        ),
        (
            {"redis": fact(service("redis"), LIMITED)}, DEGRADED, "redis is degraded: 429 · 1 of 12 impaired",
        ),
        (
            {"redis": fact(service("redis"), REFUSED, young=True)}, STARTING,
            "redis is starting: up 3 s of 30 s: refused · 1 of 12 impaired",
        ),
        (
            {"redis": fact(service("redis"), WRONG)}, UNKNOWN,
            "11 of 12 healthy · 1 unknown: redis, alive, credential wrong",
        ),
        (
            {"redis": fact(service("redis"), WRONG), "grafana": fact(service("grafana"), WRONG),
             "mysql": fact(service("mysql"), LIMITED)}, DEGRADED,
            "mysql is degraded: 429 · 1 of 12 impaired · 2 unknown",
        ),
    ],
)  # fmt: skip
def test_the_verdict_line(faults: dict[str, Facts], state: HealthState, sentence: str) -> None:
    assert verdict_line(snapshot(judged(**faults))) == (state, sentence)


def test_muted_and_stale_are_counted_apart() -> None:
    found = statuses(judged(redis=stopped("redis")))
    marked = tuple(
        replace(one, mute=Mute("redis", "planned", None)) if one.name == "redis"
        else replace(one, stale_s=42.0) if one.name == "mysql" else one
        for one in found
    )  # fmt: skip
    state, sentence = verdict_line(snapshot(judged(), services=marked))
    assert state is DEGRADED
    assert sentence.endswith(" · 2 of 11 impaired, 1 more in observability · 1 stale · 1 muted")
    assert summary(marked) == {
        "healthy": 8, "degraded": 3, "starting": 0, "down": 0, "unknown": 0, "muted": 1, "stale": 1,
    }  # fmt: skip


def test_an_engine_that_is_away_leads_and_is_never_called_healthy() -> None:
    engine = EngineStatus("unix", connected=False, error="No Docker at unix.", last_seen=NOW - timedelta(seconds=42))
    state, sentence = verdict_line(snapshot(judged(), engine=engine))
    assert (state, sentence) == (UNKNOWN, "No Docker at unix; containers last seen 42 s ago")
    never = replace(engine, last_seen=None, error=None)
    assert verdict_line(snapshot(judged(), engine=never))[1] == "Docker does not answer"


def test_a_picture_that_is_not_complete_says_so() -> None:
    engine = EngineStatus("", connected=False)
    assert verdict_line(snapshot(judged(), complete=False, engine=engine))[1] == "asking 12 services"


def test_our_own_side_and_further_sentences_are_appended() -> None:
    picture = snapshot(
        judged(), self_check="our own loop stood still for 2.0 s", extra=("2 services in the file only",)
    )
    assert verdict_line(picture)[1] == (
        "all 12 healthy · 2 services in the file only · our own loop stood still for 2.0 s"
    )


def test_nothing_to_watch() -> None:
    assert verdict_line(snapshot(judged(), services=())) == (HEALTHY, "nothing to watch")


def test_where_room_is_scarce_losses_give_way_before_the_counts() -> None:
    _, sentences = verdict_lines(snapshot(judged(redis=stopped("redis"))))
    assert sentences[0].startswith("redis is down: ")
    assert sentences[-1].startswith("redis is down · ")
    counts = {sentence.partition(" · ")[2] for sentence in sentences}
    assert len(counts) == 1, "every form tells the same counts"
    assert list(sentences) == sorted(sentences, key=len, reverse=True)
