"""Names, and the tasks behind them."""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps

from django_tasks import app, registry, task
from django_tasks.exceptions import AlreadyRegistered, NotRegistered

TASKS = "from django_tasks import task\n@task\ndef add(x, y): return x + y\n"
Project = Callable[..., Path]


def test_the_registry_is_a_mapping_of_names_to_tasks() -> None:
    """FEATURES NAM-01, OPT-01, REG-01."""

    @task(name="one")
    def one() -> None: ...

    assert isinstance(registry.tasks, Mapping)
    assert app.tasks is registry.tasks
    assert registry.tasks["one"] is one
    assert "one" in registry.tasks
    assert list(registry.tasks).count("one") == 1


def test_an_unknown_name_is_a_key_error_that_guesses() -> None:
    """FEATURES NAM-06."""

    @task(name="blog.tasks.publish")
    def publish() -> None: ...

    with pytest.raises(KeyError) as caught:
        registry.tasks["blog.tasks.publsh"]

    assert isinstance(caught.value, NotRegistered)
    assert "Did you mean 'blog.tasks.publish'?" in str(caught.value)
    assert 'DJANGO_TASKS["IMPORTS"]' in str(caught.value)


def test_a_task_is_found_by_its_aliases_but_listed_once() -> None:
    @task(name="new.name", aliases=("old.name", "older.name"))
    def send() -> None: ...

    assert registry.tasks["old.name"] is registry.find("older.name") is send
    assert "old.name" in registry.tasks
    assert "old.name" not in list(registry.tasks)


def test_two_functions_of_one_name_are_refused_with_both_places() -> None:
    """FEATURES NAM-03."""

    @task(name="send")
    def letter() -> None: ...

    with pytest.raises(AlreadyRegistered) as caught:

        @task(name="send")
        def parcel() -> None: ...

    said = str(caught.value)
    assert "letter in " in said
    assert "parcel in " in said
    assert said.count(f"{__file__}, line ") == 2
    assert '@task(name="...")' in said
    assert registry.tasks["send"] is letter


@pytest.mark.parametrize("options", [{"name": "post"}, {"aliases": ["post"]}, {"aliases": ["send"]}])
def test_an_alias_is_as_taken_as_a_name(options: dict[str, Any]) -> None:
    @task(name="send", aliases=["post"])
    def letter() -> None: ...

    with pytest.raises(AlreadyRegistered):

        @task(**options)
        def parcel() -> None: ...


def test_the_same_function_again_replaces_the_first() -> None:
    """FEATURES NAM-03."""

    def define() -> Any:
        @task
        def send() -> None: ...

        return send

    first, second = define(), define()

    assert registry.tasks[first.name] is second


def test_a_function_typed_again_in_a_shell_replaces_the_first() -> None:
    shell = {"__name__": "__console__"}
    for number in (1, 2):
        exec(compile(TASKS, f"<input-{number}>", "exec"), shell)

    assert registry.tasks["__console__.add"] is shell["add"]


def test_a_reloaded_module_replaces_its_tasks(project: Project) -> None:
    project({"shop/tasks.py": TASKS}, apps=["shop"])
    module = importlib.import_module("shop.tasks")
    first = module.add

    importlib.reload(module)

    assert module.add is not first
    assert registry.tasks["shop.tasks.add"] is module.add


def test_a_function_that_changes_its_name_keeps_the_old_one_as_alias() -> None:
    def define(**options: Any) -> Any:
        @task(**options)
        def send() -> None: ...

        return send

    define(name="old", aliases=["new"])
    renamed = define(name="new", aliases=["old"])

    assert registry.tasks["new"] is renamed


def test_one_file_imported_by_two_paths_is_one_task(project: Project) -> None:
    """FEATURES NAM-05."""
    folder = project({"site_/shop/tasks.py": TASKS}, apps=["site_.shop"])
    sys.path.insert(1, str(folder / "site_"))
    try:
        wrong = importlib.import_module("shop.tasks").add
        right = importlib.import_module("site_.shop.tasks").add
    finally:
        sys.path.remove(str(folder / "site_"))

    assert wrong.name == right.name == "site_.shop.tasks.add"
    assert [name for name in registry.tasks if name.endswith("shop.tasks.add")] == ["site_.shop.tasks.add"]
    assert registry.find("shop.tasks.add") is registry.find("site_.shop.tasks.add")


