from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from moalog_tui.adapters.host import EnvWatch
from moalog_tui.config import ConfigError, Flags, Settings, load_settings
from moalog_tui.platform.envfile import parse_env
from moalog_tui.platform.secret import MASK, Secret
from moalog_tui.platform.services import Endpoint, ServiceKind
from moalog_tui.runbook.plan import Tier
from moalog_tui.settings import looks_secret

COMPOSE = """\
services:
  redis: {container_name: my-redis, ports: ["6382:6379"]}
  moalog-server: {container_name: moalog-server, depends_on: [redis]}
  queue: {image: x, ports: ["7000:70"], depends_on: [redis]}
  debug: {image: x, profiles: [tools]}
"""


@dataclass
class Host:
    """A host's folders below one folder, and how the program is started on it."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def platform(self) -> Path:
        return self.root / "platform"

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(0o644)
        return path

    def config(self, text: str) -> Path:
        return self.write("home/.config/moalog-tui/config.toml", text)

    def load(self, cwd: Path | None = None, /, **flags: object) -> Settings:
        environment = {"HOME": str(self.root / "home"), **self.environment}
        return load_settings(Flags(**flags), environment, cwd or self.platform)  # type: ignore[arg-type]

    def mistake(self, **flags: object) -> str:
        with pytest.raises(ConfigError) as caught:
            self.load(**flags)
        return str(caught.value)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path)
    made.write("platform/moalog-server/docker-compose.yaml", COMPOSE)
    return made


def own(settings: Settings, name: str) -> tuple[str, str]:
    (found,) = [one for one in settings.own if one.name == name]
    return found.plain, found.source


def test_the_platform_is_the_flag_then_the_environment_then_the_config_then_the_way_up(host: Host) -> None:
    deep = host.root / "platform" / "a" / "b"
    deep.mkdir(parents=True)
    for name in ("flag", "variable", "file"):
        host.write(f"{name}/compose.yaml", COMPOSE)
    assert host.load(deep).platform == host.platform
    host.config(f'platform = "{host.root}/file"')
    assert own(host.load(deep), "platform") == (str(host.root / "file"), "config.toml")
    host.environment["MOALOG_HOME"] = str(host.root / "variable")
    assert own(host.load(deep), "platform") == (str(host.root / "variable"), "MOALOG_HOME")
    settings = host.load(deep, platform="../../../flag")
    assert own(settings, "platform") == (str(host.root / "flag"), "--platform")
    assert settings.compose_file == host.root / "flag" / "compose.yaml"
    assert settings.hint.working_dir == str(host.root / "flag")


def test_a_platform_that_is_no_folder_is_a_sentence(host: Host) -> None:
    assert "no folder" in host.mistake(platform="nowhere")
    host.environment["MOALOG_HOME"] = "/nowhere"
    assert host.mistake().startswith("MOALOG_HOME names /nowhere")


def test_without_a_platform_the_profile_serves_and_a_note_says_so(host: Host, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    settings = host.load(empty)
    assert (settings.platform, settings.compose_file, settings.env_path) == (None, None, None)
    assert len(settings.services) == 20
    assert "--platform" in settings.notes[0]


def test_the_expected_services_are_those_of_the_compose_file(host: Host) -> None:
    settings = host.load()
    assert [service.name for service in settings.services] == ["redis", "moalog-server", "queue"]
    redis, server, queue = settings.services
    assert redis.container == "my-redis"
    assert redis.kind is ServiceKind.DATASTORE
    assert server.needs == ()  # mysql, rate-limiter and fluxpay-engine are not there
    assert (queue.port, queue.container_port, queue.starts_after) == (7000, 70, ("redis",))
    assert settings.hint.names == (("my-redis", "redis"), ("moalog-server", "moalog-server"))
    host.environment["COMPOSE_PROFILES"] = "other, tools"
    assert [service.name for service in host.load().services][-1] == "debug"


def test_the_project_is_told_by_rank(host: Host) -> None:
    assert host.load().hint.explicit is None
    assert host.load().hint.default == "moalog-server"
    host.write("platform/moalog-server/docker-compose.yaml", "name: named\n" + COMPOSE)
    assert host.load().hint.explicit == "named"
    host.write("platform/.env", "A=1\nCOMPOSE_PROJECT_NAME=from-env-file")
    assert own(host.load(), "project") == ("from-env-file", "COMPOSE_PROJECT_NAME in .env:2")
    host.config('project = "configured"')
    assert host.load().hint.explicit == "configured"
    host.environment["COMPOSE_PROJECT_NAME"] = "shell"
    assert host.load().hint.explicit == "shell"
    assert own(host.load(project="flag"), "project") == ("flag", "--project")


def test_a_setting_tells_its_source(host: Host) -> None:
    settings = host.load()
    found = settings.setting("REDIS_PASSWORD")
    assert found is not None
    assert (found.plain, found.source, isinstance(found.value, Secret)) == (
        "moalog_redis_local",
        "profile default",
        True,
    )
    assert settings.setting("NOBODY_SETS_THIS") is None
    host.write("platform/.env", "# passwords\nREDIS_PASSWORD='p w#\"@%'\nEMPTY=\nREDIS_PORT=7001\nMYSQL_DATABASE=")
    settings = host.load()
    found = settings.setting("REDIS_PASSWORD")
    assert found is not None
    assert (found.plain, found.source) == ('p w#"@%', ".env:2")
    port = settings.setting("REDIS_PORT")
    assert port is not None
    assert (port.value, port.source) == ("7001", ".env:4")
    database = settings.setting("MYSQL_DATABASE")
    assert database is not None
    assert (database.value, database.source) == ("retrospect", "profile default (empty in .env:5)")
    host.environment["REDIS_PASSWORD"] = "from-the-shell"
    found = host.load().setting("REDIS_PASSWORD")
    assert found is not None
    assert (found.plain, found.source) == ("from-the-shell", "your shell")
    host.environment["REDIS_PASSWORD"] = ""
    found = host.load().setting("REDIS_PASSWORD")
    assert found is not None
    assert (found.plain, found.source) == ("moalog_redis_local", "profile default (empty in your shell)")


def test_every_variable_of_the_platforms_example_is_known_with_its_default(host: Host) -> None:
    settings = host.load()
    example = Path(__file__).parents[3] / "shared" / "platform" / ".env.example"
    told = {name: held.plain for name in settings.setting_names() if (held := settings.setting(name)) is not None}
    assert len(told) == 30
    assert (told["REDIS_PORT"], told["OTEL_GRPC_PORT"], told["ACTUATOR_USER"]) == ("6382", "4317", "actuator")
    if example.is_file():  # where it is at hand
        assert told == {name: held.value for name, held in parse_env(example.read_bytes()).values.items()}


def test_ports_come_from_the_env_file_with_its_line(host: Host) -> None:
    host.write("platform/.env", "\nREDIS_PORT=7001")
    settings = host.load()
    assert settings.endpoint(settings.services[0], None, remote=False) == Endpoint("127.0.0.1", 7001, ".env:2")


def test_a_secret_added_later_is_resolved_and_masked(host: Host) -> None:
    path = host.write("platform/.env", "REDIS_PASSWORD=first-password")
    settings = host.load()
    settings = replace(settings, watch=EnvWatch(path, host.environment, interval_s=0.0))
    redactor = settings.redactor()
    assert redactor.clean("is first-password") == f"is {MASK}"
    assert redactor.clean("is later-secret") == "is later-secret"
    path.write_text("REDIS_PASSWORD=first-password\nNEW_API_KEY=later-secret", "utf-8")
    assert redactor.clean("is later-secret and first-password") == f"is {MASK} and {MASK}"
    found = settings.setting("NEW_API_KEY")
    assert found is not None
    assert isinstance(found.value, Secret)
    assert settings.redactor() is redactor


def test_values_that_are_hidden_by_the_shell_are_masked_too(host: Host) -> None:
    host.write("platform/.env", "REDIS_PASSWORD=hidden-by-shell")
    host.environment["REDIS_PASSWORD"] = "wins-in-the-shell"
    assert host.load().redactor().clean("hidden-by-shell wins-in-the-shell") == f"{MASK} {MASK}"


def test_secrets_too_weak_to_be_masked_are_named_and_words_of_the_profile_stay_readable(host: Host) -> None:
    host.write("platform/.env", "FLUXPAY_DB_PASSWORD=fluxpay\nSOME_SECRET=prometheus\nOTHER_TOKEN=short")
    host.environment["UNRELATED_TOKEN"] = "short"
    settings = host.load()
    assert {"FLUXPAY_DB_PASSWORD", "SOME_SECRET", "OTHER_TOKEN"} <= set(settings.weak_secrets())
    assert "UNRELATED_TOKEN" not in settings.weak_secrets()
    assert settings.redactor().clean("fluxpay and prometheus") == "fluxpay and prometheus"


def test_no_repr_of_the_settings_shows_a_secret(host: Host) -> None:
    host.write("platform/.env", "REDIS_PASSWORD=in-the-file-1")
    host.environment["MYSQL_ROOT_PASSWORD"] = "in-the-shell-2"
    settings = host.load()
    settings.setting("REDIS_PASSWORD")
    shown = repr(settings) + repr(settings.env_file()) + repr(settings.setting("MYSQL_ROOT_PASSWORD"))
    assert "in-the-file-1" not in shown
    assert "in-the-shell-2" not in shown


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("REDIS_PASSWORD", True),
        ("SLACK_WEBHOOK_URL", True),
        ("db_pass", True),
        ("OPENAI_API_KEY", True),
        ("REFRESH_TOKEN_EXPIRATION", False),
        ("GOOGLE_CLIENT_ID", False),
        ("COMPASS", False),
    ],
)
def test_a_name_tells_whether_its_value_is_a_secret(name: str, secret: bool) -> None:
    assert looks_secret(name) is secret


def test_read_only_beats_all(host: Host) -> None:
    assert not host.load().read_only
    assert host.load(read_only=True).read_only
    host.environment["MOALOG_READ_ONLY"] = "0"
    assert not host.load().read_only
    host.config("read_only = true")
    assert host.load().read_only
    host.config("read_only = false")
    host.environment["MOALOG_READ_ONLY"] = "1"
    assert own(host.load(), "read only") == ("yes", "MOALOG_READ_ONLY")


def test_destructive_is_off_until_allowed(host: Host) -> None:
    assert host.load().allow is Tier.PLATFORM_WIDE
    host.config('allow = "destructive"')
    assert host.load().allow is Tier.DESTRUCTIVE
    assert host.load(allow="safe").allow is Tier.SAFE
    assert '"destructive"' in host.mistake(allow="destructiv")


def test_the_config_file_is_read_whole(host: Host) -> None:
    host.config("""
