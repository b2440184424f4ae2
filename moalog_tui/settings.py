"""The settings as values: what was decided before the first byte is drawn, and the `.env` as it stands now."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from moalog_tui.adapters.compose import ComposeFile, ComposeService
from moalog_tui.adapters.host import EnvWatch
from moalog_tui.platform.config_file import ConfigFile
from moalog_tui.platform.containers import Container, ProjectHint
from moalog_tui.platform.endpoints import resolve_endpoint
from moalog_tui.platform.envfile import EnvFile
from moalog_tui.platform.secret import Secret
from moalog_tui.platform.services import Endpoint, Profile, Service, ServiceKind, Sourced
from moalog_tui.platform.snapshot import Mute
from moalog_tui.platform.text import LINE_LIMIT, Redactor
from moalog_tui.runbook.plan import Tier

_SECRET_NAME: Final = re.compile(
    r"PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIAL|WEBHOOK|_PASS$|_PWD$", re.I
)
_NOT_SECRET: Final = re.compile(r"(?:EXPIRATION|EXPIRY|TTL|ENABLED|FILE|PATH|LENGTH)$", re.I)


class ConfigError(Exception):
    """The settings cannot be made: `sentence` says why, `hint` what to do. `str()` of it is fit to print."""

    def __init__(self, sentence: str, hint: str = "") -> None:
        super().__init__(sentence, hint)
        self.sentence = sentence
        self.hint = hint

    def __str__(self) -> str:
        return Redactor().clean(f"{self.sentence} {self.hint}".strip())


@dataclass(frozen=True, slots=True)
class Flags:
    """The global options of the command line; None is "not given". Paths are as typed."""

    platform: str | None = None
    project: str | None = None
    profile: str | None = None
    runbook: str | None = None
    read_only: bool = False
    allow: str | None = None
    ascii: bool = False
    log_level: str | None = None


class FreshRedactor(Redactor):
    """Masks by the secrets as they stand now, so that one added to the `.env` later is masked too."""

    def __init__(self, now: Callable[[], Redactor]) -> None:
        super().__init__()
        self._now = now

    def redact(self, text: str) -> str:
        """Return `text` with every secret of this moment replaced by the mask."""
        return self._now().redact(text)

    def clean(self, text: str, limit: int = LINE_LIMIT) -> str:
        """Sanitise and redact, by the secrets of this moment."""
        return self._now().clean(text, limit)


@dataclass(frozen=True)
class Settings:
    """Everything that was decided before the first byte is drawn; the `.env` alone is read again."""

    platform: Path | None
    compose_file: Path | None
    hint: ProjectHint
    profile: Profile
    services: tuple[Service, ...]
    """The expected ones: of the compose file where there is one, else of the profile."""
    read_only: bool
    allow: Tier
    """The highest tier that may run; destructive is off until allowed."""
    ascii: bool
    log_level: str
    state_dir: Path
    state_shared: bool
    """True where all operators of this host see each other's operations."""
    runbook: Path | None
    """None is the built-in one."""
    config_path: Path
    config: ConfigFile
    own: tuple[Sourced, ...]
    """This program's own settings with their sources, for doctor."""
    notes: tuple[str, ...]
    """Sentences on what was left out or not read."""
    watch: EnvWatch
    environment: Mapping[str, str] = field(repr=False)
    redactors: RedactorKeeper = field(repr=False)

    @property
    def deadline_s(self) -> float:
        """One probe's deadline in seconds."""
        return self.config.deadline_s

    @property
    def interval_s(self) -> float:
        """Seconds between two rounds of probes."""
        return self.config.interval_s

    @property
    def mutes(self) -> tuple[Mute, ...]:
        """The mutes of `config.toml`, those that ran out included."""
        return self.config.mutes

    @property
    def keys(self) -> Mapping[str, str]:
        """Changed bindings: binding id to keys."""
        return dict(self.config.keys)

    @property
    def env_path(self) -> Path | None:
        """The platform's `.env`, or None."""
        return self.watch.path

    def env_file(self) -> EnvFile:
        """Return the platform's `.env` as it stands now."""
        return self.watch.current()

    def setting(self, name: str) -> Sourced | None:
        """Return a platform setting and where it came from, or None where nobody sets it.

        As in compose's `${X:-default}`, an empty value means the default, and a variable of the shell hides
        the `.env` even when it is empty.
        """
        default = self._default(name)
        held = self.watch.current().get(name)
        if name in self.environment:
            value, source = self.environment[name], "your shell"
        elif held is not None:
            value, source = held.value, f".env:{held.line}"
        elif default is not None:
            value, source = default, "profile default"
        else:
            return None
        if not value and default:
            value, source = default, f"profile default (empty in {source})"
        return Sourced(name, Secret(value) if self.is_secret(name) else value, source)

    def is_secret(self, name: str) -> bool:
        """True where the profile marks the setting, or its name says so."""
        return any(one.secret for one in self.profile.settings if one.name == name) or looks_secret(name)

    def setting_names(self) -> tuple[str, ...]:
        """The platform's settings: the ports of its services, then the profile's."""
        ports = [service.port_variable for service in self.profile.services if service.port_variable]
        return tuple(dict.fromkeys([*ports, *(one.name for one in self.profile.settings)]))

    def endpoint(self, service: Service, container: Container | None, remote: bool) -> Endpoint | None:
        """Return where `service` is reached from here, or None."""
        return resolve_endpoint(service, container, self.environment, self.watch.current(), remote)

    def redactor(self) -> Redactor:
        """Return the redactor of these settings: one object that always knows the secrets of the moment."""
        return self.redactors.fresh(self)

    def weak_secrets(self) -> tuple[str, ...]:
        """The platform's secrets that are too short or too ordinary to be masked by value."""
        env = self.watch.current().values
        return tuple(name for name in self.redactors.now(self).weak if name in env or name in self.setting_names())

    def secrets(self) -> Iterator[tuple[str, Secret]]:
        """Every secret value in sight: those in force, and those of the `.env` and the shell that they hide."""
        env = self.watch.current().values
        for name in self.setting_names():
            held = self.setting(name)
            if held is not None and isinstance(held.value, Secret):
                yield name, held.value
        values = [(name, one.value) for name, one in env.items()] + list(self.environment.items())
        for name, value in values:
            if self.is_secret(name):
                yield name, Secret(value)

    def _default(self, name: str) -> str | None:
        for one in self.profile.settings:
            if one.name == name:
                return one.default
        for service in self.profile.services:
            if service.port_variable == name:
                return str(service.port)
        return None


