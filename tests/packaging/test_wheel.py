"""The wheel as a user gets it: built from the source distribution, used in an empty environment.

Needs a package registry for setuptools, Django and kombu.
"""

from __future__ import annotations

import email
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from email.message import Message
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "django_tasks"
DATA = {"templates": "*.html", "static": "*", "locale": "*.mo", "migrations": "*.py"}

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(600)]

SETTINGS = """
SECRET_KEY = "only for this test"
INSTALLED_APPS = ["shop", "django_tasks"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
USE_TZ = True
"""
TASKS = """
from django_tasks import task

@task
def add(x, y):
    return x + y
"""
SEND = """
import django
django.setup()
from shop.tasks import add
print(add.delay(40, 2).id)
"""
ASK = """
import sys
import django
django.setup()
from django_tasks import AsyncResult
result = AsyncResult(sys.argv[1])
print(result.state, result.get(timeout=0))
"""
WHERE = "import django_tasks; print(django_tasks.__file__)"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A package registry that answers; a machine without one cannot do these tests, a CI machine must."""
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "setuptools>=68"]
    done = subprocess.run(download, cwd=tmp_path_factory.mktemp("probe"), capture_output=True, text=True)
    if done.returncode and os.environ.get("CI") != "true":
        pytest.skip(f"no package registry: {done.stderr.strip().splitlines()[-1:]}")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(registry: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, because setuptools takes over whatever an older build left in `build/`."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("README.md", "LICENSE", "setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(PACKAGE, copy / "django_tasks", ignore=shutil.ignore_patterns("__pycache__"))
    run(sys.executable, "-m", "build", "--outdir", "dist", cwd=copy)
    (built,) = (copy / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def contents(wheel: Path) -> frozenset[str]:
    with zipfile.ZipFile(wheel) as archive:
        return frozenset(archive.namelist())


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an empty environment with nothing but the wheel and what it requires."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", wheel, cwd=home)
    return python


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "settings.py").write_text(SETTINGS)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "tasks.py").write_text(TASKS)
    return tmp_path


def run(*command: str | Path, cwd: Path) -> str:
    """What `command` printed. Run without our environment variables, else it could find the checkout."""
    hidden = ("PYTHON", "DJANGO", "DATABASE_URL", "COVERAGE")
    outside = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
    outside["DJANGO_SETTINGS_MODULE"] = "settings"
    outside["PYTHONPATH"] = str(cwd)
    done = subprocess.run(command, cwd=cwd, env=outside, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


def test_the_wheel_contains_every_module(contents):
    modules = {str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*.py")}

    assert modules <= contents


@pytest.mark.parametrize(("folder", "pattern"), DATA.items())
def test_the_wheel_contains_the_files_that_are_not_modules(contents, folder, pattern):
    files = {str(path.relative_to(ROOT)) for path in (PACKAGE / folder).rglob(pattern) if path.is_file()}
    files = {name for name in files if "__pycache__" not in name}

    assert files <= contents


def test_the_wheel_says_that_it_is_typed(contents):
    assert "django_tasks/py.typed" in contents


def test_the_wheel_contains_nothing_else(contents):
    others = {name for name in contents if not name.startswith("django_tasks/") and ".dist-info/" not in name}

    assert others == set()


def test_the_metadata_is_that_of_the_plan(metadata):
    assert metadata["Name"] == "django-kombu-tasks"
    assert metadata["Requires-Python"] == ">=3.11"
    assert set(metadata.get_all("Provides-Extra")) >= {"postgres", "mysql", "redis"}
    assert "# django_tasks" in metadata.get_payload()


def test_an_installed_task_runs(python, project):
    django_admin = python.with_name("django-admin")

    run(django_admin, "check", cwd=project)
    run(django_admin, "migrate", cwd=project)
    task_id = run(python, "-c", SEND, cwd=project)
    run(django_admin, "runworker", "--burst", cwd=project)

    assert run(python, "-c", ASK, task_id, cwd=project) == "SUCCESS 42"
    assert Path(run(python, "-c", WHERE, cwd=project)).is_relative_to(python.parents[1])
