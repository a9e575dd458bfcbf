"""A run whose first measure never ends and leaves a process behind; prints what was found, and that process's id."""

import subprocess
import sys

from benchmarks.measures.measure import Measure
from benchmarks.report import Found
from benchmarks.rounds import Plan, run
from benchmarks.system import systems

ORPHAN = "import subprocess; print(subprocess.Popen(['sleep', '100'], start_new_session=True, stdout=-3).pid)"


class Hanging(Measure):
    name = "hanging"
    numbers = ()

    def limit(self, bench):
        return 2.0

    def measure(self, bench):
        print("left behind:", subprocess.check_output([sys.executable, "-c", ORPHAN], text=True))
        subprocess.run(["sleep", "100"])


class Fine(Measure):
    name = "fine"
    numbers = ()

    def measure(self, bench):
        return {"number": 1.0}


if __name__ == "__main__":
    found = Found()
    sqlite = [system for system in systems() if system.name == "django_tasks+sqlite"]
    plan = Plan(measures=[Hanging(), Fine()], systems=sqlite, rounds=1, seconds=0.01, with_limits=False)
    run(plan, found, after_each=lambda: None)
    print("found:", found.values)
    print("failed:", found.failures)
