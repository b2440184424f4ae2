"""A platform's TOML description becomes a `Profile`, or one sentence on what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from moalog_tui.platform.services import (
    DEFAULT_SLOW_MS,
    DEFAULT_STARTUP_S,
    Dependency,
    ExternalDependency,
    MetricSpec,
    ProbeKind,
    ProbeSpec,
    Profile,
    Service,
    ServiceKind,
    SettingSpec,
)
from moalog_tui.platform.toml_table import Document, Table, TomlMistake, near

UNITS: Final = ("/s", "ratio", "s", "bytes", "count")
"""The units a metric of the strip can have."""

LOSES_LIMIT: Final = 30
"""Characters of a dependency's short effect: it stands in the WHY column beside the service's name."""

_HTTP: Final = ("path", "expect_json", "expect_text", "expect_status", "headers", "impaired_path", "locks_accounts")


class ProfileError(Exception):
    """A mistake in a profile: `sentence` names file, line or key, what was found and what was expected."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


def parse_profile(text: str, source: str) -> Profile:
    """Return the profile that `text` describes; `source` names the file in sentences. Raises ProfileError."""
    try:
        return _profile(Document(text, source), source)
    except TomlMistake as mistake:
        raise ProfileError(mistake.sentence) from None


def _profile(document: Document, source: str) -> Profile:
    top = Table(document.values, document)
    name = top.text("name")
    title = top.text("title", name)
    project = top.text("project", name)
    settings_read = [(_setting(table), table) for table in top.tables("setting", "name")]
    services_read = [(_service(table), table) for table in top.tables("service", "name")]
    metrics_read = [(_metric(table), table) for table in top.tables("metric", "name")]
    prometheus = top.maybe_text("prometheus")
    top.done()
    if not services_read:
        raise top.mistake(None, "there is no service, expected at least one [[service]]")
    services = {service.name: service for service, _ in services_read}
    _unique("setting", ((setting.name, table) for setting, table in settings_read))
    _unique("service", ((service.name, table) for service, table in services_read))
    _unique("metric", ((metric.name, table) for metric, table in metrics_read))
    _unique_containers(services_read)
    for service, table in services_read:
        _check_references(service, table, services)
        _check_settings(service, table, {setting.name: setting for setting, _ in settings_read})
    _check_cycles(services, services_read)
    for metric, table in metrics_read:
        if metric.service is not None and metric.service not in services:
            raise table.mistake("service", _unknown_service(metric.service, services))
    if prometheus is not None and prometheus not in services:
        raise top.mistake("prometheus", _unknown_service(prometheus, services))
    return Profile(
        name=name,
        title=title,
        project=project,
        services=tuple(services.values()),
        metrics=tuple(metric for metric, _ in metrics_read),
        settings=tuple(setting for setting, _ in settings_read),
        prometheus=prometheus,
        source=source,
    )


def _setting(table: Table) -> SettingSpec:
    spec = SettingSpec(table.text("name"), table.any_text("default", ""), table.flag("secret", False))
    table.done()
    return spec


def _metric(table: Table) -> MetricSpec:
    name = table.text("name")
    spec = MetricSpec(
        name=name,
        title=table.text("title", name),
        query=table.text("query"),
        unit=table.choice("unit", UNITS),
        warn=table.maybe_number("warn", 0, 1e18),
        service=table.maybe_text("service"),
    )
    table.done()
    return spec


def _service(table: Table) -> Service:
    name = table.text("name")
    service = Service(
        name=name,
        kind=ServiceKind(table.choice("kind", tuple(kind.value for kind in ServiceKind))),
        title=table.text("title", name),
        container=table.maybe_text("container"),
        port=table.maybe_whole("port", 1, 65535),
        port_variable=table.maybe_text("port_variable"),
        container_port=table.maybe_whole("container_port", 1, 65535),
        probe=_probe(table.table("probe")),
        startup_s=table.number("startup_s", DEFAULT_STARTUP_S, 1, 3600),
        slow_ms=_slow(table),
        stop_timeout_s=table.number("stop_timeout_s", 10, 0, 3600),
        completes=table.flag("completes", False),
        impact=table.texts("impact"),
        needs=tuple(_dependency(one) for one in table.tables("needs", "service")),
        external=tuple(_external(one) for one in table.tables("external", "name")),
        starts_after=table.texts("starts_after"),
        scenario=table.maybe_text("scenario"),
    )
    table.done()
    if service.probe.kind is not ProbeKind.NONE and service.container_port is None:
        raise table.mistake("probe", 'it has a probe but no "container_port", expected the port it listens on')
    if service.port_variable is not None and service.port is None:
        raise table.mistake("port_variable", 'it has no "port", expected the port where the variable is not set')
    if service.completes and service.kind is not ServiceKind.ONE_SHOT:
        raise table.mistake("completes", f'found it on kind "{service.kind.value}", expected kind "one-shot"')
    return service


def _slow(table: Table) -> float | None:
    """0 switches the rule off: TOML has no null."""
    return table.number("slow_ms", DEFAULT_SLOW_MS, 0, 3_600_000) or None


