"""The lab as fixtures. A lab that cannot start is a failure that says what to install, never a skip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import faults
from tests.lab.folder import LabError
from tests.lab.harness import Lab
from tests.lab.program import Program


@pytest.fixture(scope="session")
def lab_session() -> Iterator[Lab]:
    """The lab, brought up where it is not; taken down at the end only where this session brought it up."""
    try:
        lab = Lab()
        was_there = lab.engine.pid() is not None
        lab.up()
    except LabError as error:
        pytest.fail(f"The lab cannot start: {error}", pytrace=False)
    yield lab
    if not was_there:
        lab.down()


@pytest.fixture
def program(lab: Lab, tmp_path: Path) -> Program:
    """`moalog-tui` pointed at the lab, with a state folder of this test's own."""
    return Program(lab, tmp_path)


@pytest.fixture
def lab(lab_session: Lab) -> Iterator[Lab]:
    """The lab with every service well; what the test broke is mended after it."""
    if not lab_session.is_up():
        faults.mend_all(lab_session)
    yield lab_session
    if not lab_session.is_up() or faults.traces(lab_session):
        faults.mend_all(lab_session)
