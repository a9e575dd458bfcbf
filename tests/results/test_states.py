"""States that a task shows of its own, and those that it can be asked for (FEATURES §13)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import override_settings

from django_tasks import AbortableAsyncResult, AbortableTask, AsyncResult, Task, states, task
from django_tasks.exceptions import EncodeError, Ignore, ResultTooLarge
from django_tasks.models import TaskResult

Send = Callable[..., str]
End = Callable[..., None]


@task(bind=True)
def count(self: Task[..., Any], to: int) -> int:
    for number in range(1, to):
        self.update_state(state="PROGRESS", meta={"current": number, "total": to})
    return to


@task(bind=True)
def show(self: Task[..., Any], state: Any, meta: Any = None) -> str:
    self.update_state(state=state, meta=meta)
    return "shown"


@task(bind=True, base=AbortableTask)
def crawl(self: AbortableTask[..., Any]) -> str:
    return "stopped" if self.is_aborted() else "done"


# -- from inside


def test_called_like_a_function_nothing_is_shown_and_no_database_is_asked() -> None:
    """FEATURES STA-11. Without a mark of pytest-django every query would be an error here."""
    assert count(3) == 3


def test_run_where_it_is_sent_a_task_keeps_what_it_showed() -> None:
    """FEATURES STA-10."""
    result = count.apply((3,))

    assert [(record.status, record.result) for record in result.shown] == [
        ("PROGRESS", {"current": 1, "total": 3}),
        ("PROGRESS", {"current": 2, "total": 3}),
    ]
    assert (result.state, result.get()) == ("SUCCESS", 3)


def test_what_an_eager_run_showed_is_told_to_who_gets_it() -> None:
    told: list[tuple[Any, ...]] = []

    count.apply((2,)).get(on_message=lambda body: told.append((body["status"], body["result"])))

    assert told == [("PROGRESS", {"current": 1, "total": 2}), ("SUCCESS", 2)]


@pytest.mark.parametrize("state", sorted(states.READY_STATES | {"RETRY", "IGNORED", "REJECTED", "ABORTED"}))
def test_a_state_that_a_task_comes_to_by_its_end_is_refused_with_advice(state: str) -> None:
    with pytest.raises(
        ValueError, match=f"{state} is a state that a task comes to by its end: return for SUCCESS"
    ):
        show.apply((state,), throw=True)


@pytest.mark.parametrize("state", [None, "", "x" * 51, "two\nlines", 5, ["PROGRESS"]])
def test_what_is_no_name_of_a_state_is_refused_with_advice(state: Any) -> None:
    with pytest.raises(ValueError, match="state must be a name of at most 50 printable characters"):
        show.apply((state,), throw=True)


def test_what_cannot_be_stored_is_refused_where_it_is_said() -> None:
    @task(bind=True)
    def broken(self: Task[..., Any]) -> str:
        try:
            self.update_state(state="PROGRESS", meta={"open": object()})
        except EncodeError as error:
            return str(error)
        return ""

    assert "meta['open']" in broken.apply().get()


@override_settings(DJANGO_TASKS={"RESULT_MAX_BYTES": 1000})
def test_what_is_too_large_is_refused_where_it_is_said() -> None:
    with pytest.raises(ResultTooLarge, match="meta takes 1,002 bytes as JSON, and 1,000 are the most"):
        show.apply(("PROGRESS", "x" * 1000), throw=True)


@task(bind=True)
def upload_files(self: Task[..., Any], filenames: list[str]) -> None:
    for i, _ in enumerate(filenames):
        if not self.request.called_directly:
            self.update_state(state="PROGRESS", meta={"current": i, "total": len(filenames)})


def test_the_guides_upload_shows_its_progress_and_can_be_called_directly() -> None:
    """FEATURES STA-11, EXM-07."""
    upload_files(["a.png", "b.png"])

    shown = upload_files.apply((["a.png", "b.png"],)).shown

    assert [record.result for record in shown] == [{"current": 0, "total": 2}, {"current": 1, "total": 2}]


# -- from outside


@pytest.mark.django_db
def test_another_task_can_be_shown_in_a_state(send: Send) -> None:
    id = send(status="STARTED", claimed_by="worker")

    show.update_state(task_id=id, state="PROGRESS", meta={"current": 5})

    handle = AsyncResult[Any](id)
    assert (handle.state, handle.info) == ("PROGRESS", {"current": 5})
    assert TaskResult.objects.get(id=id).claimed_by == "worker"


@pytest.mark.django_db
def test_a_task_that_has_ended_keeps_its_state(send: Send, end: End) -> None:
    """FEATURES STA-07."""
    id = send()
    end(id, 5)

    show.update_state(task_id=id, state="PROGRESS")

    assert (AsyncResult[Any](id).state, AsyncResult[Any](id).get()) == ("SUCCESS", 5)


@pytest.mark.django_db
def test_of_an_unknown_task_nothing_can_be_shown() -> None:
    show.update_state(task_id="nobody's", state="PROGRESS")

    assert not TaskResult.objects.exists()


@pytest.mark.django_db
def test_a_state_is_replaced_by_the_next_one(send: Send) -> None:
    """FEATURES STA-07, STA-09."""
    id = send()

    for state in ("FIRST", "second state"):
        show.update_state(task_id=id, state=state, meta=state)

    assert (AsyncResult[Any](id).state, AsyncResult[Any](id).info) == ("second state", "second state")


# -- words


def test_the_sets_of_states_are_celerys() -> None:
    """FEATURES STA-08."""
    assert frozenset({"SUCCESS", "FAILURE", "REVOKED"}) == states.READY_STATES
    assert frozenset({"FAILURE", "REVOKED"}) == states.PROPAGATE_STATES == states.FAILURE_STATES
    assert frozenset({"RETRY", "FAILURE", "REVOKED"}) == states.EXCEPTION_STATES
    assert (
        frozenset({"PENDING", "RECEIVED", "STARTED", "RETRY"}) <= states.UNREADY_STATES <= states.ALL_STATES
    )


def test_states_have_an_order_for_monitors() -> None:
    """FEATURES STA-13."""
    heard = [
        "PENDING",
        "RETRY",
        "REJECTED",
        "RECEIVED",
        "STARTED",
        "REVOKED",
        "PROGRESS",
        "FAILURE",
        "SUCCESS",
    ]

    assert sorted(sorted(heard), key=states.precedence, reverse=True) == heard
    assert states.precedence("PROGRESS") == states.precedence("ANYTHING")


# -- asking to stop


@pytest.mark.django_db
@pytest.mark.parametrize(
    "fields", [{}, {"status": "STARTED", "claimed_by": "worker"}, {"status": "PROGRESS"}]
)
def test_a_task_that_goes_on_can_be_asked_to_stop(send: Send, fields: dict[str, str]) -> None:
    """FEATURES STA-12."""
    handle: AbortableAsyncResult[Any] = AbortableAsyncResult(send(**fields))
    before = handle.is_aborted()

    assert handle.abort()

    assert (before, handle.is_aborted(), handle.state, handle.ready()) == (False, True, "ABORTED", False)


@pytest.mark.django_db
def test_a_task_that_ended_or_is_unknown_cannot_be_asked_to_stop(send: Send, end: End) -> None:
    ended: AbortableAsyncResult[Any] = AbortableAsyncResult(send())
    end(ended.id, 5)

    assert not ended.abort()
    assert not AbortableAsyncResult[Any]("nobody's").abort()
    assert (ended.state, ended.is_aborted()) == ("SUCCESS", False)


@pytest.mark.django_db
def test_progress_shown_later_does_not_undo_the_wish_to_stop(send: Send) -> None:
    handle: AbortableAsyncResult[Any] = AbortableAsyncResult(send(status="STARTED", claimed_by="worker"))
    handle.abort()

    show.update_state(task_id=handle.id, state="PROGRESS")

    assert (handle.is_aborted(), handle.state) == (True, "ABORTED")


@pytest.mark.django_db
def test_an_aborted_task_ends_as_its_body_ends(send: Send, end: End) -> None:
    handle: AbortableAsyncResult[Any] = AbortableAsyncResult(send())
    handle.abort()

    end(handle.id, "stopped")

    assert (handle.state, handle.get(), handle.is_aborted()) == ("SUCCESS", "stopped", True)


@pytest.mark.django_db
def test_an_abortable_task_has_handles_that_abort(send: Send) -> None:
    assert isinstance(crawl.delay(), AbortableAsyncResult)
    assert isinstance(crawl.AsyncResult("id"), AbortableAsyncResult)
    assert crawl.delay().state == "PENDING"


@pytest.mark.django_db
def test_run_here_an_abortable_task_is_not_aborted() -> None:
    assert crawl() == crawl.apply().get() == "done"


def test_a_run_that_is_ignored_shows_so() -> None:
    @task(bind=True)
    def ignoring(self: Task[..., Any]) -> None:
        self.update_state(state="PROGRESS")
        raise Ignore

    result = ignoring.apply()

    assert ([record.status for record in result.shown], result.state) == (["PROGRESS"], "IGNORED")