def test_the_name_comes_from_the_innermost_app(project: Project) -> None:
    folder = project({"site_/shop/jobs/mail.py": TASKS})
    sys.path.insert(1, str(folder / "site_"))
    try:
        project({}, apps=["site_", "shop"])
        module = importlib.import_module("site_.shop.jobs.mail")
    finally:
        sys.path.remove(str(folder / "site_"))

    assert module.add.name == "shop.jobs.mail.add"


def test_a_package_of_tasks_is_named_like_a_module(project: Project) -> None:
    folder = project({"site_/shop/tasks/__init__.py": TASKS}, apps=["site_.shop"])
    sys.path.insert(1, str(folder / "site_"))
    try:
        module = importlib.import_module("shop.tasks")
    finally:
        sys.path.remove(str(folder / "site_"))

    assert module.add.name == "site_.shop.tasks.add"


def test_an_app_behind_a_symbolic_link_is_the_same_app(project: Project) -> None:
    folder = project({"site_/shop/tasks.py": TASKS}, apps=["site_.shop"])
    (folder / "linked").symlink_to(folder / "site_")
    sys.path.insert(1, str(folder / "linked"))
    try:
        module = importlib.import_module("shop.tasks")
    finally:
        sys.path.remove(str(folder / "linked"))

    assert module.add.name == "site_.shop.tasks.add"


def test_what_lies_in_an_app_but_not_in_its_package_keeps_its_own_name(project: Project) -> None:
    folder = project({"shop/__init__.py": ""}, apps=["shop"])
    packages = folder / "shop" / ".venv" / "lib"
    packages.mkdir(parents=True)
    (packages / "elsewhere.py").write_text(TASKS)
    sys.path.insert(1, str(packages))
    try:
        module = importlib.import_module("elsewhere")
    finally:
        sys.path.remove(str(packages))

    assert module.add.name == "elsewhere.add"


def test_a_module_of_no_app_keeps_its_name(project: Project) -> None:
    project({"lone.py": TASKS})

    assert importlib.import_module("lone").add.name == "lone.add"


def test_an_explicit_name_is_kept_as_it_is(project: Project) -> None:
    """FEATURES NAM-01, OPT-01."""
    folder = project(
        {"site_/shop/tasks.py": TASKS.replace("@task", '@task(name="shop.tasks.add")')}, apps=["site_.shop"]
    )
    sys.path.insert(1, str(folder / "site_"))
    try:
        module = importlib.import_module("shop.tasks")
    finally:
        sys.path.remove(str(folder / "site_"))
    registry.canonicalize()

    assert module.add.name == "shop.tasks.add"


def test_tasks_defined_before_the_apps_are_known_are_renamed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project(
        {
            "site_/shop/tasks.py": TASKS + "from django_tasks import Task\n"
            "class Sub(Task):\n    aliases = ['minus']\n    def run(self, x, y): return x - y\n"
        },
        apps=["site_.shop"],
    )
    sys.path.insert(1, str(folder / "site_"))
    try:
        with monkeypatch.context() as early:
            early.setattr(apps, "apps_ready", False)
            module = importlib.import_module("shop.tasks")
            names_before = (module.add.name, module.Sub.name)
    finally:
        sys.path.remove(str(folder / "site_"))

    registry.canonicalize()

    assert names_before == ("shop.tasks.add", "shop.tasks.Sub")
    assert (module.add.name, module.Sub.name) == ("site_.shop.tasks.add", "site_.shop.tasks.Sub")
    assert registry.tasks["site_.shop.tasks.add"] is registry.tasks["shop.tasks.add"] is module.add
    assert registry.tasks["site_.shop.tasks.Sub"] is registry.tasks["minus"] is module.Sub()
    assert "shop.tasks.add" not in list(registry.tasks)


def test_a_script_inside_an_app_has_the_name_of_the_app(project: Project) -> None:
    """FEATURES NAM-04."""
    folder = project({"shop/tasks.py": TASKS + "print(add.name)\n"})
    start = "import runpy, django\nfrom django.conf import settings\n"
    start += "settings.configure(INSTALLED_APPS=['shop'])\ndjango.setup()\n"
    start += "runpy.run_module('shop.tasks', None, '__main__')"

    said = run_python(start, path=folder)

    assert said == "shop.tasks.add"