[keys]
"service.restart" = "ctrl+r"
[logs]
keep_lines = 500
keep_mib = 2
[probe]
deadline = 1.5
interval = 10
[ui]
ascii = true
theme = "nord"
time = "local"
[[mute]]
service = "redis"
reason = "upgrade"
until = 2030-01-02T03:04:05Z
[[mute]]
service = "nobody"
until = "2030-01-02T03:04:05+02:00"
""")
    settings = host.load()
    assert settings.keys == {"service.restart": "ctrl+r"}
    assert (settings.config.keep_lines, settings.config.keep_mib) == (500, 2)
    assert (settings.deadline_s, settings.interval_s, settings.ascii) == (1.5, 10, True)
    assert (settings.config.theme, settings.config.time) == ("nord", "local")
    assert settings.mutes[0].until == datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert settings.mutes[1].until == datetime(2030, 1, 2, 1, 4, 5, tzinfo=UTC)
    assert any("nobody" in note for note in settings.notes)
    assert own(settings, "probe deadline") == ("1.5 s", "config.toml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("platfrom = 1", ["line 1", "platfrom", '"platform"']),
        ("[logs]\nkeep_line = 5", ["line 2", "keep_line", '"keep_lines"']),
        ("[probe]\ndeadline = 0", ["line 2", "deadline", "0.1 to 60"]),
        ("[probe]\ninterval = 'fast'", ["line 2", "interval", "a number"]),
        ("read_only = 1", ["line 1", "read_only", "true or false"]),
        ('allow = "everything"', ["line 1", "allow", "destructive"]),
        ("[ui]\ntime = 'zulu'", ["line 2", "utc"]),
        ("[[mute]]\nreason = 'x'", ["line 1", "service"]),
        ("[[mute]]\nservice = 'x'\nuntil = 'tomorrow'", ["line 3", "until", "RFC 3339"]),
        ("[[mute]]\nservice = 'x'\nuntil = 5", ["line 3", "until"]),
        ("logs = 5", ["line 1", "logs", "a table"]),
        ("\x1b = 1", ["not valid TOML"]),
        ("[keys]\na = 1", ["keys", "a text"]),
    ],
)
def test_a_mistake_in_the_config_file_names_its_place(host: Host, text: str, words: list[str]) -> None:
    path = host.config(text)
    sentence = host.mistake()
    assert str(path) in sentence
    assert sentence.isprintable()
    for word in words:
        assert word in sentence, sentence


def test_another_profile_is_the_flags_then_the_configs(host: Host) -> None:
    shop = 'name = "shop"\ntitle = "Shop"\n[[service]]\nname = "redis"\nkind = "datastore"'
    host.write("platform/shop.toml", shop)
    host.write("home/.config/moalog-tui/mine.toml", shop.replace("Shop", "Mine"))
    assert host.load(profile="shop.toml").profile.title == "Shop"
    host.config('profile = "mine.toml"')
    assert host.load().profile.title == "Mine"
    assert host.load(profile="shop.toml").profile.title == "Shop"
    assert "cannot be read" in host.mistake(profile="absent.toml")
    host.write("platform/shop.toml", shop.replace("datastore", "datastor"))
    assert 'did you mean "datastore"' in host.mistake(profile="shop.toml")


def test_the_runbook_is_named_or_the_platforms_or_built_in(host: Host) -> None:
    assert host.load().runbook is None
    lower = host.write("platform/runbook.md", "# x")
    assert host.load().runbook == lower
    docs = host.write("platform/docs/runbook.md", "# x")
    assert host.load().runbook == docs
    named = host.write("platform/other.md", "# x")
    assert host.load(runbook="other.md").runbook == named
    assert "no such file" in host.mistake(runbook="absent.md")


def test_a_runbook_that_everybody_may_write_is_refused(host: Host) -> None:
    docs = host.write("platform/docs/runbook.md", "# x")
    docs.chmod(0o666)
    settings = host.load()
    assert settings.runbook is None
    assert any("everybody" in note and "built-in" in note for note in settings.notes)
    assert "everybody" in host.mistake(runbook=str(docs))


def test_files_that_are_too_large_or_do_not_parse_are_sentences(host: Host) -> None:
    host.write("platform/.env", "#" * (1024 * 1024 + 1))
    assert "larger than 1024 KiB" in host.mistake()
    host.write("platform/.env", "A=1")
    host.write("platform/moalog-server/docker-compose.yaml", "services:\n  a: [")
    sentence = host.mistake()
    assert "docker-compose.yaml, line 2" in sentence
    assert "--platform" in sentence


def test_bad_lines_of_the_env_file_stop_nothing(host: Host) -> None:
    host.write("platform/.env", "A=${\nREDIS_PASSWORD=still-read-well")
    settings = host.load()
    found = settings.setting("REDIS_PASSWORD")
    assert found is not None
    assert found.source == ".env:2"
    assert settings.env_file().problems[0].line == 1


def test_the_log_level_is_one_of_four(host: Host) -> None:
    assert host.load().log_level == "WARNING"
    assert host.load(log_level="debug").log_level == "DEBUG"
    assert '"WARNING"' in host.mistake(log_level="warnin")


def test_a_sentence_about_outside_text_holds_no_control_byte(host: Host) -> None:
    assert host.mistake(platform="no\x1b[2J\u202ewhere").isprintable()
