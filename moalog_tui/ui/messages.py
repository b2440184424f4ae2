"""What workers and panels tell the screen."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from moalog_tui.operations.operation import OperationEvent
from moalog_tui.platform.snapshot import Snapshot
from moalog_tui.runbook.plan import Verb


@dataclass
class SnapshotArrived(Message):
    """The monitor has a new picture; of several that wait, the newest wins."""

    snapshot: Snapshot

    def can_replace(self, message: Message) -> bool:
        """True: an older picture that nobody has looked at is of no use."""
        return isinstance(message, SnapshotArrived)


@dataclass
class FeedEnded(Message):
    """The monitor stopped by itself; `sentence` says why."""

    sentence: str


@dataclass
class OperationReported(Message):
    """A running operation reports."""

    event: OperationEvent


@dataclass
class OperationLost(Message):
    """The worker of an operation ended without a verdict."""

    service: str
    sentence: str


@dataclass
class SelectionMoved(Message):
    """The cursor of the service table stands on another service; None: on none."""

    service: str | None


@dataclass
class CommandEntered(Message):
    """The command line was left with `enter`; `prefix` is `:`, `/` or `&`."""

    prefix: str
    text: str


@dataclass
class CommandLeft(Message):
    """The command line was left without a command."""


@dataclass
class Said(Message):
    """The operator shall read this, for a few seconds."""

    text: str


@dataclass
class ActRequested(Message):
    """The operator wants something done to a service; a preview comes first."""

    verb: Verb
    service: str


@dataclass
class CopyRequested(Message):
    """The operator wants this cleaned text on the clipboard; `what` names it."""

    what: str
    text: str


class PauseRequested(Message):
    """Hold the whole screen still, or let it go on."""


class RedrawRequested(Message):
    """Draw everything anew, the terminal's content included."""


class MouseToggled(Message):
    """Give the mouse to the terminal, or take it back."""


@dataclass
class QuitRequested(Message):
    """The operator wants to leave; `ask` first, or at once."""

    ask: bool
