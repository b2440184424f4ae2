"""`check` and `doctor`: settings in, lines or JSON out."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Sequence

from moalog_tui.cli.arguments import USAGE
from moalog_tui.cli.check import check, chosen, document, exit_code, write_json, write_lines
from moalog_tui.cli.leaving import run
from moalog_tui.cli.output import drop_output, paint_for
from moalog_tui.config import Settings
from moalog_tui.platform.snapshot import Snapshot
from moalog_tui.wiring import wire


def known_services(names: Sequence[str], settings: Settings) -> str | None:
    """Return None where every name is a service, else a sentence with the nearest name."""
    known = [service.name for service in settings.services]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else f" The services are: {', '.join(known)}."
            return settings.redactor().clean(f"There is no service {name!r}.{hint}")
    return None


def run_check(options: argparse.Namespace, settings: Settings) -> int:
    """Run `check` and return its exit code."""
    unknown = known_services(options.services, settings)
    if unknown:
        sys.stderr.write(unknown + "\n")
        return USAGE
    return run(_check(options, settings))


async def _check(options: argparse.Namespace, settings: Settings) -> int:
    wired = wire(settings, deadline=options.timeout)
    try:
        snapshot = await check(wired.monitor.one_round, options.wait, options.services, options.fail_on)
    finally:
        await wired.close()
    code = exit_code(chosen(snapshot, options.services), options.fail_on)
    try:
        _tell(snapshot, options, settings)
        sys.stdout.flush()
    except BrokenPipeError:  # `check | head -1`: who reads no further may still want the exit code
        drop_output()
    return code


def _tell(snapshot: Snapshot, options: argparse.Namespace, settings: Settings) -> None:
    redactor = settings.redactor()
    if options.json:
        folder = str(settings.platform) if settings.platform else None
        write_json(document(snapshot, options.services, redactor, folder), sys.stdout)
    else:
        paint = paint_for(sys.stdout, os.environ, settings.ascii)
        write_lines(snapshot, options.services, redactor, sys.stdout, paint)


def run_doctor_command(options: argparse.Namespace, settings: Settings) -> int:
    """Run `doctor` and return its exit code."""
    from moalog_tui.cli.doctor import run_doctor

    async def examine() -> int:
        wired = wire(settings)
        try:
            return await run_doctor(settings, wired.engine.status, wired.probe_all, options.json, sys.stdout)
        finally:
            await wired.close()

    return run(examine())
