"""`moalog-tui logs SERVICE…`: lines merged by time, up to now or followed."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
import time
from collections.abc import Sequence
from typing import Final

from moalog_tui.adapters.docker import DockerEngine
from moalog_tui.cli.arguments import USAGE
from moalog_tui.cli.commands import known_services
from moalog_tui.cli.leaving import run
from moalog_tui.cli.log_follow import Followed, Following
from moalog_tui.cli.log_lines import LogFilter, LogPrinter, Source
from moalog_tui.cli.output import paint_for
from moalog_tui.config import Settings
from moalog_tui.platform.containers import Container, EngineError
from moalog_tui.platform.logs import KEEP_LINES, Level, RawLine, Stream
from moalog_tui.platform.text import Redactor
from moalog_tui.wiring import wire

LOST: Final = 3
"""A log that cannot be read, or not to its end."""
TAIL: Final = 500
"""Lines of each service where neither --since nor --tail asks for others."""
PATTERN_LIMIT: Final = 200
"""Characters of a regular expression."""


def run_logs(options: argparse.Namespace, settings: Settings) -> int:
    """Run `logs` and return its exit code."""
    unknown = known_services(options.services, settings)
    if unknown:
        sys.stderr.write(unknown + "\n")
        return USAGE
    pattern = compile_pattern(options.grep)
    if isinstance(pattern, str):
        sys.stderr.write(settings.redactor().clean(pattern) + "\n")
        return USAGE
    wanted = LogFilter(pattern, Level(options.level) if options.level else None)
    return run(_Logs(options, settings, wanted).run())


def compile_pattern(text: str | None) -> re.Pattern[str] | str | None:
    """Return the compiled pattern, None where there is none, or a sentence on why it cannot be used."""
    if text is None:
        return None
    if len(text) > PATTERN_LIMIT:
        return f"The regular expression has {len(text)} characters; at most {PATTERN_LIMIT} are taken."
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        return f"{text!r} is no regular expression: {error}."


class _Logs:
    """One run of the command."""

    def __init__(self, options: argparse.Namespace, settings: Settings, wanted: LogFilter) -> None:
        self._options, self._settings = options, settings
        self._services: tuple[str, ...] = tuple(dict.fromkeys(options.services))
        self._redactor: Redactor = settings.redactor()
        names = [self._redactor.clean(name) for name in self._services]
        self._printer = LogPrinter(
            sys.stdout,
            self._redactor,
            paint_for(sys.stdout, os.environ, settings.ascii),
            wanted,
            as_json=options.json,
            width=max(map(len, names)) if len(names) > 1 else 0,
        )
        self._lost = False

    async def run(self) -> int:
        wired = wire(self._settings)
        try:
            return await self._run(wired.engine)
        finally:
            await wired.close()

    async def _run(self, engine: DockerEngine) -> int:
        begun = time.time_ns()
        try:
            containers = dict((await engine.containers(self._settings.hint)).containers)
        except EngineError as error:
            return self._give_up(error.sentence)
        found = await self._read(engine, containers)
        merged = [(source, line) for source, lines in found for line in lines]
        for source, line in sorted(merged, key=lambda one: one[1].ts_ns):
            self._printer.write(source, line)
        self._printer.flush()
        if self._options.follow:
            newest = {source.service: lines[-1].ts_ns for source, lines in found if lines}
            return await self._follow(engine, containers, newest, begun)
        return LOST if self._lost else 0

    async def _read(
        self, engine: DockerEngine, containers: dict[str, Container]
    ) -> Sequence[tuple[Source, Sequence[RawLine]]]:
        """Read every log up to now, all at once; of those that cannot be read, say why."""
        tail = self._options.tail if self._options.tail is not None else KEEP_LINES if self._options.since else TAIL

        async def one(service: str) -> tuple[Source, Sequence[RawLine]]:
            container = containers.get(service)
            if container is None:
                self._lose(f"{service} has no container, so there is no log of it.")
                return Source(service, ""), ()
            source = Source(service, container.name)
            try:
                lines = await engine.read_logs(container, self._options.since, tail)
            except EngineError as error:
                self._lose(f"The log of {service} cannot be read: {error.sentence.rstrip('.')}.")
                return source, ()
            if self._options.tail is not None and lines and lines[0].stream is Stream.MARKER:
                lines = lines[1:]  # as many as asked for: nothing was left out unasked
            return source, lines

        return await asyncio.gather(*(one(service) for service in self._services))

    async def _follow(
        self, engine: DockerEngine, containers: dict[str, Container], newest: dict[str, int], begun: int
    ) -> int:
        since = begun if self._options.tail == 0 else self._options.since
        following = Following(
            engine,
            self._settings.hint,
            [Followed(name, engine, containers.get(name), newest.get(name, since)) for name in self._services],
            self._printer,
        )
        try:
            return self._give_up(await following.run(sys.stdout, self._redactor))
        except asyncio.CancelledError:
            following.finish()
            raise

    def _lose(self, sentence: str) -> None:
        self._lost = True
        sys.stderr.write(self._redactor.clean(sentence) + "\n")

    def _give_up(self, sentence: str) -> int:
        self._lose(sentence[:1].upper() + sentence[1:].rstrip(".") + ".")
        return LOST
