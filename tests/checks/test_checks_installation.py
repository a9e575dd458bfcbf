from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.core.management import get_commands

from django_tasks import registry
from django_tasks.checks import installation, modules

if TYPE_CHECKING:
    from pytest_django import Settings


def install(folder: Path, *names: str) -> None:
    """Leave behind what pip does."""
    for name in names:
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")


def test_two_distributions_that_own_our_package_are_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    install(tmp_path, "django_kombu_tasks", "django_tasks", "kombu")

    (error,) = installation.distributions()

    assert error.id == "django_tasks.E001"
    assert "django-kombu-tasks and django-tasks both install the package django_tasks" in error.msg
    assert "pip uninstall django-kombu-tasks django-tasks" in error.hint


@pytest.mark.parametrize("names", [(), ("django_kombu_tasks",), ("django_kombu_tasks", "django_tasks_db")])
def test_our_package_with_one_owner_is_right(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, names: tuple[str, ...]
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    install(tmp_path, *names)

    assert installation.distributions() == []


@pytest.fixture
def channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An app of that name with a command runworker, as the real one has."""
    commands = tmp_path / "channels" / "management" / "commands"
    commands.mkdir(parents=True)
    for folder in (commands, commands.parent, commands.parent.parent):
        (folder / "__init__.py").touch()
    (commands / "runworker.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    yield
    get_commands.cache_clear()
    sys.modules.pop("channels", None)


@pytest.mark.usefixtures("channels")
@pytest.mark.parametrize(("first", "second"), [("channels", "django_tasks"), ("django_tasks", "channels")])
def test_beside_channels_a_warning_says_whose_runworker_it_is(
    settings: Settings, first: str, second: str
) -> None:
    others = [app for app in settings.INSTALLED_APPS if app != "django_tasks"]
    settings.INSTALLED_APPS = [*others, first, second]
    get_commands.cache_clear()

    (warning,) = installation.channels_runworker()

    assert get_commands()["runworker"] == first
    assert warning.id == "django_tasks.W004"
    assert f"`manage.py runworker` is that of {first}," in warning.msg
    assert "`manage.py taskworker` runs tasks in either case" in warning.hint
    assert f"put {second!r} above {first!r}" in warning.hint


def test_without_channels_there_is_nothing_to_say() -> None:
    assert installation.channels_runworker() == []


@pytest.fixture
def broken_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> Iterator[dict[str, Path]]:
    """Modules that cannot be imported, by name, listed in IMPORTS."""
    texts = {
        "tasks_without_a_driver": "\nimport no_such_driver\n",
        "tasks_half_written": "def send(:\n",
        "tasks_that_fail": "def connect():\n    raise RuntimeError('no network')\n\nconnect()\n",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    settings.DJANGO_TASKS = {"IMPORTS": list(texts)}
    monkeypatch.setattr(registry.tasks, "_discovered", False)
    yield {name: tmp_path / f"{name}.py" for name in texts}
    for name in texts:
        sys.modules.pop(name, None)


def test_a_tasks_module_that_fails_to_import_is_an_error_with_the_exception(
    broken_modules: dict[str, Path],
) -> None:
    errors = {error.msg.split("'")[1]: error for error in modules.tasks_modules()}

    assert errors.keys() == broken_modules.keys()
    assert {error.id for error in errors.values()} == {"django_tasks.E006"}
    for name, told in {
        "tasks_without_a_driver": "ModuleNotFoundError: No module named 'no_such_driver'",
        "tasks_half_written": "SyntaxError: invalid syntax",
        "tasks_that_fail": "RuntimeError: no network",
    }.items():
        assert told in errors[name].msg
        assert errors[name].hint.startswith("Correct the module.")


def test_the_error_says_in_which_line_it_was_raised(broken_modules: dict[str, Path]) -> None:
    messages = " ".join(error.msg for error in modules.tasks_modules())

    assert f"({broken_modules['tasks_that_fail']}, line 2)" in messages
    assert f"({broken_modules['tasks_without_a_driver']}, line 2)" in messages
    assert f'File "{broken_modules["tasks_half_written"]}", line 1' in messages


def test_modules_that_can_be_imported_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.tasks, "_discovered", False)

    assert modules.tasks_modules() == []
