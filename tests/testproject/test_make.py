"""The programs that `make` runs: each begins in a process of its own, where nobody has set Django up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("program", ["tests.chaos", "testproject.demo", "benchmarks"])
def test_a_program_that_make_runs_can_be_imported_alone(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {program}.__main__"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
