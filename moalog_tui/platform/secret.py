"""A secret value that no repr, log line or traceback can show."""

from __future__ import annotations

from typing import Final, NoReturn

MASK: Final = "••••••"
"""What is drawn in place of a secret."""


class Secret:
    """Holds a credential; only `reveal` gives it away, and only adapters call that."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the plain value, for a client's argument or an exec environment and nothing else."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        # Pickling would write the value out in plain bytes.
        raise TypeError("a secret is not serialised; pass its name and resolve it again")
