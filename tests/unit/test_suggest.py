"""Suggestions: root causes first, each with its evidence, three at most."""

from __future__ import annotations

import pytest

from moalog_tui.platform.health import HealthState, Reason
from moalog_tui.platform.services import Service, ServiceKind
from moalog_tui.platform.snapshot import Mute, ServiceStatus
from moalog_tui.runbook.reading import built_in, read_runbook
from moalog_tui.runbook.suggest import suggest
from tests.operations.builders import KAFKA, LIMITER, PROMTAIL, REDIS, status

DOWN, DEGRADED = HealthState.DOWN, HealthState.DEGRADED
MYSQL = Service("mysql", ServiceKind.DATASTORE, scenario="mysql-down")
FLUXPAY = Service("fluxpay-engine", ServiceKind.APPLICATION, scenario="fluxpay-engine-down")
GRAFANA = Service("grafana", ServiceKind.OBSERVABILITY)


def slugs(*statuses: ServiceStatus) -> list[str]:
    runbook = built_in()
    found = [runbook.scenario(one.scenario) for one in suggest(statuses, runbook)]
    return [one.slug for one in found if one is not None]


def test_all_well_suggests_nothing() -> None:
    assert suggest([status(REDIS), status(LIMITER)], built_in()) == ()


def test_a_root_cause_comes_with_evidence_and_hides_what_follows_from_it() -> None:
    redis = status(REDIS, DOWN, Reason.OOM_KILLED, detail="exited 137, out of memory", dependants=("rate-limiter",))
    limiter = status(LIMITER, DEGRADED, Reason.DEPENDENCY, root_causes=("redis",))
    fluxpay = status(FLUXPAY, DOWN, Reason.RESTARTING, root_causes=("redis",))
    (one,) = suggest([limiter, fluxpay, redis], built_in())
    assert (one.scenario, one.title) == ("2", "Redis Down")
    assert one.evidence == ("redis is down: exited 137, out of memory", "rate-limiter is impaired by it")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (status(REDIS, DEGRADED, Reason.MEMORY), ["redis-memory-pressure"]),
        (status(REDIS, DEGRADED, Reason.DISK_FULL), ["disk-space-issues"]),
        (status(REDIS, DEGRADED, Reason.FLAPPING), ["redis-down"]),
        (status(MYSQL, DEGRADED, Reason.MEMORY), ["mysql-down"]),
        (status(REDIS, DEGRADED, Reason.LIMITED), []),
        (status(REDIS, DEGRADED, Reason.SLOW), []),
        (status(REDIS, DEGRADED, Reason.DEPENDENCY), []),
        (status(REDIS, HealthState.UNKNOWN, Reason.AUTH), []),
        (status(REDIS, HealthState.STARTING, Reason.STARTING_UP), []),
        (status(REDIS, DOWN, Reason.STOPPED, mute=Mute("redis", "works", None)), []),
        (status(PROMTAIL, DOWN, Reason.EXITED), ["service-down-generic"]),
    ],
)
def test_the_reason_chooses_the_scenario(found: ServiceStatus, expected: list[str]) -> None:
    assert slugs(found) == expected


def test_the_platform_comes_before_its_observability_and_the_blast_radius_decides() -> None:
    found = slugs(
        status(PROMTAIL, DOWN), status(MYSQL, DOWN), status(REDIS, DOWN, dependants=("rate-limiter", "fluxpay-engine"))
    )
    assert found == ["redis-down", "mysql-down", "service-down-generic"]


def test_services_of_one_scenario_share_a_suggestion() -> None:
    (one,) = suggest([status(PROMTAIL, DOWN, detail="exited 1"), status(GRAFANA, DOWN)], built_in())
    assert one.evidence == ("promtail is down: exited 1", "grafana is down")


def test_four_platform_services_down_mention_the_full_stack() -> None:
    three = [status(REDIS, DOWN), status(MYSQL, DOWN), status(KAFKA, DOWN)]
    assert slugs(*three) == ["redis-down", "mysql-down", "kafka-down"]
    assert slugs(*three, status(PROMTAIL, DOWN)) == ["redis-down", "mysql-down", "kafka-down"]
    four = [*three, status(FLUXPAY, DOWN), status(LIMITER)]
    assert slugs(*four) == ["redis-down", "mysql-down", "full-stack-recovery"]
    assert suggest(four, built_in())[-1].evidence == (
        "4 of 5 platform services are down: redis, mysql, fluxpay-kafka +1",
    )


def test_another_runbook_is_searched_by_the_words_of_its_titles() -> None:
    other = read_runbook("## 1. When Redis is down\n## 2. Anything else (generic service down)\n", "other.md")
    found = suggest([status(REDIS, DOWN), status(PROMTAIL, DOWN)], other)
    assert [one.scenario for one in found] == ["1", "2"]
    assert suggest([status(REDIS, DOWN)], read_runbook("", "empty.md")) == ()


def test_old_facts_are_told_with_their_age() -> None:
    (one,) = suggest([status(REDIS, DOWN, detail="refused", stale_s=42.0)], built_in())
    assert one.evidence == ("redis is down: refused (as of 42 s ago)",)