def _probe(table: Table) -> ProbeSpec:
    kind = ProbeKind(table.choice("kind", tuple(kind.value for kind in ProbeKind), ProbeKind.NONE.value))
    if kind is not ProbeKind.HTTP:
        for key in _HTTP:
            if table.has(key) and not (kind is ProbeKind.METRICS and key in ("path", "headers")):
                raise table.mistake(key, f'probe kind "{kind.value}" has no "{key}", expected it with kind "http" only')
    expect_json = table.texts("expect_json")
    if len(expect_json) not in (0, 2):
        raise table.mistake("expect_json", f"found {len(expect_json)} texts, expected a dotted path and its value")
    spec = ProbeSpec(
        kind=kind,
        path=_path(table, "path") or ("/metrics" if kind is ProbeKind.METRICS else "/"),
        expect_json=(expect_json[0], expect_json[1]) if expect_json else None,
        expect_text=table.maybe_text("expect_text"),
        expect_status=table.wholes("expect_status", 100, 599),
        headers=table.pairs("headers"),
        impaired_path=_path(table, "impaired_path"),
        user=table.maybe_text("user"),
        user_setting=table.maybe_text("user_setting"),
        password_setting=table.maybe_text("password_setting"),
        database=table.maybe_text("database"),
        database_setting=table.maybe_text("database_setting"),
        locks_accounts=table.flag("locks_accounts", False),
    )
    table.done()
    return spec


def _path(table: Table, key: str) -> str | None:
    value = table.maybe_text(key)
    if value is not None and not value.startswith("/"):
        raise table.mistake(key, f'found "{value}", expected a path that starts with "/"')
    return value


def _dependency(table: Table) -> Dependency:
    dependency = Dependency(
        service=table.text("service"),
        loses=table.text("loses"),
        timeout=table.maybe_text("timeout"),
        behaviour=table.maybe_text("behaviour"),
    )
    table.done()
    if len(dependency.loses) > LOSES_LIMIT:
        raise table.mistake(
            "loses", f"found {len(dependency.loses)} characters, expected at most {LOSES_LIMIT}: it stands in a column"
        )
    return dependency


def _external(table: Table) -> ExternalDependency:
    external = ExternalDependency(
        name=table.text("name"),
        loses=table.text("loses"),
        timeout=table.maybe_text("timeout"),
        signatures=table.texts("signatures"),
    )
    table.done()
    return external


def _unique(what: str, named: Iterable[tuple[str, Table]]) -> None:
    seen: set[str] = set()
    for name, table in named:
        if name in seen:
            raise table.mistake("name", f'a second {what} is named "{name}", expected each name once')
        seen.add(name)


def _unique_containers(read: Iterable[tuple[Service, Table]]) -> None:
    owners: dict[str, str] = {}
    for service, table in read:
        if service.container is None:
            continue
        if service.container in owners:
            raise table.mistake(
                "container",
                f'the container "{service.container}" is also that of service "{owners[service.container]}", '
                "expected each container once",
            )
        owners[service.container] = service.name


def _unknown_service(name: str, services: Mapping[str, Service]) -> str:
    return f'there is no service "{name}"{near(name, list(services)) or ", expected the name of a [[service]]"}'


def _check_references(service: Service, table: Table, services: Mapping[str, Service]) -> None:
    needed = [dependency.service for dependency in service.needs]
    for key, names in (("needs", needed), ("starts_after", list(service.starts_after))):
        for name in names:
            if name not in services:
                raise table.mistake(key, _unknown_service(name, services))
            if names.count(name) > 1:
                raise table.mistake(key, f'"{name}" is named twice, expected each service once')


def _check_settings(service: Service, table: Table, settings: Mapping[str, SettingSpec]) -> None:
    probe = service.probe
    for key, name in (
        ("user_setting", probe.user_setting),
        ("password_setting", probe.password_setting),
        ("database_setting", probe.database_setting),
    ):
        if name is None:
            continue
        if name not in settings:
            hint = near(name, list(settings)) or ", expected the name of a [[setting]]"
            raise table.mistake("probe", f'{key} names "{name}", which is no setting{hint}')
        if key == "password_setting" and not settings[name].secret:
            raise table.mistake("probe", f'the password "{name}" is shown in the open, expected secret = true on it')


def _check_cycles(services: Mapping[str, Service], read: Iterable[tuple[Service, Table]]) -> None:
    needs = {name: [dependency.service for dependency in service.needs] for name, service in services.items()}
    order = {name: list(service.starts_after) for name, service in services.items()}
    tables = {service.name: table for service, table in read}
    for key, edges in (("needs", needs), ("starts_after", order)):
        cycle = _cycle(edges)
        if cycle:
            path = " → ".join(cycle)
            raise tables[cycle[0]].mistake(key, f"found the circle {path}, expected an order that ends")


def _cycle(edges: Mapping[str, list[str]]) -> list[str] | None:
    """Return a circle of names that starts and ends with the same one, or None. Without recursion: input is foreign."""
    finished: set[str] = set()
    for root in edges:
        if root in finished:
            continue
        trail: list[str] = [root]
        waiting = [iter(edges[root])]
        while trail:
            following = next(waiting[-1], None)
            if following is None:
                finished.add(trail.pop())
                waiting.pop()
            elif following in trail:
                return [*trail[trail.index(following) :], following]
            elif following not in finished:
                trail.append(following)
                waiting.append(iter(edges[following]))
    return None
