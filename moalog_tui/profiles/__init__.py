"""The platforms this program knows by itself, as data."""

from __future__ import annotations

from importlib.resources import files

from moalog_tui.platform.profile import parse_profile
from moalog_tui.platform.services import Profile


def load_builtin() -> Profile:
    """Return the Moalog platform's profile."""
    text = (files(__name__) / "moalog.toml").read_text("utf-8")
    return parse_profile(text, "built in")
