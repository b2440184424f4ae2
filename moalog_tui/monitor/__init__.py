"""The loops that keep one immutable picture of the platform current."""
