"""Where the settings come from: flags, then the environment, `config.toml`, the platform's `.env`, the profile."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from moalog_tui.adapters.compose import ComposeError, ComposeFile, read_compose
from moalog_tui.adapters.host import (
    EnvWatch,
    HostError,
    compose_file_in,
    env_file_of,
    find_platform,
    is_file,
    platform_folder,
    read_text,
    state_folder,
    trust,
)
from moalog_tui.platform.config_file import ConfigFile, parse_config
from moalog_tui.platform.containers import ProjectHint
from moalog_tui.platform.profile import ProfileError, parse_profile
from moalog_tui.platform.services import Profile, Service, Sourced
from moalog_tui.platform.toml_table import TomlMistake, near
from moalog_tui.profiles import load_builtin
from moalog_tui.runbook.plan import Tier
from moalog_tui.settings import ConfigError, Flags, RedactorKeeper, Settings, expected_services

__all__ = ["ConfigError", "Flags", "Settings", "expected_services", "load_settings"]

LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")
RUNBOOKS: Final = ("docs/runbook.md", "runbook.md")
"""Where a platform keeps its own runbook, below its folder."""

_OFF: Final = ("", "0", "false", "no", "off")


def load_settings(flags: Flags, environment: Mapping[str, str], cwd: Path) -> Settings:
    """Resolve the settings. Raises ConfigError, a sentence with a hint."""
    return _Loading(flags, environment, cwd).settings()


class _Loading:
    """One resolution of the settings; what it decides is kept with its source, for doctor."""

    def __init__(self, flags: Flags, environment: Mapping[str, str], cwd: Path) -> None:
        self._flags = flags
        self._environment = environment
        self._cwd = cwd
        home = environment.get("HOME", "")
        self._home = Path(home) if home.startswith("/") else Path.home()
        base = environment.get("XDG_CONFIG_HOME", "")
        folder = Path(base) if base.startswith("/") else self._home / ".config"
        self._config_path = folder / "moalog-tui" / "config.toml"
        self._config = ConfigFile()
        self._own: list[Sourced] = []
        self._notes: list[str] = []

    def settings(self) -> Settings:
        """Resolve everything, in the order in which one thing needs the other."""
        self._config = self._read_config()
        profile = self._profile()
        folder = self._folder()
        compose_path = compose_file_in(folder) if folder else None
        self._say("compose file", str(compose_path or ""), "found in the platform's folder")
        watch = self._watch(folder, compose_path)
        compose = self._compose(compose_path, watch)
        services = expected_services(profile, compose, self._compose_profiles(watch))
        self._check_mutes(services)
        read_only = self._read_only()
        tier = self._tier()
        log_level = self._log_level()
        state_dir, source, shared = state_folder(self._environment, self._home)
        self._say("state folder", str(state_dir), source)
        runbook = self._runbook(folder)
        self._say_the_rest(log_level)
        return Settings(
            platform=folder,
            compose_file=compose_path,
            hint=self._hint(profile, compose, compose_path, services, watch),
            profile=profile,
            services=services,
            read_only=read_only,
            allow=tier,
            ascii=self._flags.ascii or self._config.ascii,
            log_level=log_level,
            state_dir=state_dir,
            state_shared=shared,
            runbook=runbook,
            config_path=self._config_path,
            config=self._config,
            own=tuple(self._own),
            notes=tuple(self._notes),
            watch=watch,
            environment=self._environment,
            redactors=RedactorKeeper(),
        )

    def _say(self, name: str, value: str, source: str) -> None:
        self._own.append(Sourced(name, value or "none", source if value else "default"))

    def _path(self, text: str, base: Path) -> Path:
        """Return an absolute path without `..`, symlinks kept: compose labels its containers with such paths."""
        if text == "~" or text.startswith("~/"):
            text = str(self._home) + text[1:]
        return Path(os.path.normpath(base / text))

    def _read_config(self) -> ConfigFile:
        try:
            there = self._config_path.exists()
        except OSError:
            there = False
        self._say("config file", str(self._config_path) if there else "", "XDG_CONFIG_HOME or ~/.config")
        if not there:
            return ConfigFile()
        try:
            return parse_config(read_text(self._config_path), str(self._config_path))
        except (HostError, TomlMistake) as error:
            raise ConfigError(error.sentence, "Correct the file, or move it away.") from None

    def _choose(self, *choices: tuple[str | None, str, Path]) -> tuple[Path, str] | None:
        """Return the first path that is given, absolute, and where it came from."""
        for text, source, base in choices:
            if text:
                return self._path(text, base), source
        return None

    def _profile(self) -> Profile:
        chosen = self._choose(
            (self._flags.profile, "--profile", self._cwd),
            (self._config.profile, "config.toml", self._config_path.parent),
        )
        if chosen is None:
            self._say("profile", "moalog", "built in")
            return load_builtin()
        path, source = chosen
        self._say("profile", str(path), source)
        try:
            return parse_profile(read_text(path), str(path))
        except (HostError, ProfileError) as error:
            raise ConfigError(error.sentence, f"({source} names this profile.)") from None

    def _folder(self) -> Path | None:
        chosen = self._choose(
            (self._flags.platform, "--platform", self._cwd),
            (self._environment.get("MOALOG_HOME"), "MOALOG_HOME", self._cwd),
            (self._config.platform, "config.toml", self._config_path.parent),
        )
        if chosen is None:
            found = find_platform(self._cwd)
            self._say("platform", str(found or ""), "found upwards from here")
            if found is None:
                self._notes.append(
                    "No platform folder was found from here upwards, so the services are the profile's; "
                    "name one with --platform DIR or MOALOG_HOME."
                )
            return found
        folder, source = chosen
        try:
            there = folder.is_dir()
        except OSError:
            there = False
        if not there:
            raise ConfigError(f"{source} names {folder}, which is no folder.", "Name the platform's folder.")
        if compose_file_in(folder) is None:
            self._notes.append(f"{folder} has no compose file, so the services are the profile's.")
        folder = platform_folder(folder)
        self._say("platform", str(folder), source)
        return folder

    def _watch(self, folder: Path | None, compose_path: Path | None) -> EnvWatch:
        watch = EnvWatch(env_file_of(folder, compose_path), self._environment)
        watch.current()
        self._say(".env", str(watch.path or ""), "the platform's")
        if watch.too_large:
            raise ConfigError(watch.problem or "", "A .env is a few lines; is this the right file?")
        return watch

    def _lookup(self, name: str, watch: EnvWatch) -> str | None:
        if name in self._environment:
            return self._environment[name]
        held = watch.current().get(name)
        return held.value if held else None

    def _compose(self, path: Path | None, watch: EnvWatch) -> ComposeFile | None:
        if path is None:
            return None
        try:
            compose = read_compose(path, lambda name: self._lookup(name, watch))
        except ComposeError as error:
            hint = "Correct the file, or name another folder with --platform DIR."
            raise ConfigError(error.sentence, hint) from None
        self._notes.extend(compose.notes)
        return compose

    def _compose_profiles(self, watch: EnvWatch) -> tuple[str, ...]:
        return tuple(one.strip() for one in (self._lookup("COMPOSE_PROFILES", watch) or "").split(","))

    def _hint(
        self,
        profile: Profile,
        compose: ComposeFile | None,
        compose_path: Path | None,
        services: tuple[Service, ...],
        watch: EnvWatch,
    ) -> ProjectHint:
        variable = "COMPOSE_PROJECT_NAME"
        held = watch.current().get(variable)
        explicit, source = next(
            (
                (name, source)
                for name, source in (
                    (self._flags.project, "--project"),
                    (self._environment.get(variable), f"{variable} of your shell"),
                    (self._config.project, "config.toml"),
                    (held.value if held else None, f"{variable} in .env:{held.line}" if held else ""),
                    (compose.name if compose else None, "the compose file's name"),
                )
                if name
            ),
            (None, ""),
        )
        self._say("project", explicit or profile.project, source or "profile, unless containers carry this folder")
        return ProjectHint(
            explicit=explicit,
            working_dir=str(compose_path.parent) if compose_path else None,
            default=profile.project,
            names=tuple((service.container, service.name) for service in services if service.container),
        )

    def _read_only(self) -> bool:
        variable = self._environment.get("MOALOG_READ_ONLY", "")
        for on, source in (
            (self._flags.read_only, "--read-only"),
            (variable.casefold() not in _OFF, "MOALOG_READ_ONLY"),
            (self._config.read_only, "config.toml"),
        ):
            if on:  # it beats all: nothing of higher rank switches it off again
                self._say("read only", "yes", source)
                return True
        self._say("read only", "no", "default")
        return False

    def _tier(self) -> Tier:
        for text, source in ((self._flags.allow, "--allow"), (self._config.allow, "config.toml")):
            if text:
                tiers = tuple(tier.value for tier in Tier)
                if text not in tiers:
                    raise ConfigError(f'{source} names the tier "{text}"{near(text, tiers)}.')
                self._say("allowed up to", text, source)
                return Tier(text)
        self._say("allowed up to", Tier.PLATFORM_WIDE.value, "default")
        return Tier.PLATFORM_WIDE

    def _log_level(self) -> str:
        level = (self._flags.log_level or "WARNING").upper()
        if level not in LOG_LEVELS:
            raise ConfigError(f'--log-level names "{level}"{near(level, LOG_LEVELS)}.')
        return level

    def _runbook(self, folder: Path | None) -> Path | None:
        chosen = self._choose(
            (self._flags.runbook, "--runbook", self._cwd),
            (self._config.runbook, "config.toml", self._config_path.parent),
        )
        if chosen is not None:
            path, source = chosen
            refused = trust(path).refused
            if refused:
                raise ConfigError(refused, f"({source} names this runbook.)")
            self._say("runbook", str(path), source)
            return path
        for name in RUNBOOKS if folder else ():
            path = Path(folder or "", name)
            if not is_file(path):
                continue
            refused = trust(path).refused
            if refused is None:
                self._say("runbook", str(path), "the platform's")
                return path
            self._notes.append(f"{refused} The built-in runbook is shown.")
        self._say("runbook", "built in", "default")
        return None

    def _check_mutes(self, services: tuple[Service, ...]) -> None:
        names = tuple(service.name for service in services)
        for mute in self._config.mutes:
            if mute.service not in names:
                self._notes.append(f'{self._config_path} mutes "{mute.service}", which is no service here.')

    def _say_the_rest(self, log_level: str) -> None:
        config = self._config
        for name, value, key in (
            ("probe deadline", f"{config.deadline_s:g} s", "probe.deadline"),
            ("probe interval", f"{config.interval_s:g} s", "probe.interval"),
            ("log lines kept", f"{config.keep_lines} lines, {config.keep_mib} MiB", "logs.keep_lines"),
            ("times", config.time, "ui.time"),
            ("theme", config.theme or "default", "ui.theme"),
        ):
            self._say(name, value, "config.toml" if key in config.said else "default")
        self._say("muted", ", ".join(one.service for one in config.mutes), "config.toml")
        self._say("log level", log_level, "--log-level" if self._flags.log_level else "default")
