"""Addresses as AMQP has them, where there is one exchange: the default one, which delivers by the queue's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from django_tasks import Task, task
from django_tasks.definition.context import Context
from django_tasks.exceptions import UnknownQueue
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
def test_opt_25_another_exchange_is_refused_with_advice(
    sent: list[TaskMessage], routed: Callable[..., None], route: Any
) -> None:
    routed(route)

    with pytest.raises(
        ValueError, match=r"exchange='media' does not say which queue.*write queue=.* own, big"
    ):
        plain.apply_async(exchange="media", routing_key="images.small")
    assert sent == []


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
