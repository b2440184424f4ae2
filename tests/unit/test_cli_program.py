"""Exit codes, streams and signals of the program as a process."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from moalog_tui import __version__
from moalog_tui.cli.leaving import run
from tests.unit.cli_program import COMMAND, PASSWORD, Host, make_host, read_until


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return make_host(tmp_path)


def test_version_and_help_need_no_configuration(host: Host) -> None:
    told = host.run("--version", MOALOG_HOME="/nowhere")
    assert (told.returncode, told.stdout, told.stderr) == (0, f"moalog-tui {__version__}\n", "")
    told = host.run("check", "--help", MOALOG_HOME="/nowhere")
    assert (told.returncode, told.stderr) == (0, "")
    assert "--wait" in told.stdout


def test_version_and_help_load_nothing_but_the_grammar() -> None:
    code = (
        "import sys\nfrom moalog_tui.cli.main import main\nmain(['--version'])\n"
        "print([name for name in ('yaml', 'asyncio', 'logging', 'tomllib', 'dataclasses') if name in sys.modules])"
    )
    ran = subprocess.run([COMMAND[0], "-c", code], capture_output=True, text=True, check=True, timeout=20)
    assert ran.stdout.splitlines()[-1] == "[]"


def test_a_wrong_configuration_is_one_sentence_on_stderr(host: Host) -> None:
    for arguments, environment, words in (
        (("check",), {"MOALOG_HOME": "/nowhere"}, "MOALOG_HOME names /nowhere, which is no folder. Name"),
        (("check", "--profile", "absent.toml"), {}, "absent.toml"),
        (("--runbook", "absent.md", "doctor"), {}, "absent.md"),
        (("check", "--profile", "."), {}, "is no regular file"),
        (("--runbook", ".", "doctor"), {}, "is no regular file"),
    ):
        told = host.run(*arguments, **environment)
        assert (told.returncode, told.stdout) == (2, "")
        assert words in told.stderr
        assert told.stderr.count("\n") == 1


def test_an_unknown_service_is_told_with_the_nearest(host: Host) -> None:
    for command in ("check", "logs", "restart"):
        told = host.run(command, "redsi")
        assert (told.returncode, told.stdout) == (2, "")
        assert told.stderr == "There is no service 'redsi'. Did you mean redis?\n"


def test_the_screen_without_a_terminal_is_a_sentence(host: Host) -> None:
    told = host.run()
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith("The screen needs a terminal.")


def test_check_without_an_engine_cannot_tell_and_still_asks_the_ports(host: Host) -> None:
    told = host.run("check", "--timeout", "0.5")
    assert told.returncode == 3
    assert "refused at 127.0.0.1" in told.stdout
    assert f"no Docker Engine at {host.folder}/none.sock" in told.stdout
    assert "\x1b" not in told.stdout
    assert told.stderr == ""
    told = host.run("check", "redis", "--json", "--timeout", "0.5")
    found = json.loads(told.stdout)
    assert (told.returncode, [one["name"] for one in found["services"]]) == (3, ["redis"])
    assert (found["services"][0]["state"], found["services"][0]["reason"]) == ("unknown", "monitor")
    assert found["services"][0]["container_state"] == "not-created"
    assert PASSWORD not in told.stdout


def test_an_encoding_without_the_glyphs_gets_ascii(host: Host) -> None:
    told = host.run("check", "--timeout", "0.5", LANG="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert told.returncode == 3
    assert told.stdout.isascii()
    assert told.stdout.splitlines()[0].startswith("? ")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_ends_a_waiting_check_quietly(host: Host, number: signal.Signals, code: int) -> None:
    with host.running("check", "--wait", "60", "--timeout", "0.5") as process:
        # Its log is opened just before the first round; that is over well before 0.7 s, and it waits.
        deadline = time.monotonic() + 5
        while not (host.state / "moalog-tui.log").exists():
            assert time.monotonic() < deadline
            select.select([], [], [], 0.02)
        select.select([], [], [], 0.7)
        began = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=5)
    assert (process.returncode, out, err) == (code, "", "")
    assert time.monotonic() - began < 2


def test_an_unhandled_error_is_a_sentence_with_the_log(host: Host, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    # A defect of ours, put in from outside.
    (broken / "sitecustomize.py").write_text(
        "import moalog_tui.cli.check as check\n"
        f"def fail(*_): raise RuntimeError('password={PASSWORD} broke')\n"
        "import moalog_tui.cli.commands as commands\ncommands.exit_code = fail\n"
    )
    told = host.run("check", "--timeout", "0.5", PYTHONPATH=str(broken))
    log = host.state / "moalog-tui.log"
    assert told.returncode == 70
    assert told.stderr.startswith(f"moalog-tui failed (RuntimeError); the details are in {log}.")
    assert "Traceback" not in told.stderr
    text = log.read_text("utf-8")
    assert "Traceback" in text
    assert PASSWORD not in text


def test_a_reader_that_leaves_ends_it_quietly(host: Host) -> None:
    with host.running("check", "--timeout", "0.5") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(timeout=10) == 3  # the picture is the same, whoever looks
        assert process.stderr is not None
        assert process.stderr.read() == ""
        process.stdout = None


def _on_a_terminal(host: Host, *arguments: str, **environment: str) -> tuple[int, str]:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(host.folder)
        os.execve(COMMAND[0], [*COMMAND, *arguments], host.environment | {"TERM": "xterm-256color"} | environment)
    found, end = b"", time.monotonic() + 15
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        if not data:
            break
        found += data
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), found.decode("utf-8", "replace")


def test_colour_is_for_terminals_that_want_it(host: Host) -> None:
    code, text = _on_a_terminal(host, "check", "--timeout", "0.5")
    assert code == 3
    assert "\x1b[35m? redis" in text
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        code, text = _on_a_terminal(host, "check", "--timeout", "0.5", **environment)
        assert (code, "\x1b" in text) == (3, False)


def test_a_signal_ends_even_what_does_not_listen() -> None:
    code = (
        "import re, sys\nfrom moalog_tui.cli.leaving import run\n"
        "async def busy():\n    print('on', flush=True)\n    re.search('(a+)+$', 'a' * 40 + 'b')\n    return 0\n"
        "try:\n    sys.exit(run(busy()))\nexcept SystemExit as left:\n    print('left', left.code, flush=True); raise\n"
    )
    with subprocess.Popen([COMMAND[0], "-c", code], stdout=subprocess.PIPE, encoding="utf-8") as process:
        read_until(process, "on")
        process.send_signal(signal.SIGTERM)  # nothing else follows: a second later it leaves all the same
        out, _ = process.communicate(timeout=8)
    assert (process.returncode, out.strip()) == (143, "left 143")


def test_a_command_that_ends_by_itself_keeps_its_code_and_the_signals() -> None:
    async def command() -> int:
        return 3

    before = signal.getsignal(signal.SIGTERM)
    assert run(command()) == 3
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams_change_no_exit_code(host: Host, closed: str) -> None:
    for arguments, code in (("check --timeout 0.5", 3), ("check nobody", 2), ("restart promtail --yes", 4), ("", 2)):
        line = f"{COMMAND[0]} -m moalog_tui {arguments} {closed}"
        told = subprocess.run(
            ["/bin/sh", "-c", line], env=host.environment, cwd=host.folder, capture_output=True, text=True, timeout=20
        )
        assert told.returncode == code, (line, told)
        assert "Traceback" not in told.stderr


def test_a_full_disk_is_told_in_a_sentence(host: Host) -> None:
    for command in ("check --timeout 0.5", "doctor", "check --json --timeout 0.5"):
        line = f"{COMMAND[0]} -m moalog_tui {command} >/dev/full"
        told = subprocess.run(
            ["/bin/sh", "-c", line], env=host.environment, cwd=host.folder, capture_output=True, text=True, timeout=20
        )
        assert (told.returncode, told.stderr) == (70, "The output cannot be written: no space left on device.\n")


def test_an_error_before_the_log_is_open_is_a_sentence_too(host: Host, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import moalog_tui.config as config\ndef fail(*_): raise RuntimeError('broke')\nconfig.load_settings = fail\n"
    )
    told = host.run("check", PYTHONPATH=str(broken))
    assert (told.returncode, told.stderr) == (70, "moalog-tui failed (RuntimeError). Nothing was changed.\n")


def test_keys_that_cannot_be_leave_the_terminal_as_it_was(host: Host) -> None:
    (host.folder / "config/moalog-tui").mkdir(parents=True)
    (host.folder / "config/moalog-tui/config.toml").write_text('[keys]\n"service.restart" = "c"\n')
    code, text = _on_a_terminal(host)
    assert code == 2
    assert text.rpartition("\x1b[?1049l")[2].startswith('[keys]: c is both "service.check" and "service.restart"')
    assert "\x1b[?25h" in text
