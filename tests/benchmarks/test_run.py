"""The benchmark itself, on SQLite, as small as it gets."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(300)  # a busy machine is slow, not wrong

ROOT = Path(__file__).parents[2]


@pytest.mark.worker
def test_a_full_queue_is_drained_and_the_table_is_kept(tmp_path):
    words = ["drain", "django_tasks+sqlite", "--rounds=1", "--seconds=0.01", "--no-limits"]

    said = run("benchmarks", *words, home=tmp_path)

    table = (tmp_path / "table.md").read_text()
    assert "| **django_tasks+sqlite** | yes | " in table, said
    assert "What failed" not in table, said
    assert list(tmp_path.iterdir()) == [tmp_path / "table.md"]


def test_what_hangs_is_given_up_with_all_its_processes_and_the_rest_goes_on(tmp_path):
    said = run("tests.benchmarks.hanging", home=tmp_path)

    orphan = re.findall(r"left behind: (\d+)", said)
    assert "('hanging', 'django_tasks+sqlite'): 'OutOfTime: not done within 2 s'" in said
    assert "found: {('fine', 'django_tasks+sqlite', 'number'): {0: 1.0}}" in said
    assert orphan
    assert not Path("/proc", orphan[0]).exists()


def run(*command: str, home: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, "BENCH_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
