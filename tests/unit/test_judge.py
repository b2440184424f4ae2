"""The rules of health, one service at a time: each sentence of DESIGN section 3 as a case."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from moalog_tui.platform.containers import Container, ContainerState, DockerHealth, OperatorAct
from moalog_tui.platform.health import HealthState, Outcome, ProbeResult, Reason
from moalog_tui.platform.judge import Facts, Judgement, judge_one, stale_seconds
from moalog_tui.platform.services import Dependency, ProbeKind, ProbeSpec, Service, ServiceKind
from moalog_tui.platform.starts import Start

NOW = datetime(2026, 11, 23, 19, 2, 11, tzinfo=UTC)
HEALTHY, DEGRADED, STARTING = HealthState.HEALTHY, HealthState.DEGRADED, HealthState.STARTING
DOWN, UNKNOWN = HealthState.DOWN, HealthState.UNKNOWN

LIMITER = Service(
    "rate-limiter", ServiceKind.APPLICATION, probe=ProbeSpec(ProbeKind.HTTP), startup_s=90.0,
    needs=(Dependency("redis", "fails open"), Dependency("kafka", "events queue up")),
)  # fmt: skip
REDIS = Service("redis", ServiceKind.DATASTORE, probe=ProbeSpec(ProbeKind.REDIS), startup_s=15.0)
PROMTAIL = Service("promtail", ServiceKind.OBSERVABILITY, needs=(Dependency("loki", "log lines have no target"),))
INIT = Service("otel-agent-init", ServiceKind.ONE_SHOT, completes=True)
NEED_REDIS, NEED_KAFKA = LIMITER.needs


def before(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def container(started: float = 7200.0, **more: Any) -> Container:
    values: dict[str, Any] = {
        "state": ContainerState.RUNNING, "restart_policy": "unless-stopped",
        "created_at": before(86400.0), "started_at": before(started), **more,
    }  # fmt: skip
    return Container("0123456789abcdef", "moalog-redis", "redis", "moalog", "redis:7", **values)


def exited(code: int = 1, **more: Any) -> Container:
    return container(state=ContainerState.EXITED, exit_code=code, **{"finished_at": before(240.0), **more})


def answer(outcome: Outcome = Outcome.PASS, reason: Reason | None = None, detail: str = "", **more: Any) -> ProbeResult:
    return ProbeResult(outcome, NOW, 3.0 if outcome is Outcome.PASS else None, reason, detail, **more)


PASS = answer(answered=True)
REFUSED = answer(Outcome.FAIL, Reason.REFUSED, "refused")
TIMEOUT = answer(Outcome.FAIL, Reason.TIMEOUT, "no answer within 2 s")
ILL = answer(Outcome.FAIL, Reason.HTTP_STATUS, "503 instead of 200", answered=True)
WRONG = answer(Outcome.UNKNOWN, Reason.AUTH, "alive, credential wrong (.env:21)", answered=True)


def facts(
    service: Service = LIMITER, one: Container | None = None, probe: ProbeResult | None = PASS, **more: Any
) -> Facts:
    values: dict[str, Any] = {
        "container": container() if one is None else one, "engine_known": True, "seen_at": NOW,
        "probe": probe, "confirmed": True, "ring_since": before(7200.0), **more,
    }  # fmt: skip
    return Facts(service, **values)


def held(given: Facts, *down: Dependency) -> tuple[HealthState, Reason | None, str]:
    one = judge_one(given, down, NOW)
    return one.state, one.reason, one.detail


# One line a sentence: (what it is about, facts, what is down, what must be held).
CASES: list[tuple[str, Facts, tuple[Dependency, ...], tuple[HealthState, Reason | None, str]]] = [
    # healthy
    ("probe passes, container runs", facts(), (), (HEALTHY, None, "")),
    ("rule 1: a one-shot that exited 0", facts(INIT, exited(0), None), (), (HEALTHY, None, "completed, exited 0")),
    ("a one-shot that failed", facts(INIT, exited(2), None), (), (DOWN, Reason.EXITED, "exited 2")),
    ("a one-shot at work", facts(INIT, container(5.0), None), (),
     (STARTING, Reason.STARTING_UP, "at work, not completed yet")),
    ("a one-shot that never ends", facts(INIT, container(300.0), None), (),
     (DEGRADED, Reason.SLOW, "not completed after 5 min")),
    # rule 2, and the container's truth before the probe's
    ("oom beats refused", facts(one=exited(137, oom_killed=True), probe=REFUSED), (),
     (DOWN, Reason.OOM_KILLED, "exited 137, out of memory")),
    ("137 without OOMKilled", facts(one=exited(137), probe=REFUSED), (),
     (DOWN, Reason.EXITED, "exited 137, killed: host out of memory, docker kill, or its stop time-out")),
    ("an old out-of-memory mark", facts(one=exited(0, oom_killed=True)), (), (DOWN, Reason.EXITED, "exited 0")),
    ("terminated", facts(one=exited(143), probe=REFUSED), (), (DOWN, Reason.EXITED, "exited 143, terminated")),
    ("segmentation fault", facts(one=exited(139)), (), (DOWN, Reason.EXITED, "exited 139, segmentation fault")),
    ("the engine's own error", facts(one=exited(127, error="exec: no such file")), (),
     (DOWN, Reason.EXITED, "exited 127, its command was not found: exec: no such file")),
    ("paused", facts(one=container(state=ContainerState.PAUSED), probe=TIMEOUT), (),
     (DOWN, Reason.PAUSED, "its container is paused")),
    ("restarting", facts(one=container(state=ContainerState.RESTARTING, exit_code=1, restart_count=5)), (),
     (DOWN, Reason.RESTARTING, "restarted 5 times, last exit 1")),
    ("restarting for want of memory",
     facts(one=container(state=ContainerState.RESTARTING, exit_code=137, restart_count=1, oom_killed=True)), (),
     (DOWN, Reason.RESTARTING, "restarted once, last exit 137, out of memory")),
    ("created, not started", facts(one=container(state=ContainerState.CREATED, error="port is already allocated")), (),
     (DOWN, Reason.EXITED, "created, never started: port is already allocated")),
    ("dead", facts(one=container(state=ContainerState.DEAD, exit_code=1)), (),
     (DOWN, Reason.EXITED, "its container is dead; exited 1")),
    ("down though its port answers", facts(one=exited(1), probe=PASS), (), (DOWN, Reason.EXITED, "exited 1")),
    ("down although a dependency is down too", facts(one=exited(1), probe=REFUSED), (NEED_REDIS,),
     (DOWN, Reason.EXITED, "exited 1")),
    ("a stopped container that Docker calls unhealthy", facts(one=exited(0, health=DockerHealth.UNHEALTHY)), (),
     (DOWN, Reason.EXITED, "exited 0")),
    # rule 3
    ("credential refused", facts(probe=WRONG), (), (UNKNOWN, Reason.AUTH, "alive, credential wrong (.env:21)")),
    ("credential refused inside the window", facts(one=container(3.0), probe=WRONG), (),
     (UNKNOWN, Reason.AUTH, "alive, credential wrong (.env:21)")),
    ("a name does not resolve", facts(probe=answer(Outcome.FAIL, Reason.DNS, "kafka: unknown name")), (),
     (UNKNOWN, Reason.DNS, "kafka: unknown name")),
    ("a program is missing", facts(probe=answer(Outcome.FAIL, Reason.MISSING_BINARY, "no redis-cli")), (),
     (UNKNOWN, Reason.MISSING_BINARY, "no redis-cli")),
    ("our own side", facts(probe=answer(Outcome.UNKNOWN, Reason.MONITOR, "previous call has not returned")), (),
     (UNKNOWN, Reason.MONITOR, "previous call has not returned")),
    ("cannot tell, without a reason", facts(probe=answer(Outcome.UNKNOWN)), (), (UNKNOWN, Reason.MONITOR, "no answer")),
    ("not asked yet", facts(probe=None), (), (UNKNOWN, Reason.MONITOR, "not asked yet")),
    ("never asked in health", facts(probe=None, own_side="our own loop stood still for 1.2 s"), (),
     (UNKNOWN, Reason.MONITOR, "our own loop stood still for 1.2 s")),
    # rule 4
    ("no answer inside the window", facts(one=container(12.0), probe=REFUSED), (),
     (STARTING, Reason.STARTING_UP, "up 12 s of 90 s: refused")),
    ("accepted and silent inside the window", facts(one=container(89.0), probe=TIMEOUT), (),
     (STARTING, Reason.STARTING_UP, "up 89 s of 90 s: no answer within 2 s")),
    ("inside the window, not asked yet", facts(one=container(1.0), probe=None), (),
     (STARTING, Reason.STARTING_UP, "up 1 s of 90 s, not asked yet")),
    ("past the window", facts(one=container(91.0), probe=REFUSED), (), (DOWN, Reason.REFUSED, "refused")),
    ("past a shorter window", facts(REDIS, container(16.0), REFUSED), (), (DOWN, Reason.REFUSED, "refused")),
    ("its page complains inside the window", facts(one=container(12.0), probe=ILL), (),
     (STARTING, Reason.STARTING_UP, "up 12 s of 90 s: 503 instead of 200")),
    ("its page complains inside the window, a dependency is down", facts(one=container(12.0), probe=ILL), (NEED_REDIS,),
     (DEGRADED, Reason.DEPENDENCY, "redis: fails open")),
    ("its page still complains past the window", facts(one=container(91.0), probe=ILL), (),
     (DOWN, Reason.HTTP_STATUS, "503 instead of 200")),
    ("it answers inside the window, but garbage",
     facts(one=container(12.0), probe=answer(Outcome.FAIL, Reason.PROTOCOL, "not HTTP", answered=True)), (),
     (DOWN, Reason.PROTOCOL, "not HTTP")),
    ("it passes inside the window", facts(one=container(12.0)), (), (HEALTHY, None, "")),
    ("the engine's clock is ahead of ours", facts(one=container(-3.0), probe=REFUSED), (),
     (STARTING, Reason.STARTING_UP, "up 0 s of 90 s: refused")),
    ("one crash inside the window is no loop",
     facts(one=container(5.0), probe=REFUSED, starts=(Start(before(5.0), False),)), (),
     (STARTING, Reason.STARTING_UP, "up 5 s of 90 s: refused")),
    # rule 5
    ("its probe complains, a dependency is down", facts(probe=ILL), (NEED_REDIS,),
     (DEGRADED, Reason.DEPENDENCY, "redis: fails open")),
    ("the same before it failed twice", facts(probe=ILL, confirmed=False), (NEED_REDIS,),
     (DEGRADED, Reason.DEPENDENCY, "redis: fails open")),
    ("two dependencies are down", facts(probe=ILL), (NEED_REDIS, NEED_KAFKA),
     (DEGRADED, Reason.DEPENDENCY, "redis: fails open; kafka: events queue up")),
    ("it does not answer, a dependency is down", facts(probe=REFUSED), (NEED_REDIS,),
     (DOWN, Reason.REFUSED, "refused")),
    ("it complains, nothing it needs is down", facts(probe=ILL), (), (DOWN, Reason.HTTP_STATUS, "503 instead of 200")),
    # rule 6
    *[(f"{reason}, passing or not", facts(probe=answer(outcome, reason, "said so", answered=True)), (),
       (DEGRADED, reason, "said so"))
      for reason in (Reason.LIMITED, Reason.READ_ONLY, Reason.TOO_MANY_CONNECTIONS, Reason.DISK_FULL, Reason.MEMORY)
      for outcome in (Outcome.PASS, Outcome.FAIL)],
    ("loading", facts(probe=answer(Outcome.FAIL, Reason.LOADING, "loading the dataset", answered=True)), (),
     (STARTING, Reason.LOADING, "loading the dataset")),
    ("loading, and never mind the window",
     facts(one=container(9000.0), probe=answer(Outcome.FAIL, Reason.LOADING, "47 %")), (),
     (STARTING, Reason.LOADING, "47 %")),
    ("limited while a dependency is down: it says which matters more",
     facts(probe=answer(Outcome.PASS, Reason.LIMITED, "429")), (NEED_REDIS,), (DEGRADED, Reason.LIMITED, "429")),
    # rule 7
    ("failed twice", facts(probe=TIMEOUT), (), (DOWN, Reason.TIMEOUT, "no answer within 2 s")),
    ("failed once after a pass", facts(probe=TIMEOUT, confirmed=False, before=PASS), (), (HEALTHY, None, "")),
    ("failed once after a pass, its dependency down", facts(probe=TIMEOUT, confirmed=False, before=PASS), (NEED_REDIS,),
     (DEGRADED, Reason.DEPENDENCY, "redis: fails open")),
    ("failed once after a refused credential", facts(probe=TIMEOUT, confirmed=False, before=WRONG), (),
     (UNKNOWN, Reason.AUTH, "alive, credential wrong (.env:21)")),
    ("failed while a dependency was down, not asked since",
     facts(probe=ILL, confirmed=False, before=PASS, excused=True), (),
     (UNKNOWN, Reason.MONITOR, "503 instead of 200; asking again")),
    ("failed once, the first time it was asked", facts(probe=REFUSED, confirmed=False), (),
     (UNKNOWN, Reason.MONITOR, "refused; asking again")),
    ("tls", facts(probe=answer(Outcome.FAIL, Reason.TLS, "certificate expired")), (),
     (DOWN, Reason.TLS, "certificate expired")),
    ("garbage", facts(probe=answer(Outcome.FAIL, Reason.PROTOCOL, "not HTTP", answered=True)), (),
     (DOWN, Reason.PROTOCOL, "not HTTP")),
    ("failed without a word", facts(probe=answer(Outcome.FAIL)), (), (DOWN, Reason.PROTOCOL, "no answer")),
    # rule 8
    ("passes, a dependency is down", facts(), (NEED_REDIS,), (DEGRADED, Reason.DEPENDENCY, "redis: fails open")),
    ("Docker calls it unhealthy",
     facts(one=container(health=DockerHealth.UNHEALTHY, health_output="curl: (7)\n refused ")), (),
     (DEGRADED, Reason.UNHEALTHY, "Docker: curl: (7) refused")),
    ("Docker calls it unhealthy and says nothing", facts(one=container(health=DockerHealth.UNHEALTHY)), (),
     (DEGRADED, Reason.UNHEALTHY, "Docker: unhealthy")),
    ("Docker's own check has not passed yet", facts(one=container(health=DockerHealth.STARTING)), (),
     (HEALTHY, None, "")),
    ("a dependency before Docker's word", facts(one=container(health=DockerHealth.UNHEALTHY)), (NEED_KAFKA,),
     (DEGRADED, Reason.DEPENDENCY, "kafka: events queue up")),
    ("four changes", facts(changes=4), (), (DEGRADED, Reason.FLAPPING, "its verdict changed 4 times in 10 min")),
    ("three changes", facts(changes=3), (), (HEALTHY, None, "")),
    ("slow", facts(latencies=(900.0, 1200.0, 1400.0, 800.0, 1300.0)), (),
     (DEGRADED, Reason.SLOW, "answers in 1200 ms, over 1000 ms")),
    ("two slow answers are no median", facts(latencies=(1800.0, 1800.0, 5.0, 5.0, 5.0)), (), (HEALTHY, None, "")),
    ("the newest five alone count", facts(latencies=(9e3, 9e3, 9e3, 9e3, 9e3, 5.0, 5.0, 5.0, 5.0, 5.0)), (),
     (HEALTHY, None, "")),
    ("four answers are no five", facts(latencies=(1800.0,) * 4), (), (HEALTHY, None, "")),
    ("slow by its own limit", facts(replace(REDIS, slow_ms=50.0), latencies=(60.0,) * 5), (),
     (DEGRADED, Reason.SLOW, "answers in 60 ms, over 50 ms")),
    ("in-container probes know no slowness", facts(replace(REDIS, slow_ms=None), latencies=(9000.0,) * 5), (),
     (HEALTHY, None, "")),
    # no probe
    ("no probe, running", facts(PROMTAIL, probe=None), (), (HEALTHY, None, "container state only")),
    ("no probe, Docker unhealthy", facts(PROMTAIL, container(health=DockerHealth.UNHEALTHY), None), (),
     (DEGRADED, Reason.UNHEALTHY, "Docker: unhealthy")),
    ("no probe, a dependency down", facts(PROMTAIL, probe=None), PROMTAIL.needs,
     (DEGRADED, Reason.DEPENDENCY, "loki: log lines have no target")),
    ("no probe, Docker's check is starting", facts(PROMTAIL, container(4.0, health=DockerHealth.STARTING), None), (),
     (STARTING, Reason.STARTING_UP, "up 4 s of 30 s, Docker's check has not passed yet")),
    ("no probe, exited", facts(PROMTAIL, exited(1), None), (), (DOWN, Reason.EXITED, "exited 1")),
    ("no published port", facts(probe=None, reachable=False), (),
     (HEALTHY, None, "not reachable from here: container state only")),
    # the daemon is away
    ("away, passes", facts(engine_known=False), (), (HEALTHY, None, "")),
    ("away, was exited, passes now", facts(one=exited(1), engine_known=False), (), (HEALTHY, None, "")),
    ("away, fails twice", facts(probe=REFUSED, engine_known=False, seen_at=before(42)), (),
     (UNKNOWN, Reason.MONITOR, "refused, but container last seen 42 s ago (running)")),
    ("away, answers ill", facts(probe=ILL, engine_known=False, seen_at=before(42)), (),
     (UNKNOWN, Reason.MONITOR, "503 instead of 200, but container last seen 42 s ago (running)")),
    ("away, fails inside the old window", facts(one=container(5.0), probe=REFUSED, engine_known=False), (),
     (UNKNOWN, Reason.MONITOR, "refused, but container last seen 0 s ago (running)")),
    ("away, limited: it is alive", facts(probe=answer(Outcome.FAIL, Reason.LIMITED, "429"), engine_known=False), (),
     (DEGRADED, Reason.LIMITED, "429")),
    ("away, no probe", facts(PROMTAIL, probe=None, engine_known=False, seen_at=before(300)), (),
     (UNKNOWN, Reason.MONITOR, "container last seen 5 min ago (running)")),
    ("away, a one-shot", facts(INIT, exited(0), None, engine_known=False, seen_at=before(9)), (),
     (UNKNOWN, Reason.MONITOR, "container last seen 9 s ago (exited)")),
    ("never there, fails", facts(probe=REFUSED, engine_known=False, seen_at=None), (),
     (UNKNOWN, Reason.MONITOR, "refused, but Docker does not answer")),
    ("away, slow all the same", facts(engine_known=False, latencies=(1500.0,) * 5), (),
     (DEGRADED, Reason.SLOW, "answers in 1500 ms, over 1000 ms")),
    ("away, Docker's old word counts no more",
     facts(one=container(health=DockerHealth.UNHEALTHY), engine_known=False), (), (HEALTHY, None, "")),
]  # fmt: skip


@pytest.mark.parametrize(("given", "down", "wanted"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_each_rule(given: Facts, down: tuple[Dependency, ...], wanted: tuple[HealthState, Reason | None, str]) -> None:
    assert held(given, *down) == wanted


def test_no_container_is_not_created() -> None:
    given = replace(facts(probe=REFUSED), container=None)
    assert held(given) == (DOWN, Reason.NOT_CREATED, "no container has been created")


def test_every_state_but_healthy_has_a_reason_and_a_sentence() -> None:
    for _, given, down, _ in CASES:
        one = judge_one(given, down, NOW)
        assert (one.reason is None) == (one.state is HEALTHY)
        assert one.detail or one.state is HEALTHY


# ------------------------------------------------------------------- stopped


def stop(at: float, *, verb: str = "stop", ident: str = "0123456789abcdef") -> OperatorAct:
    return OperatorAct("redis", ident, verb, before(at), "alice")


@pytest.mark.parametrize(
    ("acts", "reason", "detail"),
    [
        ((stop(239.0),), Reason.STOPPED, "stopped by alice, 3 min ago"),
        ((stop(240.0),), Reason.STOPPED, "stopped by alice, 4 min ago"),
        ((stop(241.0),), Reason.EXITED, "exited 0"),
        ((stop(5.0, ident="another"),), Reason.EXITED, "exited 0"),
        ((stop(5.0, verb="restart"),), Reason.EXITED, "exited 0"),
        ((stop(300.0), stop(30.0)), Reason.STOPPED, "stopped by alice, 30 s ago"),
        ((), Reason.EXITED, "exited 0"),
    ],
)
def test_stopped_needs_our_own_record_later_than_the_end(
    acts: tuple[OperatorAct, ...], reason: Reason, detail: str
) -> None:
    assert held(facts(one=exited(0), acts=acts)) == (DOWN, reason, detail)


def test_out_of_memory_stays_the_reason_though_somebody_stopped_it_afterwards() -> None:
    given = facts(one=exited(137, oom_killed=True), acts=(stop(5.0),))
    assert held(given)[1] is Reason.OOM_KILLED


# ---------------------------------------------------------------- crash loops


def looping(*ages: float, asked: tuple[float, ...] = (), probe: ProbeResult = REFUSED, **more: Any) -> Judgement:
    starts = [Start(before(age), asked=False) for age in ages] + [Start(before(age), asked=True) for age in asked]
    one = more.pop("one", None) or container(min(ages + asked), restart_policy=more.pop("policy", "always"))
    ring = tuple(sorted(starts, key=lambda start: start.at))
    return judge_one(facts(one=one, probe=probe, starts=ring, last_exit=3, **more), (), NOW)


def test_two_starts_within_the_window() -> None:
    one = looping(60.0, 5.0)
    assert (one.state, one.reason) == (DOWN, Reason.RESTARTING)
    assert one.detail == "restarted 2 times in 1 min, last exit 3"
    assert one.starts == 2


def test_two_starts_further_apart_than_the_window_are_starting() -> None:
    assert looping(120.0, 5.0).state is STARTING


def test_three_starts_in_ten_minutes() -> None:
    one = looping(590.0, 300.0, 5.0)
    assert (one.state, one.detail) == (DOWN, "restarted 3 times in 10 min, last exit 3")
    assert looping(601.0, 300.0, 5.0).state is STARTING


def test_a_loop_is_down_though_it_answers_in_between() -> None:
    assert looping(60.0, 5.0, probe=PASS).state is DOWN


def test_a_run_that_outlived_the_loop_is_told_but_not_red() -> None:
    one = looping(400.0, 395.0, 390.0, probe=PASS)
    assert (one.state, one.reason) == (DEGRADED, Reason.FLAPPING)
    assert looping(400.0, 395.0, 390.0, probe=REFUSED).state is DOWN
    assert looping(590.0, 400.0, 200.0, probe=PASS).state is DOWN


def test_starts_that_an_operator_asked_for_do_not_count() -> None:
    assert looping(60.0, asked=(40.0, 5.0)).state is STARTING
    assert looping(60.0, 50.0, asked=(5.0,)).state is STARTING
    ours = (stop(62.0, verb="restart"), stop(7.0, verb="start"))
    assert looping(60.0, 5.0, acts=ours).state is STARTING


def test_what_has_no_restart_policy_was_started_by_somebody() -> None:
    assert looping(60.0, 5.0, policy="no").state is STARTING
    assert looping(60.0, 5.0, policy="").state is STARTING


YOUNG = NOW - timedelta(seconds=1)


@pytest.mark.parametrize(
    ("one", "probe", "state"),
    [
        # restarts, and a young run that does not answer
        (container(5.0, restart_count=2), REFUSED, DOWN),
        (container(5.0, restart_count=1), REFUSED, STARTING),
        # counted in the container's life, all of it within the spans
        (container(5.0, restart_count=3, created_at=before(500.0)), PASS, DOWN),
        (container(5.0, restart_count=2, created_at=before(80.0)), PASS, DOWN),
        (container(5.0, restart_count=2, created_at=before(500.0)), PASS, HEALTHY),
        # restarts of long ago
        (container(9000.0, restart_count=7), PASS, HEALTHY),
        (container(5.0, restart_count=7), PASS, HEALTHY),
    ],
)
def test_where_the_ring_is_young_the_engines_counter_serves(
    one: Container, probe: ProbeResult, state: HealthState
) -> None:
    judged = judge_one(facts(one=one, probe=probe, ring_since=YOUNG), (), NOW)
    assert judged.state is state
    assert "history since 19:02:10Z" in judged.notes
    if state is DOWN:
        assert judged.reason is Reason.RESTARTING
        assert judged.detail.endswith("last exit unknown (history since 19:02:10Z)")


def test_an_old_ring_says_nothing_about_its_age() -> None:
    assert judge_one(facts(one=container(restart_count=3)), (), NOW).notes == ()


# ------------------------------------------------------------ notes, own, age


def test_notes_beside_the_verdict() -> None:
    assert judge_one(facts(one=container(oom_killed=True)), (), NOW).notes == (
        "the last run was killed: out of memory",
    )
    assert judge_one(facts(probe=ILL), (NEED_REDIS,), NOW).notes == ("its own check says: 503 instead of 200",)
    assert judge_one(facts(one=exited(1)), (), NOW).notes == ("something answers at its address all the same",)
    assert judge_one(facts(engine_known=False, seen_at=before(9)), (), NOW).notes == (
        "container last seen 9 s ago (running)",
    )
    assert judge_one(facts(reachable=False, probe=None), (), NOW).notes == (
        "not reachable from here: it publishes no port",
    )


@pytest.mark.parametrize(
    ("given", "down", "own"),
    [
        (facts(), (), HEALTHY),
        (facts(), (NEED_REDIS,), HEALTHY),
        (facts(probe=TIMEOUT), (), DOWN),
        (facts(probe=WRONG), (), None),
        (facts(one=container(3.0), probe=REFUSED), (), None),
        (facts(changes=5), (), HEALTHY),
        (facts(changes=5, latencies=(2000.0,) * 5), (), DEGRADED),
        (facts(one=container(health=DockerHealth.UNHEALTHY)), (), DEGRADED),
    ],
)
def test_flapping_counts_a_services_own_verdict(
    given: Facts, down: tuple[Dependency, ...], own: HealthState | None
) -> None:
    assert judge_one(given, down, NOW).own is own


def test_what_the_container_decided_has_the_containers_age() -> None:
    assert judge_one(facts(one=exited(1)), (), NOW).by_container
    assert judge_one(facts(PROMTAIL, probe=None), (), NOW).by_container
    assert not judge_one(facts(probe=TIMEOUT), (), NOW).by_container


@pytest.mark.parametrize(
    ("age", "interval", "stale"),
    [
        (10.0, 5.0, None),
        (10.1, 5.0, 10.0),
        (61.9, 30.0, 61.0),
        (119.0, 60.0, None),
        (9e9, None, None),
        (None, 5.0, None),
    ],
)
def test_stale_is_older_than_twice_the_interval_in_force(
    age: float | None, interval: float | None, stale: float | None
) -> None:
    assert stale_seconds(age, interval) == stale
