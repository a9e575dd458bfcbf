"""Where tasks go by their names (FEATURES ADV-01, SET-10), as in Celery 5.7."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_tasks import Task, app, group, task
from django_tasks.brokers import routes
from django_tasks.exceptions import UnknownQueue
from django_tasks.message.message import TaskMessage
from django_tasks.models import QueuedMessage

ASKED: list[tuple[Any, ...]] = []


@task(name="shop.resize")
def resize(width: int = 0) -> None: ...


@task(name="shop.choosy", queue="own", priority=3)
def choosy() -> None: ...


@task(name="mail.send")
def send() -> None: ...


def by_width(
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: dict[str, Any],
    task: Any = None,
    **kw: Any,
) -> Any:
    ASKED.append((name, args, kwargs, options, task))
    return "big" if args and args[0] > 1000 else None


def by_nothing(*_: Any, **__: Any) -> Any:
    return {}


def by_mistake(*_: Any, **__: Any) -> Any:
    return 5


class OfCelery3:
    def route_for_task(self, task: str, args: Any = None, kwargs: Any = None) -> Any:
        return {"queue": "big"} if task == "shop.resize" else None


@pytest.fixture
def routed(settings: Any) -> Callable[[Any], None]:
    """Puts routes into the settings, beside the queues of these tests."""

    def put(value: Any) -> None:
        ASKED.clear()
        settings.DJANGO_TASKS = {"TASK_QUEUES": ["images", "own", "big"], "TASK_ROUTES": value}

    return put


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"shop.resize": "images"}, ("images", 0)),
        ({"shop.resize": {"queue": "images", "priority": 7}}, ("images", 7)),
        ({"shop.resize": {"priority": 7}}, ("default", 7)),
        ({"shop.*": "images"}, ("images", 0)),
        ({"*.resize": "images"}, ("images", 0)),
        ({re.compile(r"shop\.(resize|crop)"): "images"}, ("images", 0)),
        ({"shop.*": "big", "shop.resize": "images"}, ("images", 0)),
        ({"shop.r*": "images", "shop.*": "big"}, ("images", 0)),
        ({"shop.?esize": "images"}, ("default", 0)),
        ({"shop": "images"}, ("default", 0)),
        ([{"mail.*": "own"}, {"shop.*": "images"}, {"shop.*": "big"}], ("images", 0)),
        ([("mail.*", "own"), ("shop.*", {"queue": "images"})], ("images", 0)),
        ([[("mail.*", "own"), (re.compile("shop"), "images")]], ("images", 0)),
        (["tests.definition.test_routes.by_width", ("shop.*", "images")], ("images", 0)),
        (["tests.definition.test_routes.by_nothing", ("shop.*", "images")], ("default", 0)),
        ("tests.definition.test_routes.OfCelery3", ("big", 0)),
        ((), ("default", 0)),
        ({}, ("default", 0)),
    ],
)
def test_set_10_a_task_goes_where_the_first_route_says_that_answers(
    sent: list[TaskMessage], routed: Callable[[Any], None], value: Any, expected: Any
) -> None:
    routed(value)

    resize.delay()

    assert (sent[0].queue, sent[0].priority) == expected


@pytest.mark.parametrize(
    ("asked", "options", "expected"),
    [
        (resize, {}, ("images", 7)),
        (resize, {"queue": "big"}, ("big", 7)),
        (resize, {"priority": 0}, ("images", 0)),
        (choosy, {}, ("own", 3)),
        (choosy, {"queue": "big"}, ("big", 3)),
        (send, {}, ("default", 0)),
    ],
)
def test_set_10_the_call_and_the_task_itself_go_before_the_route(
    sent: list[TaskMessage],
    routed: Callable[[Any], None],
    asked: Task,
    options: Any,
    expected: Any,
) -> None:
    """Celery merges so, key by key: `lpmerge(route, options)`, where options are the task's and the call's."""
    routed({"shop.*": {"queue": "images", "priority": 7}})

    asked.apply_async(**options)

    assert (sent[0].queue, sent[0].priority) == expected


@pytest.mark.django_db
def test_adv_01_a_function_is_asked_for_each_call_as_celery_asks(
    sent: list[TaskMessage], routed: Callable[[Any], None]
) -> None:
    routed("tests.definition.test_routes.by_width")

    resize.bulk([(80,), (2000,)])
    resize.apply_async(kwargs={"width": 1}, expires=60)

    assert [message.queue for message in sent] == ["default", "big", "default"]
    name, args, kwargs, options, asked_for = ASKED[-1]
    assert (name, args, kwargs, options["expires"], asked_for) == (
        "shop.resize",
        (),
        {"width": 1},
        60,
        resize,
    )


def test_adv_01_a_task_of_another_program_is_routed_by_its_name(
    sent: list[TaskMessage], routed: Callable[[Any], None]
) -> None:
    routed(["tests.definition.test_routes.by_width", {"other.*": "images"}])

    app.send_task("other.thing")

    assert sent[0].queue == "images"
    assert ASKED[-1][-1] is None


@pytest.mark.django_db
def test_adv_01_each_task_of_a_workflow_is_routed(routed: Callable[[Any], None]) -> None:
    routed({"shop.resize": "images", "mail.*": "big"})

    group(resize.s(1), send.s(), choosy.s(), resize.map([1, 2])).delay()

    assert sorted(QueuedMessage.objects.values_list("queue", flat=True)) == ["big", "images", "images", "own"]


def test_adv_01_an_undeclared_queue_is_refused_for_the_tasks_that_go_there(
    sent: list[TaskMessage], routed: Callable[[Any], None]
) -> None:
    routed({"shop.*": "imges"})

    with pytest.raises(
        UnknownQueue, match=r"'imges' is declared and TASK_ROUTES sends shop.resize there. Did you mean"
    ):
        resize.delay()
    send.delay()

    assert [message.task for message in sent] == ["mail.send"]


BAD = [
    (["shop"], "'shop', which is no route. Write a mapping"),
    ([5], "5, which is no route"),
    ({5: "images"}, "the name 5. Write a task's name"),
    ({"shop.*": None}, "answers None for 'shop.*'. Name a queue"),
    ({"shop.*": {"queue": 5}}, "the queue 5 for 'shop.*'"),
    ({"shop.*": {"priority": 10}}, "the priority 10 for 'shop.*'. Write a number from 0 to 9"),
    ({"shop.*": {"priority": True}}, "the priority True"),
    ({"shop.*": {"queue": "images", "serializer": "yaml"}}, "says 'serializer' for 'shop.*'"),
    ("nowhere.at.all", "names 'nowhere.at.all', which cannot be imported"),
    ("tests.definition.test_routes.BAD", "'tests.definition.test_routes.BAD', which cannot be called"),
]


@pytest.mark.parametrize(("value", "refusal"), BAD)
def test_a_route_that_is_none_is_refused_where_it_is_needed_and_found_by_the_checks(
    sent: list[TaskMessage], routed: Callable[[Any], None], value: Any, refusal: str
) -> None:
    routed(value)

    with pytest.raises(ImproperlyConfigured, match=re.escape(refusal)):
        resize.delay()

    assert sent == []
    (problem,) = routes.problems()
    assert refusal in problem


def test_a_function_that_answers_nonsense_is_told_so(
    sent: list[TaskMessage], routed: Callable[[Any], None]
) -> None:
    routed("tests.definition.test_routes.by_mistake")

    with pytest.raises(ImproperlyConfigured, match=r"answers 5 for 'shop.resize'. Name a queue"):
        resize.delay()
    assert sent == []
