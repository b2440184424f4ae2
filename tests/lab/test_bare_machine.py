"""`make run` and `make test` on a machine with Python, its venv module and make, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]
PACKAGES = "python3,python3-venv,make,ca-certificates"
BUILD_DEADLINE_S = 900
TEST_DEADLINE_S = 1800


def mirror() -> tuple[str, str]:
    """The package mirror and release that this machine itself uses."""
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE) $(CODENAME)", "Created-By: Packages", "Component: main"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    site, codename = next(line.split() for line in targets if "-" not in line.split()[1])
    return site, codename


@pytest.fixture(scope="module")
def bare() -> Iterator[Path]:
    """A fresh tree of the distribution's smallest system, with this project's files in it."""
    site, codename = mirror()
    with tempfile.TemporaryDirectory(prefix="moalog-bare-") as folder:
        tree = Path(folder) / "tree"
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", codename, str(tree), site],
            check=True,
            capture_output=True,
            timeout=BUILD_DEADLINE_S,
        )
        project = tree / "srv" / "moalog-tui"
        project.mkdir(parents=True)
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout.split(b"\0")
        for name in sorted({os.fsdecode(one) for one in listed if one}):
            if (ROOT / name).is_file():
                (project / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, project / name)
        for name in _network_files():
            (tree / name.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(name, tree / name.lstrip("/"))
        yield tree


def _network_files() -> list[str]:
    """What a machine needs to reach its package index here: names, certificates and pip's own settings."""
    named = [value for key, value in os.environ.items() if key.endswith(("_CERT", "_CERT_FILE", "_CA_BUNDLE"))]
    wanted = {"/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", *named}
    return sorted(name for name in wanted if Path(name).is_file())


def inside(tree: Path, command: str, deadline_s: float) -> subprocess.CompletedProcess[str]:
    """Run a command in the tree, with process and mount namespaces of its own that end with it."""
    script = (
        'mount -t proc proc "$1/proc" && mount -t tmpfs tmpfs "$1/tmp" && mount --rbind /dev "$1/dev" && '
        'exec chroot "$1" /bin/sh -c "cd /srv/moalog-tui && $2"'
    )
    environment = {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "SSL_", "REQUESTS_"))}
    environment |= {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
    return subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh", str(tree), command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=deadline_s,
        stdin=subprocess.DEVNULL,
    )


def test_run_and_test_need_no_other_step(bare: Path) -> None:
    run = inside(bare, "make run ARGS=--version", BUILD_DEADLINE_S)
    assert run.returncode == 0, run.stderr[-4000:]
    assert run.stdout.startswith("moalog-tui ")
    tests = inside(bare, "make test ARGS=-q", TEST_DEADLINE_S)
    assert tests.returncode == 0, (tests.stdout + tests.stderr)[-6000:]
    assert " passed" in tests.stdout


def test_a_missing_venv_module_is_told_in_a_sentence(bare: Path) -> None:
    hidden = bare / "usr/lib/python3.11/ensurepip"
    assert hidden.is_dir()
    hidden.rename(hidden.with_suffix(".away"))
    try:
        answer = inside(bare, "rm -rf .venv && make run ARGS=--version", 60)
    finally:
        hidden.with_suffix(".away").rename(hidden)
    assert answer.returncode != 0
    assert "apt-get install python3-venv" in answer.stderr
    assert "Traceback" not in answer.stderr
