"""The screen as an SVG that every renderer draws alike."""

from __future__ import annotations

from moalog_tui.ui.app import MoalogApp


def svg_of(app: MoalogApp) -> str:
    """Export the screen, blanks included."""
    svg = app.export_screenshot(title="moalog-tui", simplify=True)
    # Some renderers trim the blanks at either end of a piece, hard ones too, unless told to preserve them.
    return svg.replace("<text ", '<text xml:space="preserve" ')
