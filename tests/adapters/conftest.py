"""Loads what warns while it loads, once, before warnings are errors."""

import warnings

with warnings.catch_warnings():
    # kafka-python reads its schemas by a function that Python 3.11 calls outdated (and 3.13 does not).
    warnings.simplefilter("ignore", DeprecationWarning)
    import kafka.protocol.parser  # noqa: F401
