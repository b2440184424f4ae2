"""`python -m tests.lab`: bring the lab up, look at it, break it, take it down."""

from __future__ import annotations

import argparse
import inspect
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.lab import faults
from tests.lab.folder import LabError, check_host, packages, search_path
from tests.lab.harness import Lab


def live_restore(command: argparse.ArgumentParser) -> None:
    """Add the switch."""
    text = "whether containers survive the engine's death; without it, as it was"
    command.add_argument("--live-restore", action=argparse.BooleanOptionalAction, default=None, help=text)


def parser() -> argparse.ArgumentParser:
    """The commands."""
    top = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="bring everything up, or what is missing of it")
    live_restore(up)
    commands.add_parser("down", help="take everything down and leave nothing")
    commands.add_parser("status", help="what is ill; exit 1 where something is")
    commands.add_parser("env", help="lines for eval: DOCKER_HOST and MOALOG_HOME")
    commands.add_parser("packages", help="the Debian packages that the lab needs, in one line")
    engine = commands.add_parser("engine", help="the engine alone")
    engine.add_argument("action", choices=("kill", "stop", "start"))
    live_restore(engine)
    for name in ("docker", "compose", "run"):
        help_text = "run a program pointed at the lab: run moalog-tui check" if name == "run" else f"{name} on the lab"
        client = commands.add_parser(name, help=help_text, add_help=False, prefix_chars="\0")
        client.add_argument("arguments", nargs="*")
    for name, table in (("break", faults.FAULTS), ("mend", faults.MENDS)):
        fault = commands.add_parser(name, help=f"one of: {', '.join(table)}")
        fault.add_argument("name", choices=sorted(table))
        fault.add_argument("arguments", nargs="*", help="SERVICE and figures, each with a default")
    return top


def status(lab: Lab) -> int:
    """Print what is ill."""
    if lab.engine.pid() is None:
        print("The lab's engine does not run; bring the lab up with: python -m tests.lab up")
        return 1
    ill = lab.ill()
    for service in lab.services():
        print(f"{service:28} {ill.get(service, 'well')}")
    return 1 if ill else 0


def environment(lab: Lab) -> int:
    """Print the lines for eval."""
    print(f"export DOCKER_HOST={lab.docker_host}")
    print(f"export MOALOG_HOME={lab.platform_dir}")
    print(f"# moalog-tui --platform {lab.platform_dir}")
    return 0


def engine(lab: Lab, action: str, survive: bool | None) -> int:
    """Kill, stop or start the engine alone."""
    check_host()
    if action == "start":
        lab.engine.start(survive)
    elif action == "stop":
        lab.engine.stop()
    else:
        lab.engine.kill()
    return 0


def up(lab: Lab, survive: bool | None) -> int:
    """Bring the lab up, and say how to point at it."""
    started = time.monotonic()
    lab.up(survive, lambda step: print(f"{time.monotonic() - started:5.1f} s  {step}", flush=True))
    print(f"{time.monotonic() - started:5.1f} s  up: {len(lab.services())} services")
    return environment(lab)


def run_program(lab: Lab, argv: Sequence[str]) -> None:
    """Become a program whose environment points at the lab; LabError where there is none of that name."""
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    program = shutil.which(argv[0], path=path) if argv else None
    if program is None:
        raise LabError(f"There is no program {' '.join(argv[:1]) or '(none was named)'} to run.")
    os.execve(program, list(argv), lab.environment(PATH=path))


def call(fault: Callable[..., str], lab: Lab, arguments: Sequence[str]) -> str:
    """Do a fault; LabError where it takes fewer arguments."""
    takes = list(inspect.signature(fault).parameters)[1:]
    if len(arguments) > len(takes):
        raise LabError(f"This takes no more than: {' '.join(takes) or 'no argument'}.")
    return fault(lab, *arguments)


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked; return the exit code."""
    if arguments.command == "packages":
        print(" ".join(packages()))
        return 0
    lab = Lab()
    match arguments.command:
        case "up":
            return up(lab, arguments.live_restore)
        case "down":
            lab.down()
        case "status":
            return status(lab)
        case "env":
            return environment(lab)
        case "engine":
            return engine(lab, arguments.action, arguments.live_restore)
        case "docker":
            os.environ.update(DOCKER_HOST=lab.docker_host, PATH=search_path())
            os.execv("/usr/bin/docker", ["docker", *arguments.arguments])
        case "run":
            run_program(lab, arguments.arguments)
        case "compose":
            print(lab.compose(*arguments.arguments), end="")
        case "break":
            print(call(faults.FAULTS[arguments.name], lab, arguments.arguments))
        case "mend":
            print(call(faults.MENDS[arguments.name], lab, arguments.arguments))
    return 0


def main() -> None:
    """Exit 0, or 1 with one sentence."""
    try:
        sys.exit(run(parser().parse_args()))
    except LabError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        # The reader of our output is gone; what was asked is done all the same.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


if __name__ == "__main__":
    main()
