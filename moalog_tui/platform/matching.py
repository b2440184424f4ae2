"""Which containers are the platform's, and which service each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from moalog_tui.platform.containers import ProjectHint


@dataclass(frozen=True, slots=True)
class Listed:
    """What the engine's list tells of one container: enough to choose which to inspect."""

    id: str
    name: str
    state: str
    created: int
    project: str | None
    service: str | None
    working_dir: str | None
    one_off: bool


def choose_project(hint: ProjectHint, listed: Sequence[Listed]) -> str:
    """Return the compose project: the explicit one, the one whose containers carry this folder, the profile's."""
    if hint.explicit:
        return hint.explicit
    if hint.working_dir:
        found = sorted({one.project for one in listed if one.project and one.working_dir == hint.working_dir})
        if hint.default in found:
            return hint.default
        if found:
            return found[0]
    return hint.default


def select(hint: ProjectHint, listed: Sequence[Listed]) -> tuple[str, bool, tuple[tuple[str, Listed], ...]]:
    """Return the project, whether labels told it, and one container for each service.

    Labels decide; a service that has none in the project falls back to the profile's container name, but never
    to a container that another compose project owns. Of several, a running one wins, then the newest.
    """
    project = choose_project(hint, listed)
    labelled = [one for one in listed if one.project == project and one.service and not one.one_off]
    best: dict[str, Listed] = {}
    for one in labelled:
        _keep_better(best, one.service or "", one)
    if not labelled or hint.explicit is None:
        by_name = dict(hint.names)
        for one in listed:
            service = by_name.get(one.name)
            if service and service not in best and one.project is None:
                _keep_better(best, service, one)
    return project, bool(labelled), tuple(sorted(best.items()))


def _keep_better(best: dict[str, Listed], service: str, one: Listed) -> None:
    held = best.get(service)
    if held is None or (one.state == "running", one.created) > (held.state == "running", held.created):
        best[service] = one


def parse_time(text: str | None) -> datetime | None:
    """Parse the engine's RFC 3339 time with up to nine fraction digits; its zero time and nonsense are None."""
    if not text or text.startswith("0001-"):
        return None
    head, _, rest = text.partition(".")
    if rest:
        digits = rest.rstrip("Z").split("+")[0].split("-")[0][:6]
        text = f"{head}.{digits.ljust(6, '0')}+00:00" if rest.endswith("Z") else text
    else:
        text = text.replace("Z", "+00:00")
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
