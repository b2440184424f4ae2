"""`moalog-tui start|stop|restart SERVICE`: preview, confirmation, live progress, verdict."""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import signal
import sys
import termios
from datetime import UTC, datetime
from typing import Any, Final

from moalog_tui.cli.arguments import USAGE
from moalog_tui.cli.commands import known_services
from moalog_tui.cli.output import drop_output, timestamp
from moalog_tui.config import Settings
from moalog_tui.operations.operation import EXIT_CODES, EventKind, OperationEvent, VerdictKind
from moalog_tui.platform.text import Redactor
from moalog_tui.runbook.plan import Plan, Tier, Verb
from moalog_tui.wiring import Wired, end, wire

REFUSED: Final = EXIT_CODES[VerdictKind.REFUSED]


def run_act(options: argparse.Namespace, settings: Settings) -> int:
    """Run the command and return its exit code."""
    unknown = known_services([options.service], settings)
    if unknown:
        sys.stderr.write(unknown + "\n")
        return USAGE
    return asyncio.run(_act(options, settings))


async def _act(options: argparse.Namespace, settings: Settings) -> int:
    wired = wire(settings)
    try:
        snapshot = await wired.monitor.one_round()
        plan = wired.plan(Verb(options.command), options.service, snapshot)
        if isinstance(plan, str):
            return _refuse(plan, options.json, settings.redactor())
        shown = _preview(plan, options.json, settings.redactor())
        if options.dry_run:
            return 0
        if not options.yes and not (shown and await _confirmed(plan)):
            return _refuse(
                f"Not confirmed: {plan.verb.value} of {plan.service.name} changes the platform. "
                "Answer y on a terminal, or add --yes.",
                options.json,
                settings.redactor(),
            )
        return await _run(plan, wired, options.json, settings.redactor())
    finally:
        await wired.close()


async def _run(plan: Plan, wired: Wired, as_json: bool, redactor: Redactor) -> int:
    """Run the plan beside the monitor; ctrl+c cancels the operation and still prints its verdict."""
    code = EXIT_CODES[VerdictKind.CANNOT_TELL]
    watching = asyncio.create_task(wired.monitor.run(), name="monitor")

    async def follow() -> None:
        nonlocal code
        async for event in wired.operations.start(plan):
            if event.kind is EventKind.PREVIEW:
                continue
            _report(event, as_json, redactor)
            if event.verdict is not None:
                code = EXIT_CODES[event.verdict]

    running = asyncio.create_task(follow(), name="operation")
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        code = EXIT_CODES[VerdictKind.CANCELLED]
    finally:
        await end(watching)
    return code


async def _confirmed(plan: Plan) -> bool:
    """Ask on the terminal; without one nothing is confirmed."""
    if not sys.stdin.isatty():
        return False
    default_yes = plan.tier is Tier.SAFE
    # What was typed or pasted before the question is no answer to it.
    termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
    sys.stderr.write(f"{plan.verb.value} {plan.service.name}? [{'Y/n' if default_yes else 'y/N'}] ")
    sys.stderr.flush()
    typed = await _typed()
    answer = typed.strip().lower()
    return answer in ("y", "yes") or (default_yes and answer == "" and typed != "")  # "": ctrl+d, no answer at all


async def _typed() -> str:
    """Return the line that was typed; ctrl+c ends the wait for it."""
    loop, there = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())
    return sys.stdin.readline()


def _refuse(sentence: str, as_json: bool, redactor: Redactor) -> int:
    sys.stderr.write(redactor.clean(sentence) + "\n")
    if as_json:
        _line({"event": "verdict", "operation": None, "step": None, "verdict": VerdictKind.REFUSED.value,
               "reason": redactor.clean(sentence), "exit": REFUSED})  # fmt: skip
    return REFUSED


def _preview(plan: Plan, as_json: bool, redactor: Redactor) -> bool:
    """Print the preview; False where it could not be written, and so nobody saw it."""
    typed = shlex.join(plan.as_typed)
    if as_json:
        return _line({
            "event": "preview", "operation": None, "step": None, "target": plan.service.name, "verb": plan.verb.value,
            "tier": plan.tier.value, "will": redactor.clean(plan.will), "as_typed": redactor.clean(typed),
            "container_id": plan.container_id, "facts": [redactor.clean(fact) for fact in plan.facts],
            "consequences": [redactor.clean(one) for one in plan.consequences],
        })  # fmt: skip
    lines = [plan.will, f"as you would type it: {typed}", *plan.facts, *plan.consequences]
    return _write("".join(redactor.clean(line) + "\n" for line in lines))


def _report(event: OperationEvent, as_json: bool, redactor: Redactor) -> None:
    text = redactor.clean(event.text)
    if as_json:
        value: dict[str, Any] = {"event": event.kind.value, "operation": event.operation, "step": event.step,
                                 "elapsed_s": round(event.elapsed_s, 1), "text": text}  # fmt: skip
        if event.expected_s:
            value["expected_s"] = list(event.expected_s)
        if event.verdict is not None:
            value |= {"verdict": event.verdict.value, "reason": text, "exit": event.exit_code}
        _line(value)
        return
    head = event.verdict.value if event.verdict else event.kind.value
    _write(f"{event.elapsed_s:6.1f} s  {head}: {text}\n")


def _line(value: dict[str, Any]) -> bool:
    document = {"schema": 1, "at": timestamp(datetime.now(UTC)), **value}
    return _write(json.dumps(document, ensure_ascii=False) + "\n")


def _write(text: str) -> bool:
    """Print; False where it cannot be written. A reader who went away, or a full disk, ends no operation: what the
    engine was asked for is verified all the same, and the exit code still tells what came of it."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError:
        drop_output()
        return False
    return True
