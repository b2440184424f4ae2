"""No repr, format, pickle, copy or traceback gives a secret away."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from dataclasses import dataclass

import pytest

from moalog_tui.platform.secret import MASK, Secret
from moalog_tui.platform.services import Sourced

VALUE = "correct-horse"


@dataclass
class Login:
    user: str
    password: Secret


@pytest.mark.parametrize(
    "shown",
    [repr(Secret(VALUE)), str(Secret(VALUE)), f"{Secret(VALUE)}", f"{Secret(VALUE)!r:>40}", f"{Secret(VALUE)!s}",
     "".join(map(str, [Secret(VALUE)])), repr([Secret(VALUE)]), repr({"a": Secret(VALUE)}),
     repr(Login("bob", Secret(VALUE))), repr(Sourced("REDIS_PASSWORD", Secret(VALUE), ".env:3"))],
)  # fmt: skip
def test_no_text_of_a_secret_holds_it(shown: str) -> None:
    assert VALUE not in shown
    assert MASK in shown


def test_only_reveal_gives_it_away() -> None:
    assert Secret(VALUE).reveal() == VALUE
    assert not hasattr(Secret(VALUE), "__dict__")


def test_it_is_not_serialised() -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError) as raised:
            pickle.dumps(Secret(VALUE), protocol)
        assert VALUE not in str(raised.value)
    with pytest.raises(TypeError):
        json.dumps({"password": Secret(VALUE)})
    with pytest.raises(TypeError):
        copy.copy(Secret(VALUE))


def test_a_traceback_with_local_values_does_not_hold_it() -> None:
    def fail(password: Secret) -> None:
        raise ValueError(f"refused for {password}")

    with pytest.raises(ValueError, match="refused") as raised:
        fail(Secret(VALUE))
    text = "".join(traceback.TracebackException.from_exception(raised.value, capture_locals=True).format())
    assert "password" in text
    assert VALUE not in text


def test_a_log_record_does_not_hold_it(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("test").warning("login with %s and %r", Secret(VALUE), Login("bob", Secret(VALUE)))
    assert VALUE not in caplog.text


def test_equality_and_emptiness() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert Secret("a")
    assert not Secret("")
    assert hash(Secret(VALUE)) != hash(VALUE)
