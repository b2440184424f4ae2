"""The program under test, run as an operator runs it: `moalog-tui` with an environment that points at the lab."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.harness import Lab
from tests.lab.terminal import Terminal

PROGRAM = Path(sys.executable).parent / "moalog-tui"


@dataclass(frozen=True)
class Checked:
    """What one `check --json` said."""

    code: int
    document: Mapping[str, Any]
    services: Mapping[str, Mapping[str, Any]]

    def states(self, *, but: str = "healthy") -> dict[str, tuple[str, str | None]]:
        """State and reason of each service whose state is another."""
        return {name: (one["state"], one["reason"]) for name, one in self.services.items() if one["state"] != but}


class Program:
    """Runs commands. Its state and configuration lie in a folder of the test's own."""

    def __init__(self, lab: Lab, folder: Path, **environment: str) -> None:
        self.lab, self.folder = lab, folder
        own = {"MOALOG_STATE_DIR": str(folder / "state"), "XDG_CONFIG_HOME": str(folder / "config")}
        terminal = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
        self.environment = lab.environment(**own, **terminal) | environment
        self.environment.pop("NO_COLOR", None)

    def run(
        self,
        *arguments: str,
        deadline: float = 60,
        environment: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; fails where that takes longer than `deadline` seconds. `before` is what runs it."""
        return subprocess.run(
            [*before, str(PROGRAM), *arguments],
            env=self.environment | dict(environment or {}),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=deadline,
            check=False,
        )

    def check(self, *arguments: str, **environment: str) -> Checked:
        """Run `check --json` and read what it printed; nothing may stand on stderr."""
        done = self.run("check", "--json", *arguments, deadline=90, environment=environment)
        assert done.stderr == ""
        document = json.loads(done.stdout)
        return Checked(done.returncode, document, {one["name"]: one for one in document["services"]})

    def screen(
        self,
        *arguments: str,
        size: tuple[int, int] = (160, 48),
        environment: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
    ) -> Terminal:
        """Open the screen on a terminal of (columns, rows); `before` is what runs it."""
        return Terminal([*before, str(PROGRAM), *arguments], self.environment | dict(environment or {}), size)
