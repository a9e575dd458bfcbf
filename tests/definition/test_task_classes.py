"""Classes of tasks."""

from __future__ import annotations

import threading
import types
from abc import abstractmethod
from typing import Any

import pytest

from django_tasks import Task, app, registry, task
from django_tasks.exceptions import NotRegistered, UnknownOption


def test_a_class_with_run_registers_itself() -> None:
    """FEATURES CLS-01, NAM-02, REG-06, REG-09, D-AUTOREG."""

    class AddTask(Task):
        def run(self, x: int, y: int) -> int:
            return x + y

    add = app.tasks[AddTask.name]

    assert AddTask.name.endswith(".AddTask")
    assert isinstance(add, AddTask)
    assert add(2, 2) == 4


def test_a_class_without_run_is_no_task() -> None:
    """FEATURES CLS-01."""

    class Mailer(Task):
        queue = "mail"

    assert Mailer.name not in registry.tasks
    with pytest.raises(NotImplementedError, match="define it"):
        Mailer().run()


def test_abstract_is_not_inherited() -> None:
    """FEATURES REG-07, OPT-30."""

    class Mailer(Task):
        abstract = True

        def run(self) -> str:
            return "sent"

    class Letter(Mailer): ...

    assert Mailer.name not in registry.tasks
    assert registry.tasks[Letter.name]() == "sent"
    assert (Task.abstract, Mailer.abstract, Letter.abstract) == (True, True, False)


def test_a_class_with_abstract_methods_is_no_task() -> None:
    class Mailer(Task):
        def run(self) -> str:
            return self.text()

        @abstractmethod
        def text(self) -> str: ...

    class Letter(Mailer):
        def text(self) -> str:
            return "dear"

    assert Mailer.name not in registry.tasks
    assert Letter()() == "dear"


def test_name_and_aliases_are_not_inherited() -> None:
    class Mailer(Task):
        name = "mailer"
        aliases = ("post",)

        def run(self) -> None: ...

    class Letter(Mailer): ...

    assert (Mailer.name, Mailer.aliases) == ("mailer", ("post",))
    assert (Letter.name, Letter.aliases) == (f"{Letter.defined_at.spelled_name}", ())


def test_init_runs_once_however_the_task_is_reached() -> None:
    """FEATURES CLS-04."""

    class NaiveAuthenticateServer(Task):
        made = 0

        def __init__(self) -> None:
            type(self).made += 1
            self.users = {"george": "password"}

        def run(self, username: str, password: str) -> bool:
            return self.users.get(username) == password

    server = NaiveAuthenticateServer()
    answers = [registry.tasks[server.name]("george", "password") for _ in range(20)]

    assert answers == [True] * 20
    assert NaiveAuthenticateServer() is server
    assert NaiveAuthenticateServer.made == 1


def test_init_may_call_super_by_the_name_of_its_class() -> None:
    class Counter(Task):
        def __init__(self) -> None:
            super(Counter, self).__init__()  # noqa: UP008 - as it is written in older code
            self.count = 0

        def run(self) -> int:
            self.count += 1
            return self.count

    counter = registry.tasks[Counter.name]

    assert (counter(), counter()) == (1, 2)


def test_threads_that_ask_at_once_get_one_instance() -> None:
    everybody = threading.Barrier(4)
    found: list[Any] = []

    class Slow(Task):
        def __init__(self) -> None:
            instances.append(self)

        def run(self) -> None: ...

    instances: list[Slow] = []

    def ask() -> None:
        everybody.wait()
        found.append(registry.tasks[Slow.name])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(instances) == 1
    assert set(found) == set(instances)


def test_each_function_on_a_base_class_has_its_own_instance() -> None:
    """FEATURES CLS-06."""

    class DatabaseTask(Task):
        abstract = True
        _db: Any = None

        @property
        def db(self) -> Any:
            if self._db is None:
                self._db = object()
            return self._db

    @task(base=DatabaseTask)
    def one() -> Any:
        return one.db  # type: ignore[attr-defined]

    @task(base=DatabaseTask, bind=True)
    def other(self: DatabaseTask) -> Any:
        return self.db

    assert one() is one()
    assert other() is other()
    assert one() is not other()


def test_an_abstract_task_is_registered_by_hand() -> None:
    """FEATURES REG-08."""

    class Resize(Task):
        abstract = True

        def __init__(self, name: str, width: int) -> None:
            self.name = name
            self.width = width

        def run(self) -> int:
            return self.width

    app.register_task(Resize("small", 80))
    app.register_task(Resize("large", 800))

    assert (registry.tasks["small"](), registry.tasks["large"]()) == (80, 800)
    with pytest.raises(NotRegistered):
        registry.tasks[Resize.name]


def test_a_class_can_be_registered_by_hand() -> None:
    """FEATURES REG-08."""

    class Resize(Task):
        abstract = True

        def run(self) -> None: ...

    made = app.register_task(Resize)

    assert isinstance(made, Resize)
    assert registry.tasks[Resize.name] is made


def test_option_values_of_a_class_are_checked_when_it_is_defined() -> None:
    with pytest.raises(TypeError, match="queue must be a string"):

        class Mailer(Task):
            queue = 5  # type: ignore[assignment]


def test_a_class_may_have_attributes_that_resemble_options() -> None:
    class Mailer(Task):
        queues = ["a", "b"]
        source = "feed"

        def run(self) -> list[str]:
            return self.queues

    assert Mailer()() == ["a", "b"]
    assert Mailer.source == "feed"


@pytest.mark.parametrize("attribute", ["queue_name"])
def test_what_a_later_version_acts_on_is_refused_in_a_class(attribute: str) -> None:
    with pytest.raises(UnknownOption, match="is not supported yet"):
        types.new_class("Mailer", (Task,), exec_body=lambda body: body.update({attribute: None}))


def test_a_task_shows_its_name() -> None:
    """FEATURES REG-05, D-REPR."""

    @task(name="sum-of-two-numbers")
    def add() -> None: ...

    assert repr(add) == "<Task: sum-of-two-numbers (regular)>"
