"""The platform's compose file: which services it has and how their containers are named."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from moalog_tui.adapters.host import HostError, read_text
from moalog_tui.platform.endpoints import parse_port
from moalog_tui.platform.interpolation import BadInterpolation, expand

MERGE_LIMIT: Final = 10_000
"""Pairs of one mapping after `<<` merges: merges that double each other would otherwise fill the memory."""

NESTING_LIMIT: Final = 1000

SERVICE_LIMIT: Final = 500


class ComposeError(Exception):
    """The compose file cannot be used: `sentence` names it, the line where known, and why."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class ComposeService:
    """One service as the compose file has it."""

    name: str
    container_name: str | None = None
    ports: tuple[tuple[int, int], ...] = ()
    """(published, container) TCP ports that are plain numbers once their variables are replaced."""
    depends_on: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    """Compose profiles: without one of them being active, the service is not started."""


@dataclass(frozen=True, slots=True)
class ComposeFile:
    """What is read of a compose file. `notes` are sentences on what is not."""

    path: str
    services: tuple[ComposeService, ...]
    name: str | None = None
    """The file's own `name:`, the project."""
    notes: tuple[str, ...] = ()


def read_compose(path: Path, lookup: Callable[[str], str | None]) -> ComposeFile:
    """Read a compose file; `lookup` gives its variables (shell, then `.env`). Raises ComposeError."""
    try:
        text = read_text(path)
    except HostError as error:
        raise ComposeError(error.sentence) from None
    return parse_compose(text, str(path), lookup)


def parse_compose(text: str, source: str, lookup: Callable[[str], str | None]) -> ComposeFile:
    """Parse a compose file's text. Raises ComposeError."""
    try:
        document = _load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source}, line {mark.line + 1}" if mark else source
        raise ComposeError(f"{where}: not valid YAML: {error.problem or 'it cannot be parsed'}.") from None
    except yaml.YAMLError:
        raise ComposeError(f"{source}: not valid YAML: it holds characters that YAML forbids.") from None
    except (RecursionError, ValueError):
        raise ComposeError(f"{source}: not valid YAML: it is nested too deeply or holds an impossible value.") from None
    if not isinstance(document, dict) or not isinstance(document.get("services"), dict):
        raise ComposeError(f"{source} has no services, so it is no compose file.")
    services = document["services"]
    if len(services) > SERVICE_LIMIT:
        raise ComposeError(f"{source} has {len(services)} services; at most {SERVICE_LIMIT} are read.")
    found = tuple(
        _service(name, entry if isinstance(entry, dict) else {}, lookup)
        for name, entry in services.items()
        if isinstance(name, str)
    )
    notes = []
    if document.get("include"):
        notes.append(f"{source} includes other compose files, which are not read.")
    return ComposeFile(source, found, _expanded(document.get("name"), lookup), tuple(notes))


def _load(text: str) -> Any:
    """Load by libyaml where that is there and safe: it takes a sixth of the time, before the first picture."""
    # libyaml's binding ends the process with a segmentation fault on deep nesting. No file nests deeper than its
    # brackets, and its longest line, allow.
    shallow = text.count("[") + text.count("{") < NESTING_LIMIT and max(map(len, text.splitlines()), default=0) < 1000
    if shallow and _QuickLoader is not None:
        with suppress(yaml.YAMLError):  # the other one says what is wrong with it
            return yaml.load(text, _QuickLoader)  # noqa: S506 - a SafeLoader, below
    return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader, below


class _Loader(yaml.SafeLoader):
    """A SafeLoader that reads every scalar as text, knows compose's tags, and bounds merges."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        _bound(node)


def _bound(node: yaml.MappingNode) -> None:
    if len(node.value) > MERGE_LIMIT:
        raise yaml.constructor.ConstructorError(None, None, "merged keys grow without end", node.start_mark)


def _tagged(loader: yaml.SafeLoader | yaml.CSafeLoader, _: str, node: yaml.Node) -> Any:
    """`!reset` and `!override` change how files are combined; what they mark is read as it stands."""
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else None


# `22:22` is a port mapping here, not a number to the base of 60; only merges (`<<`) keep their meaning.
_Loader.yaml_implicit_resolvers = {"<": yaml.SafeLoader.yaml_implicit_resolvers["<"]}
_Loader.add_multi_constructor("!", _tagged)

_QuickLoader: type[yaml.CSafeLoader] | None = None
if yaml.__with_libyaml__:

    class _LibyamlLoader(yaml.CSafeLoader):
        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            super().flatten_mapping(node)
            _bound(node)

    _LibyamlLoader.yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers
    _LibyamlLoader.add_multi_constructor("!", _tagged)
    _QuickLoader = _LibyamlLoader


def _service(name: str, entry: dict[Any, Any], lookup: Callable[[str], str | None]) -> ComposeService:
    return ComposeService(
        name=name,
        container_name=_expanded(entry.get("container_name"), lookup),
        ports=tuple(port for one in _list(entry.get("ports")) if (port := _port(one, lookup))),
        depends_on=tuple(one for one in map(_scalar, _list(entry.get("depends_on"))) if one),
        profiles=tuple(_expanded(one, lookup) or "" for one in _list(entry.get("profiles"))),
    )


def _list(value: object) -> list[Any]:
    """A compose list, or the keys of the mapping that may stand in its place."""
    return list(value) if isinstance(value, list | dict) else []


def _scalar(value: object) -> str:
    """Text (every scalar is read as such), or "": a nest of aliases, written out, would not fit the memory."""
    return value if isinstance(value, str) else ""


def _expanded(value: object, lookup: Callable[[str], str | None]) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    try:
        return expand(value, lookup) or None
    except BadInterpolation:
        return None


def _port(value: object, lookup: Callable[[str], str | None]) -> tuple[int, int] | None:
    if isinstance(value, dict):
        published, target, protocol = (value.get(key) for key in ("published", "target", "protocol"))
        value = f"{_scalar(published)}:{_scalar(target)}/{_scalar(protocol) or 'tcp'}"
    expanded = _expanded(value, lookup) or ""
    mapping, _, protocol = expanded.partition("/")
    published, _, target = mapping.rpartition(":")
    outer, inner = parse_port(published), parse_port(target)
    if outer is None or inner is None or protocol not in ("", "tcp"):
        return None
    return outer[1], inner[1]
