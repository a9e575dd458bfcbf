"""`bulk`, and sending on commit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from django_tasks import AsyncResult, apply_async_on_commit, delay_on_commit, task
from django_tasks.definition import order
from django_tasks.definition import task as task_module
from django_tasks.message.message import TaskMessage

OnCommit = list[tuple[list[TaskMessage], dict[str, Any]]]


@task
def resize(path: str, width: int = 80) -> None: ...


@pytest.mark.django_db
def test_bulk_sends_positional_and_keyword_calls_in_order(sent: list[TaskMessage]) -> None:
    results = resize.bulk([("a.png",), ["b.png", 8], {"path": "c.png", "width": 800}])

    assert [(message.args, message.kwargs) for message in sent] == [
        (("a.png",), {}),
        (("b.png", 8), {}),
        ((), {"path": "c.png", "width": 800}),
    ]
    assert results == [AsyncResult(message.id) for message in sent]
    assert len({message.id for message in sent}) == 3


@pytest.mark.django_db
def test_options_of_bulk_apply_to_all(sent: list[TaskMessage]) -> None:
    resize.bulk([("a.png",), ("b.png",)], priority=3, countdown=60)

    assert {message.priority for message in sent} == {3}
    assert len({message.eta for message in sent}) == 1


@pytest.mark.django_db
def test_bulk_takes_a_generator_and_hands_over_slices_in_one_transaction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(task_module, "SLICE", 10)
    handed: list[tuple[int, int]] = []
    monkeypatch.setattr(
        order, "send", lambda messages: handed.append((len(messages), len(connection.savepoint_ids)))
    )
    outside = len(connection.savepoint_ids)

    results = resize.bulk((f"{number}.png",) for number in range(25))

    assert handed == [(10, outside + 1), (10, outside + 1), (5, outside + 1)]
    assert len(results) == 25


@pytest.mark.django_db
def test_bulk_of_nothing_sends_nothing(sent: list[TaskMessage]) -> None:
    assert resize.bulk([]) == []
    assert sent == []


@pytest.mark.django_db(transaction=True)
def test_one_wrong_call_takes_back_the_slices_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_module, "SLICE", 1)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE handed_over (id varchar(36))")

    def send(messages: list[TaskMessage]) -> None:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO handed_over VALUES (%s)", [messages[0].id])

    monkeypatch.setattr(order, "send", send)

    with pytest.raises(TypeError, match="cannot be called so"):
        resize.bulk([("a.png",), ("b.png",), ()])

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM handed_over")
        assert cursor.fetchone() == (0,)
        cursor.execute("DROP TABLE handed_over")


@pytest.mark.django_db
@pytest.mark.parametrize("call", ["a.png", 5, None, {"a.png"}])
def test_a_call_of_bulk_that_says_not_what_it_is_is_refused(sent: list[TaskMessage], call: Any) -> None:
    with pytest.raises(TypeError, match=r"Each call of bulk must be .* did you mean \("):
        resize.bulk([call])
    assert sent == []


def test_bulk_takes_no_single_id(sent: list[TaskMessage]) -> None:
    with pytest.raises(ValueError, match="task_id names one task"):
        resize.bulk([("a.png",)], task_id="one")
    assert sent == []


def test_sending_on_commit_returns_the_id_at_once(sent_on_commit: OnCommit) -> None:
    result = resize.delay_on_commit("a.png", width=8)

    [([message], how)] = sent_on_commit
    assert (message.id, message.args, message.kwargs) == (result.id, ("a.png",), {"width": 8})
    assert how == {"using": None, "robust": False}


def test_sending_on_commit_takes_options_and_a_database(sent_on_commit: OnCommit) -> None:
    result = resize.apply_async_on_commit(("a.png",), using="other", robust=True, priority=3, task_id="mine")

    [([message], how)] = sent_on_commit
    assert (message.priority, message.id, result.id) == (3, "mine", "mine")
    assert how == {"using": "other", "robust": True}


def test_what_cannot_be_called_is_refused_before_the_commit(sent_on_commit: OnCommit) -> None:
    with pytest.raises(TypeError, match="cannot be called so"):
        resize.apply_async_on_commit()

    assert sent_on_commit == []


def test_the_functions_do_as_the_methods(sent_on_commit: OnCommit) -> None:
    delay_on_commit(resize, "a.png", width=8)
    apply_async_on_commit(resize, ["a.png"], {"width": 8}, using="other", robust=True, priority=3)

    ([first], how_first), ([second], how_second) = sent_on_commit
    assert (first.args, first.kwargs) == (second.args, second.kwargs) == (("a.png",), {"width": 8})
    assert second.priority == 3
    assert how_first == {"using": None, "robust": False}
    assert how_second == {"using": "other", "robust": True}


def test_a_task_may_have_arguments_named_like_ours(sent_on_commit: OnCommit) -> None:
    @task
    def odd(task: str, using: str, args: str) -> None: ...

    delay_on_commit(odd, task="a", using="b", args="c")

    assert sent_on_commit[0][0][0].kwargs == {"task": "a", "using": "b", "args": "c"}


def calls_until_failure() -> Iterator[tuple[str]]:
    yield ("a.png",)
    raise LookupError("the caller's own")


@pytest.mark.django_db
def test_an_error_of_the_caller_s_generator_is_the_caller_s(sent: list[TaskMessage]) -> None:
    with pytest.raises(LookupError, match="the caller's own"):
        resize.bulk(calls_until_failure())
