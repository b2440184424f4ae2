"""A runbook as values: scenarios and their sections, each with its place in the file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a scenario. `lines` are (kind, text) pairs; kind is `text`, `bullet`, `comment` or `command`."""

    title: str
    kind: str
    """`impact`, `symptoms`, `diagnose`, `recover`, `verify`, `escalation`, `prevention`, `safety` or `other`."""
    line: int
    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A failure scenario: `id` as numbered in the file ("2"), `slug` from its title ("redis-down")."""

    id: str
    slug: str
    title: str
    line: int
    sections: tuple[Section, ...]

    def section(self, kind: str) -> Section | None:
        """Return the first section of that kind, or None."""
        return next((section for section in self.sections if section.kind == kind), None)


@dataclass(frozen=True, slots=True)
class Runbook:
    """A whole runbook; `source` is the file it was read from, or "built in"."""

    source: str
    sha256: str
    scenarios: tuple[Scenario, ...]

    def scenario(self, key: str) -> Scenario | None:
        """Return the scenario with that id or slug, or None."""
        return next((one for one in self.scenarios if key in (one.id, one.slug)), None)
