"""Mission control for the Moalog platform, in a terminal."""

__version__ = "0.1.0"
