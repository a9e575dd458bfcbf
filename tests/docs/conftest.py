"""A reader who does exactly what a page says: writes its files, types its commands, compares its answers.

A page's fenced blocks are taken in order.
`python` that begins with `# some/file.py` is added to that file of the reader's project; other `python` must
compile.
`console` lines that begin with `$` are run; `runworker` is left running, as in a second terminal, until `^C`.
`pycon` is a session in the project's shell, its answers compared as doctests.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"^# (?P<path>[\w/]+\.py)\n")
#: What a reader does elsewhere (tests/packaging installs the package) or what only opens a window.
NOT_TYPED = (
    "make ",
    "pip install",
    "cd ",
    *(f"python manage.py {name}" for name in ("shell", "createsuperuser", "runserver")),
)
SESSION = """
import doctest, sys, django
django.setup()
test = doctest.DocTestParser().get_doctest(sys.stdin.read(), {}, "page", "page", 0)
runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
sys.exit(runner.run(test).failed)
"""
STATES = """
import sys, django
django.setup()
from django_tasks.models import TaskResult
print(*TaskResult.objects.filter(task=sys.argv[1]).values_list("status", flat=True))
"""


class Reader:
    """Works in `home`, where Django projects can be started."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.project = home
        self.workers: list[subprocess.Popen[bytes]] = []
        hidden = ("DJANGO", "DATABASE_URL", "PYTEST")
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
        self.environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment["PYTHONPATH"] = str(ROOT)

    def has(self, project: str, app: str) -> None:
        """What a page presupposes: a project with an app in it, as Django's own commands make them."""
        self.run(f"django-admin startproject {project} {self.home}")
        self.run(f"python manage.py startapp {app}")
        self.environment["DJANGO_SETTINGS_MODULE"] = f"{project}.settings"

    def follow(self, page: Path, *, only: str = "python console pycon") -> None:
        for block in blocks(page):
            if block["language"] not in only.split():
                continue
            match block["language"]:
                case "python":
                    self.write(block["text"])
                case "console":
                    for line in re.findall(r"^(?:\$ .*|\^C)$", block["text"], re.MULTILINE):
                        self.type(line.removeprefix("$ "))
                case "pycon":
                    self.session(block["text"])

    def write(self, text: str) -> None:
        if not (file := FILE.match(text)):
            compile(text, "block", "exec")
            return
        path = self.project / file["path"]
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as opened:
            opened.write(f"\n{text}")

    def type(self, line: str) -> None:
        if line.startswith(NOT_TYPED):
            return
        if line == "^C":
            self.stop_workers()
        elif line.startswith("django-admin startproject"):
            self.run(line)
            (name,) = line.split()[2:]
            self.project = self.home / name
            self.environment["DJANGO_SETTINGS_MODULE"] = f"{name}.settings"
        elif line.startswith("python manage.py runworker") and "--burst" not in line:
            self.workers.append(self.begin(line))
        else:
            self.run(line)

    def session(self, text: str) -> None:
        self.run(f"python -c '{SESSION}'", given=text)

    def begin(self, line: str) -> subprocess.Popen[bytes]:
        with (self.home / "worker.log").open("ab") as log:
            return subprocess.Popen(
                line.split(), cwd=self.project, env=self.environment, stdout=log, stderr=log
            )

    def run(self, line: str, given: str = "") -> str:
        done = subprocess.run(
            line,
            shell=True,
            cwd=self.project,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"$ {line}\n{given}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def states(self, task: str) -> list[str]:
        return self.run(f"python -c '{STATES}' {task}").split()

    def stop_workers(self) -> None:
        """A worker asked to stop stops, without an error."""
        while self.workers:
            worker = self.workers.pop()
            worker.send_signal(signal.SIGINT)
            try:
                code = worker.wait(timeout=30)
            finally:
                worker.kill()
            assert code == 0, (self.home / "worker.log").read_text()


def blocks(page: Path) -> Iterator[re.Match[str]]:
    return BLOCK.finditer(page.read_text())


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.stop_workers()


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def fenced_blocks() -> Callable[[Path], Iterator[re.Match[str]]]:
    return blocks