class RedactorKeeper:
    """Keeps the redactor of the `.env` as it stands, and builds another when that changed."""

    def __init__(self) -> None:
        self._of: EnvFile | None = None
        self._held = Redactor()
        self._fresh: FreshRedactor | None = None

    def now(self, settings: Settings) -> Redactor:
        """Return the redactor for this moment."""
        env = settings.env_file()
        if env is not self._of:
            self._held = Redactor(settings.secrets(), _words(settings.profile))
            self._of = env
        return self._held

    def fresh(self, settings: Settings) -> Redactor:
        """Return the one object that is handed out."""
        if self._fresh is None:
            self._fresh = FreshRedactor(lambda: self.now(settings))
        return self._fresh


def looks_secret(name: str) -> bool:
    """True for a variable whose name says that its value is a credential."""
    return bool(_SECRET_NAME.search(name)) and not _NOT_SECRET.search(name)


def _words(profile: Profile) -> Iterator[str]:
    """The ordinary words of a platform: a secret that is one of them is not masked by value."""
    yield from (profile.name, profile.title, profile.project)
    for service in profile.services:
        names = (service.name, service.container, service.title, service.probe.user, service.probe.database)
        for name in filter(None, names):
            yield name
            yield from re.split(r"[-_ ]", name)


def expected_services(profile: Profile, compose: ComposeFile | None, active: Iterable[str] = ()) -> tuple[Service, ...]:
    """Return the services that should be there: those of the compose file, in the profile's order, then its others.

    In the profile only: not listed. In the file only: listed by container state. Services of a compose
    profile count where that is active. Needs of services that are not there are dropped.
    """
    if compose is None:
        return profile.services
    wanted = set(active)
    there = {one.name: one for one in compose.services if not one.profiles or wanted & {*one.profiles, "*"}}
    known = [
        replace(service, container=there[service.name].container_name or service.container)
        for service in profile.services
        if service.name in there
    ]
    others = [_only_in_file(one) for name, one in there.items() if profile.service(name) is None]
    return tuple(
        replace(
            service,
            needs=tuple(need for need in service.needs if need.service in there),
            starts_after=tuple(name for name in service.starts_after if name in there),
        )
        for service in (*known, *others)
    )


def _only_in_file(one: ComposeService) -> Service:
    port, container_port = one.ports[0] if one.ports else (None, None)
    return Service(
        name=one.name,
        kind=ServiceKind.APPLICATION,
        title=one.name,
        container=one.container_name,
        port=port,
        container_port=container_port,
        starts_after=one.depends_on,
    )
