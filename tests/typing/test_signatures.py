"""The types of user code: `sample.py` says which of its lines a type checker must complain about."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy", reason="the types are checked where the tools for development are installed")

SAMPLE = Path(__file__).with_name("sample.py")
ROOT = SAMPLE.parents[2]


def test_mypy_finds_the_marked_mistakes_in_user_code_and_no_others(tmp_path: Path) -> None:
    lines = SAMPLE.read_text().splitlines()
    marks = {number: line.partition("# error: ")[2].split() for number, line in enumerate(lines, start=1)}

    found = errors_in_sample(cache=tmp_path)

    assert found == {number: codes for number, codes in marks.items() if codes}


def errors_in_sample(*, cache: Path) -> dict[int, list[str]]:
    """Line number → codes, in the order reported."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent"]
    command += [f"--cache-dir={cache}", "--no-error-summary", str(SAMPLE)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode in (0, 1), run.stdout + run.stderr
    errors: dict[int, list[str]] = {}
    for line, code in re.findall(r"^.*?:(\d+): error: .*\[([a-z-]+)\]$", run.stdout, re.MULTILINE):
        errors.setdefault(int(line), []).append(code)
    return errors