def test_models_may_import_tasks_before_django_is_set_up(project: Project) -> None:
    """FEATURES DEF-08."""
    folder = project({"lone.py": TASKS + "print(add.name, add(2, 2))\n"})

    said = run_python("import lone, sys; assert 'django_tasks.models' not in sys.modules", path=folder)

    assert said == "lone.add 4"


def run_python(code: str, *, path: Path) -> str:
    root = Path(__file__).parents[2]
    environment = {"PYTHONPATH": f"{root}:{path}"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def undiscovered(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has just started."""
    monkeypatch.setattr(registry.tasks, "_discovered", False)


@pytest.mark.usefixtures("undiscovered")
def test_find_looks_into_the_apps_before_it_gives_up(project: Project) -> None:
    """FEATURES DEF-08, REG-02."""
    project({"shop/tasks.py": TASKS}, apps=["shop"])

    assert "shop.tasks.add" not in registry.tasks
    assert registry.find("shop.tasks.add")(2, 2) == 4
    with pytest.raises(NotRegistered):
        registry.find("shop.tasks.nope")


@pytest.mark.usefixtures("undiscovered")
def test_imports_are_discovered_too(project: Project, settings: Any) -> None:
    """FEATURES REG-03."""
    project({"lone.py": TASKS})
    settings.DJANGO_TASKS = {"IMPORTS": ["lone"]}

    registry.autodiscover()

    assert "lone.add" in registry.tasks


@pytest.mark.usefixtures("undiscovered")
def test_discovery_happens_once(project: Project) -> None:
    registry.autodiscover()
    project({"shop/tasks.py": TASKS}, apps=["shop"])

    registry.autodiscover()

    assert "shop.tasks.add" not in registry.tasks


@pytest.mark.usefixtures("undiscovered")
def test_looking_around_discovers_nothing(project: Project) -> None:
    project({"shop/tasks.py": TASKS}, apps=["shop"])

    names = [*registry.tasks, *registry.tasks.keys()]

    assert "shop.tasks.add" not in names
    assert "shop.tasks" not in sys.modules


@pytest.mark.usefixtures("undiscovered")
def test_a_broken_module_is_raised_with_its_name(project: Project) -> None:
    project({"shop/tasks.py": "import nothing_of_that_name"}, apps=["shop"])

    with pytest.raises(ModuleNotFoundError) as caught:
        registry.find("shop.tasks.add")

    assert caught.value.__notes__ == ["This was raised while importing the tasks of 'shop.tasks'."]


@pytest.mark.usefixtures("undiscovered")
def test_all_broken_modules_are_listed_until_they_are_mended(project: Project, settings: Any) -> None:
    folder = project({"shop/tasks.py": "1 / 0", "mail/tasks.py": TASKS}, apps=["shop", "mail"])
    settings.DJANGO_TASKS = {"IMPORTS": ["nothing_of_that_name"]}

    errors = registry.import_errors()

    assert {name: type(error) for name, error in errors.items()} == {
        "shop.tasks": ZeroDivisionError,
        "nothing_of_that_name": ModuleNotFoundError,
    }
    assert "mail.tasks.add" in registry.tasks

    (folder / "shop" / "tasks.py").write_text(TASKS)
    settings.DJANGO_TASKS = {}

    assert registry.import_errors() == {}
    assert "shop.tasks.add" in registry.tasks


@pytest.mark.usefixtures("undiscovered")
def test_a_thread_may_define_tasks_while_another_discovers(project: Project) -> None:
    project(
        {
            "shop/tasks.py": "import threading\nfrom django_tasks import task\n"
            "def define():\n    task(name='meanwhile')(len)\n"
            "other = threading.Thread(target=define)\nother.start()\nother.join(10)\n"
            "assert not other.is_alive()\n"
        },
        apps=["shop"],
    )

    registry.autodiscover()

    assert "meanwhile" in registry.tasks


def test_many_threads_define_and_look_up_at_once() -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(50):
                name = f"worker{number}.turn{turn}"
                made = task(name=name)(abs)
                assert registry.tasks[name] is made
                assert name in list(registry.tasks)
        except BaseException as error:  # noqa: BLE001 - it is raised in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
