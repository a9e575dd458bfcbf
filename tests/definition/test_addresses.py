"""Addresses as AMQP has them: the default exchange, which delivers by the queue's name, and declared ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from django_tasks import Task, task
from django_tasks.definition.context import Context
from django_tasks.exceptions import UnknownQueue, Unroutable
from django_tasks.message.message import TaskMessage


@task(name="addresses.plain")
def plain() -> None: ...


@task(name="addresses.keyed", routing_key="images", exchange="images", mandatory=True, immediate=False)
def keyed() -> None: ...


@task(name="addresses.queued", queue="own", routing_key="images", exchange="media")
def queued() -> None: ...


@pytest.fixture(autouse=True)
def routed(settings: Any) -> Callable[..., None]:
    """Puts routes into the settings, beside the queues of these tests, which are there from the start."""

    def put(value: Any = ()) -> None:
        settings.DJANGO_TASKS = {"TASK_QUEUES": ["images", "own", "big"], "TASK_ROUTES": value}

    put()
    return put


@pytest.mark.parametrize("route", [(), {"elsewhere.*": "big"}])
@pytest.mark.parametrize(
    ("asked", "options", "queue"),
    [
        (plain, {"routing_key": "images"}, "images"),
        (plain, {"routing_key": "images", "exchange": ""}, "images"),
        (plain, {"routing_key": "images", "exchange": "images"}, "images"),
        (plain, {"routing_key": "images", "queue": "big"}, "big"),
        (plain, {"exchange": "media", "routing_key": "images.small", "queue": "big"}, "big"),
        (plain, {"exchange": "", "routing_key": None}, "default"),
        (plain, {"mandatory": True}, "default"),
        (plain, {"immediate": False}, "default"),
        (keyed, {}, "images"),
        (keyed, {"routing_key": "big", "exchange": "big"}, "big"),
        (keyed, {"queue": "own"}, "own"),
        (queued, {}, "own"),
        (queued, {"routing_key": "big"}, "own"),
    ],
)
def test_opt_25_26_27_without_a_queue_the_routing_key_names_it(
    sent: list[TaskMessage], routed: Callable[..., None], route: Any, asked: Task, options: Any, queue: str
) -> None:
    routed(route)

    asked.apply_async(**options)

    assert sent[0].queue == queue
    info = Context.of(sent[0]).delivery_info
    assert (info["exchange"], info["routing_key"]) == ("", queue)


@pytest.mark.parametrize(
    ("route", "options", "queue"),
    [
        ({"addresses.*": {"routing_key": "images"}}, {}, "images"),
        ({"addresses.*": {"queue": "big", "routing_key": "images", "exchange": "media"}}, {}, "big"),
        ({"addresses.*": {"routing_key": "images"}}, {"routing_key": "own"}, "own"),
        ({"addresses.*": {"queue": "big"}}, {"routing_key": "own"}, "big"),
    ],
)
def test_opt_26_a_queue_goes_before_a_routing_key_whoever_names_it(
    sent: list[TaskMessage], routed: Callable[..., None], route: Any, options: Any, queue: str
) -> None:
    """As in Celery, where options are merged first and the queue decides then."""
    routed(route)

    plain.apply_async(**options)

    assert sent[0].queue == queue


@pytest.mark.parametrize("route", [(), {"elsewhere.*": "big"}, {"addresses.*": {"exchange": "media"}}])
def test_opt_25_an_exchange_that_is_not_declared_is_refused_with_advice(
    sent: list[TaskMessage], routed: Callable[..., None], route: Any
) -> None:
    routed(route)

    with pytest.raises(
        ValueError, match=r"No exchange 'media' is declared.*Bind a queue to it.*write queue=.* own, big"
    ):
        plain.apply_async(exchange="media", routing_key="images.small")
    assert sent == []


EXCHANGES: Any = {
    "own": None,
    "big": {"exchange": "sizes", "routing_key": "large"},
    "small": {"exchange": "sizes", "routing_key": "small"},
    "images": {"exchange": "media", "exchange_type": "topic", "routing_key": "images.#"},
    "previews": {"exchange": "media", "exchange_type": "topic", "binding_key": "*.small"},
    "here": {"exchange": "everywhere", "exchange_type": "fanout"},
    "there": {"exchange": "everywhere", "exchange_type": "fanout"},
}


@pytest.mark.parametrize(
    ("asked", "route", "options", "expected"),
    [
        (
            plain,
            (),
            {"exchange": "media", "routing_key": "images.small"},
            ("images", "media", "images.small"),
        ),
        (
            plain,
            (),
            {"exchange": "media", "routing_key": "films.small"},
            ("previews", "media", "films.small"),
        ),
        (plain, (), {"exchange": "sizes", "routing_key": "large"}, ("big", "sizes", "large")),
        (plain, (), {"exchange": "sizes", "routing_key": "small"}, ("small", "", "small")),
        (plain, (), {"exchange": "everywhere"}, ("here", "everywhere", "")),
        (plain, (), {"exchange": "everywhere", "routing_key": "x"}, ("here", "everywhere", "x")),
        (plain, (), {"exchange": "own", "routing_key": "own"}, ("own", "", "own")),
        (plain, (), {"exchange": "media", "routing_key": "images.small", "queue": "own"}, ("own", "", "own")),
        (queued, (), {"exchange": "sizes", "routing_key": "large"}, ("own", "", "own")),
        (
            plain,
            {"addresses.*": {"exchange": "media", "routing_key": "images.x"}},
            {},
            ("images", "media", "images.x"),
        ),
        (
            plain,
            {"addresses.*": {"exchange": "media"}},
            {"routing_key": "x.small"},
            ("previews", "media", "x.small"),
        ),
        (
            plain,
            {"addresses.*": {"queue": "own"}},
            {"exchange": "sizes", "routing_key": "large"},
            ("own", "", "own"),
        ),
    ],
)
def test_exe_14_opt_25_26_an_exchange_delivers_by_the_routing_key(
    sent: list[TaskMessage], settings: Any, asked: Task, route: Any, options: Any, expected: Any
) -> None:
    """FEATURES ADV-01, OPT-24: a queue goes before both, whoever names it."""
    settings.DJANGO_TASKS = {"TASK_QUEUES": EXCHANGES, "TASK_ROUTES": route}

    asked.apply_async(**options)

    info = Context.of(sent[0]).delivery_info
    assert (sent[0].queue, info["exchange"], info["routing_key"]) == expected


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"exchange": "media"}, r"'media' has no queue for routing_key=''.*bound by: images\.#, \*\.small"),
        ({"exchange": "media", "routing_key": "films"}, r"'media' has no queue for routing_key='films'"),
        (
            {"exchange": "sizes", "routing_key": "larg"},
            r"routing_key='larg'\. Did you mean 'large'\? .*add a binding",
        ),
        (
            {"exchange": "medi", "routing_key": "x"},
            r"No exchange 'medi' is declared\. Did you mean 'media'\?",
        ),
    ],
)
@pytest.mark.parametrize("mandatory", [True, None])
def test_opt_27_an_exchange_that_has_no_queue_for_it_is_an_error_mandatory_or_not(
    sent: list[TaskMessage], settings: Any, options: Any, refusal: str, mandatory: Any
) -> None:
    settings.DJANGO_TASKS = {"TASK_QUEUES": EXCHANGES}

    with pytest.raises(Unroutable, match=refusal):
        plain.apply_async(**options, mandatory=mandatory)
    assert sent == []


@pytest.mark.parametrize(
    ("asked", "options", "mandatory"),
    [
        (keyed, {}, True),
        (keyed, {"mandatory": False}, False),
        (plain, {"mandatory": True}, True),
        (plain, {}, False),
    ],
)
def test_opt_27_a_broker_is_asked_to_say_if_it_finds_no_queue(
    sent: list[TaskMessage], asked: Task, options: Any, mandatory: bool
) -> None:
    asked.apply_async(**options)

    assert sent[0].mandatory is mandatory


@pytest.mark.parametrize("options", [{"routing_key": "imges"}, {"routing_key": "imges", "mandatory": True}])
def test_opt_27_what_cannot_be_delivered_is_an_error_mandatory_or_not(
    sent: list[TaskMessage], options: Any
) -> None:
    with pytest.raises(UnknownQueue, match=r"No queue 'imges' is declared\. Did you mean 'images'"):
        plain.apply_async(**options)
    assert sent == []


def test_opt_28_immediate_is_refused_where_it_is_written(sent: list[TaskMessage]) -> None:
    with pytest.raises(ValueError, match=r"immediate=True .* RabbitMQ removed .* expires="):
        plain.apply_async(immediate=True)
    with pytest.raises(ValueError, match=r"immediate=True .* RabbitMQ removed .* expires="):
        task(name="addresses.hasty", immediate=True)(lambda: None)
    assert sent == []
