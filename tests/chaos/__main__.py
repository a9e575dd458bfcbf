"""All scenarios, on SQLite and then on PostgreSQL with each broker, and the table of what they came to: `make chaos`.

CHAOS_SCALE=full takes the numbers of tasks and the seconds of faults that the documentation tells of. POSTGRESQL_URL,
REDIS_URL and RABBITMQ_URL name other servers. Arguments go to pytest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.ports import listens

from .result import kept, table

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / ".chaos" / "table.md"
POSTGRESQL_URL = os.environ.get("POSTGRESQL_URL", "psql://postgres@127.0.0.1:5432/chaos")


def main(*arguments: str) -> int:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "results")
        codes = [run(file, {}, "-m", "chaos and not redis and not rabbitmq", *arguments)]
        if listens(POSTGRESQL_URL) or os.environ.get("CI") == "true":
            codes.append(run(file, {"DATABASE_URL": POSTGRESQL_URL}, "-m", "chaos", *arguments))
        else:
            print(f"Skipped what needs PostgreSQL: nothing listens at {POSTGRESQL_URL}")
        found = sorted(kept(file), key=lambda result: (result.number, result.fault))
    shown = table(found)
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(shown + "\n")
    took = time.monotonic() - began
    print(f"\n{shown}\n\n{len(found)} scenarios, {took:.0f} s; the table is in {KEPT.relative_to(ROOT)}")
    return max(codes)


def run(file: Path, environment: dict[str, str], *arguments: str) -> int:
    """In the order of the table. At full scale one after the other: they fight for the machine enough."""
    command = [sys.executable, "-m", "pytest", "tests/chaos", "-p", "no:randomly", "-v", *arguments]
    environment = {**os.environ, "CHAOS_RESULTS": str(file), **environment}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
