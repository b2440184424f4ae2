"""The platforms this program knows by itself, as data."""

from __future__ import annotations

from pathlib import Path

from moalog_tui.platform.profile import parse_profile
from moalog_tui.platform.services import Profile


def load_builtin() -> Profile:
    """Return the Moalog platform's profile."""
    # Not importlib.resources, which loads a tenth of the standard library before the first picture.
    text = Path(__file__).with_name("moalog.toml").read_text("utf-8")
    return parse_profile(text, "built in")
