"""The app's way to the terminal: differences only, never more than it takes, and all of it given back."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from rich.color import ColorSystem
from textual._compositor import CompositorUpdate
from textual.app import App
from textual.screen import Screen

from moalog_tui.ui.terminal import Frame, WireDriver

SLOW_AFTER_S: Final = 1.0
SLOW_SHOWN_S: Final = 10.0
DRAIN_S: Final = 0.05
LEAVE_WITHIN_S: Final = 0.4
"""After this long the terminal is given back, whatever still hangs."""
INTERNAL: Final = 70


class WiredApp(App[int]):
    """Draws through a Frame, and leaves in time."""

    def __init__(self) -> None:
        super().__init__(driver_class=WireDriver if sys.platform != "win32" else None)
        self.animation_level = "none"
        self.frame = Frame()
        self.frame.no_color = self.no_color
        self.monotonic: Callable[[], float] = time.monotonic
        self.code = 0
        """The exit code: 0, or 128 and the signal's number."""
        self.failure: Exception | None = None
        """The unhandled error that ended the app."""
        self.gone = False
        """True once the terminal was given back."""
        self._stuck_since: float | None = None
        self._slow_until = float("-inf")

    @property
    def slow_link(self) -> bool:
        """True while, or shortly after, the terminal took longer than a second for one frame."""
        return self.monotonic() < self._slow_until

    def last_words(self) -> str:
        """What shall stand in the shell after leaving; clean."""
        return ""

    def leave_on_signals(self) -> None:
        if self.is_headless:
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._leave, 128 + number)

    def _leave(self, code: int) -> None:
        self.code = code
        self.exit(code)

    def exit(self, *args: Any, **options: Any) -> None:
        """Leave; the terminal is given back in time even where something hangs."""
        if not self.is_headless:
            self._see_to_leaving()
        super().exit(*args, **options)

    def _handle_exception(self, error: Exception) -> None:
        # No traceback on the screen: the caller gets the error once the terminal is as it was.
        self.failure = self.failure or error
        if self.is_headless:
            super()._handle_exception(error)
            return
        self._return_code = INTERNAL
        self._close_messages_no_wait()

    def _see_to_leaving(self) -> None:
        """Give the terminal back and end the process where leaving in good order takes too long."""

        def leave() -> None:
            driver = self._driver
            if self.gone or not isinstance(driver, WireDriver):
                return
            driver.abandon(self.last_words())
            os._exit(self.code)

        timer = threading.Timer(LEAVE_WITHIN_S, leave)
        timer.daemon = True
        timer.start()

    # Drawing ---------------------------------------------------------------------------------------------------

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        driver = self._driver
        if not isinstance(driver, WireDriver) or not isinstance(renderable, CompositorUpdate):
            super()._display(screen, renderable)
            return
        if not self._batch_count and self._running and not self._closed:
            self.frame.color_system = self.console._color_system or ColorSystem.TRUECOLOR
            self.frame.take(renderable)
            self._send(driver)
        self.post_display_hook()

    def _send(self, driver: WireDriver) -> None:
        if driver.backlog:
            # The terminal has not taken the last frame: this one waits, and is overtaken by newer ones.
            if self._stuck_since is None:
                self._stuck_since = self.monotonic()
                self.set_timer(DRAIN_S, self._drained)
            return
        if driver.fresh:
            driver.fresh = False
            self.frame.forget()
        text = self.frame.difference()
        if text:
            sync = self._sync_available and len(text) > 400
            driver.write(f"\x1b[?2026h{text}\x1b[?2026l" if sync else text)

    def _drained(self) -> None:
        driver = self._driver
        if not isinstance(driver, WireDriver) or self._stuck_since is None:
            return
        if driver.backlog:
            if self.monotonic() - self._stuck_since > SLOW_AFTER_S:
                self._slow_until = self.monotonic() + SLOW_SHOWN_S
            self.set_timer(DRAIN_S, self._drained)
            return
        self._stuck_since = None
        self._send(driver)

    def _set_pointer_shape(self, shape: str) -> None:
        """Leave the pointer as the terminal has it: the sequence costs bytes and few terminals know it."""

    def redraw(self) -> None:
        self.frame.forget()
        self.screen.refresh(layout=True)
