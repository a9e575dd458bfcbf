"""`@task` and its like: what becomes of a function."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from django_tasks import Task, app, registry, shared_task, task
from django_tasks.exceptions import UnknownOption

DECORATORS = pytest.mark.parametrize(
    "decorate", [task, shared_task, app.task, app.shared_task, vars(task)["task"]]
)


@DECORATORS
def test_a_decorated_function_is_a_registered_task_that_can_still_be_called(decorate: Any) -> None:
    """FEATURES DEF-01, DEF-03, DEF-04, DEF-05, CLS-01, CLS-03."""

    @decorate  # type: ignore[untyped-decorator]
    def add(x: int, y: int) -> int:
        return x + y

    assert isinstance(add, app.Task)
    assert app.tasks[add.name] is add
    assert add(2, 2) == 4


@DECORATORS
def test_empty_parentheses_are_allowed(decorate: Any) -> None:
    """FEATURES DEF-02."""

    @decorate()  # type: ignore[untyped-decorator]
    def add(x: int, y: int) -> int:
        return x + y

    assert add(2, 2) == 4


def test_the_decorator_can_be_called_with_the_function() -> None:
    def add(x: int, y: int) -> int:
        return x + y

    made = task(add, queue="mail")

    assert (made(2, 2), made.queue) == (4, "mail")


def test_a_task_keeps_what_the_function_says_of_itself() -> None:
    """FEATURES DEF-01."""

    def add(x: int, y: int) -> int:
        """Add."""
        return x + y

    made: Any = task(add)

    assert made.__wrapped__ is add
    assert made.__doc__ == "Add."
    assert made.__name__ == "add"
    assert made.__qualname__ == add.__qualname__
    assert made.__module__ == __name__


def test_a_function_in_a_module_is_named_after_both() -> None:
    """FEATURES NAM-02."""
    assert top_level.name == f"{__name__}.top_level"


@task
def top_level() -> None: ...


def test_a_function_below_decorators_that_use_wraps_gives_the_name() -> None:
    """FEATURES DEF-07."""

    def loud(function: Callable[..., str]) -> Callable[..., str]:
        @functools.wraps(function)
        def wrapper(*args: Any) -> str:
            return function(*args).upper()

        return wrapper

    @task
    @loud
    @loud
    def hello(name: str) -> str:
        return f"hello {name}"

    assert hello("ada") == "HELLO ADA"
    assert hello.name.endswith(".hello")


def test_options_become_attributes_of_the_class_of_the_task() -> None:
    """FEATURES DEF-02."""

    @task(queue="mail", priority=3, acks_late=True, redact=["card"])
    def send() -> None: ...

    assert type(send).queue == send.queue == "mail"
    assert (send.priority, send.acks_late, send.redact) == (3, True, ("card",))


def test_any_other_keyword_becomes_an_attribute_as_well() -> None:
    """FEATURES DEF-02, OPT-32."""

    @task(colour="red")
    def send() -> None: ...

    assert type(send).colour == "red"  # type: ignore[attr-defined]


def test_bind_gives_the_function_its_task() -> None:
    """FEATURES DEF-06, OPT-02."""

    @task(bind=True)
    def itself(self: Task, x: int) -> Any:
        return self, x

    assert itself(5) == (itself, 5)


def test_base_is_the_class_to_inherit_from_and_its_options_with_it() -> None:
    """FEATURES CLS-02, OPT-03."""

    class Mailer(Task):
        abstract = True
        queue = "mail"
        priority = 3

    @task(base=Mailer, priority=5)
    def send() -> None: ...

    assert isinstance(send, Mailer)
    assert (send.queue, send.priority) == ("mail", 5)


@pytest.mark.parametrize("base", [int, "Mailer", top_level])
def test_a_base_that_is_no_task_class_is_refused(base: Any) -> None:
    with pytest.raises(TypeError, match=r"inherits from django_tasks\.Task"):
        task(base=base)


@pytest.mark.parametrize(
    ("wrong", "meant"), [("quue", "queue"), ("max_retrys", "max_retries"), ("bse", "base")]
)
def test_an_option_misspelt_is_refused_with_a_guess(wrong: str, meant: str) -> None:
    with pytest.raises(UnknownOption, match=f"no option '{wrong}'. Did you mean '{meant}'"):
        task(**{wrong: 1})  # type: ignore[call-overload]


@pytest.mark.parametrize("option", ["queue_name", "takes_context"])
def test_an_option_of_a_later_version_is_refused(option: str) -> None:
    with pytest.raises(UnknownOption, match="is not supported yet"):

        @task(**{option: None})  # type: ignore[call-overload, untyped-decorator]
        def send() -> None: ...


@pytest.mark.parametrize("option", ["delay", "request", "run", "defined_at"])
def test_an_option_cannot_take_the_place_of_what_every_task_has(option: str) -> None:
    with pytest.raises(UnknownOption, match=f"Every task has its own '{option}'"):
        task(**{option: 1})  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("option", "value", "wanted"),
    [
        ("queue", 5, "a string"),
        ("bind", 1, "True or False"),
        ("priority", True, "a whole number"),
        ("priority", "3", "a whole number"),
        ("expires", True, "a number or a datetime"),
        ("aliases", "old.name", "a list or tuple of strings"),
        ("redact", [5], "a list or tuple of strings"),
        ("name", 5, "a string"),
    ],
)
def test_a_value_of_another_type_is_refused_where_it_is_written(option: str, value: Any, wanted: str) -> None:
    with pytest.raises(TypeError, match=rf"send: {option} must be {wanted}, not "):

        @task(**{option: value})
        def send() -> None: ...


@pytest.mark.parametrize("priority", [-1, 10])
def test_a_priority_out_of_range_is_refused(priority: int) -> None:
    with pytest.raises(ValueError, match="from 0 to 9"):

        @task(priority=priority)
        def send() -> None: ...


@pytest.mark.parametrize("name", ["x" * 256, "two\nlines"])
def test_a_name_that_fits_no_header_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="printable characters"):

        @task(name=name)
        def send() -> None: ...


def test_what_is_refused_is_not_registered() -> None:
    before = len(registry.tasks)

    with pytest.raises(TypeError):

        @task(queue=5)
        def send() -> None: ...

    assert len(registry.tasks) == before


@pytest.mark.parametrize("thing", [5, int, functools.partial(print), int.__neg__])
def test_only_functions_are_decorated(thing: Any) -> None:
    with pytest.raises(TypeError, match="is for functions"):
        task(thing)


def test_a_task_is_decorated_once_only() -> None:
    with pytest.raises(TypeError, match="is a task already"):
        task(top_level)


def test_a_function_without_a_name_of_its_own_needs_one() -> None:
    with pytest.raises(TypeError, match="name it"):
        task(lambda: 1)

    assert task(name="one")(lambda: 1).name == "one"


def test_a_wrapper_that_hides_the_name_of_the_function_is_refused(project: Callable[..., Any]) -> None:
    project(
        {
            "hiding.py": "from django_tasks import task\n"
            "def careless(function):\n"
            "    def wrapper(): return function()\n"
            "    return wrapper\n"
            "@task\n"
            "@careless\n"
            "def send(): ...\n"
        }
    )

    with pytest.raises(TypeError, match=r"careless\.<locals>\.wrapper in hiding.*use functools\.wraps"):
        __import__("hiding")


def test_a_function_written_in_c_takes_any_arguments(sent: list[Any]) -> None:
    cached = task(functools.lru_cache(identity))

    cached.delay(1)

    assert sent[0].args == (1,)


def identity(x: int) -> int:
    return x


def named(name: str) -> Callable[[], None]:
    def function() -> None: ...

    function.__name__ = function.__qualname__ = name
    return function


def test_nam_02_a_name_made_of_a_place_that_is_too_long_is_refused_at_the_declaration() -> None:
    with pytest.raises(
        ValueError, match=r"has 2\d\d characters, and 255 are the most. Give it one: @task\(name"
    ):
        task(named("a" * 250))

    assert not [known for known in registry.tasks if "aaaa" in known]


def test_a_function_with_a_long_name_is_a_task_under_a_chosen_one() -> None:
    assert task(name="tests.short")(named("b" * 250)).name == "tests.short"


def test_a_class_that_is_no_task_may_have_any_name() -> None:
    assert type(Task)("C" * 300, (Task,), {"abstract": True}).abstract
