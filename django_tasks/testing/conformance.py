"""The tests that each implementation of one of our interfaces must pass; ours pass them, too.

For a result store:

    from django.test import TransactionTestCase
    from django_tasks.testing.conformance import ResultStoreConformance

    class ArchiveTest(ResultStoreConformance, TransactionTestCase):
        store = "shop.results.Archive"
"""
# ruff: noqa: PT009, PT027 - written for both pytest and Django's own runner

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connections, transaction
from django.test import TransactionTestCase, override_settings

from django_tasks import clock, conf
from django_tasks.dispatch.now import send
from django_tasks.exceptions import TaskRevokedError
from django_tasks.execution.outcome import Failed, Outcome, Reported, Request, Retried, Succeeded
from django_tasks.execution.settlement import settle
from django_tasks.message.errors import write_error
from django_tasks.message.message import TaskMessage
from django_tasks.message.serialization import dumps
from django_tasks.message.task_id import new_task_id
from django_tasks.models import TaskResult
from django_tasks.results.async_result import AsyncResult
from django_tasks.results.handler import store as current_store
from django_tasks.results.result_set import ResultSet

if TYPE_CHECKING:
    Base = TransactionTestCase
else:
    Base = object

OWNER = "conformance"
#: Seconds to wait for what must come.
PATIENCE = 30.0
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1.5, "", "text with ü, \U0001f600, \u2028 and \x00", [], {}, [None, {"deep": [1]}]),
    *(dt.datetime(2026, 3, 29, 1, 30, tzinfo=dt.UTC), dt.date(2024, 2, 29), Decimal("0.10"), 10**30),
)


class ResultStoreConformance(Base):
    """Mix it into a `TransactionTestCase` and name the store: what `RESULT_STORE` would be."""

    store: str

    def setUp(self) -> None:
        super().setUp()
        values = {**getattr(settings, conf.NAME, {}), "RESULT_STORE": self.store}
        self.enterContext(override_settings(**{conf.NAME: values}))

    # -- what a caller is told

    def test_an_id_that_nobody_knows_is_pending(self) -> None:
        for id in ("nobody's", "", "x" * 10_000, "NUL \x00", "a b\n", "../../etc", "ü\U0001f600", "%s {0}"):
            handle = AsyncResult[Any](id)

            self.assertEqual((handle.state, handle.result, handle.traceback), ("PENDING", None, None))

    def test_a_task_that_was_sent_is_pending(self) -> None:
        self.assertEqual(AsyncResult[Any](self.sent().id).state, "PENDING")

    def test_every_kind_of_value_comes_back(self) -> None:
        for value in VALUES:
            handle = self.ended(value)

            self.assertEqual((handle.state, handle.get(timeout=PATIENCE)), ("SUCCESS", value))

    def test_a_long_value_comes_back(self) -> None:
        value = ["x" * 1_000] * 900

        self.assertEqual(self.ended(value).get(timeout=PATIENCE), value)

    def test_the_moment_of_the_end_is_exact(self) -> None:
        request = self.claimed()
        moment = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=dt.UTC)

        self.settled(succeeded(request, 1, moment))

        self.assertEqual(AsyncResult[Any](request.message.id).date_done, moment)

    def test_a_failure_is_raised_again_and_has_a_traceback(self) -> None:
        request = self.claimed()

        self.settled(failed(request, ValueError("no", 5)))

        handle = AsyncResult[Any](request.message.id)
        with self.assertRaises(ValueError) as raised:
            handle.get(timeout=PATIENCE)
        self.assertEqual(raised.exception.args, ("no", 5))
        self.assertEqual((handle.state, handle.traceback), ("FAILURE", "Traceback: ü"))

    def test_a_revoked_task_says_so(self) -> None:
        handle = AsyncResult[Any](self.sent().id)

        handle.revoke()

        self.assertEqual(handle.state, "REVOKED")
        with self.assertRaises(TaskRevokedError):
            handle.get(timeout=PATIENCE)

    def test_states_on_the_way_are_told(self) -> None:
        request = self.claimed()
        handle = AsyncResult[Any](request.message.id)

        self.settled(Reported(request=request, state="PROGRESS", text='{"done": 50}', started_at=clock.now()))
        progress = (handle.state, handle.info, handle.ready())
        again = Retried(
            request=request,
            message=request.message,
            error=write_error(OSError("busy")),
            traceback=None,
            started_at=clock.now(),
            finished_at=clock.now(),
        )
        self.settled(again)

        self.assertEqual(progress, ("PROGRESS", {"done": 50}, False))
        self.assertEqual((handle.state, type(handle.info), handle.ready()), ("RETRY", OSError, False))

    def test_many_end_at_once(self) -> None:
        requests = [self.claimed() for _ in range(60)]

        self.settled(*(succeeded(request, number) for number, request in enumerate(requests)))

        found = [AsyncResult[Any](request.message.id).get(timeout=PATIENCE) for request in requests]
        self.assertEqual(found, list(range(60)))

    def test_many_are_looked_up_at_once(self) -> None:
        handles = [self.ended(number) for number in range(20)]
        waiting, unknown = AsyncResult[Any](self.sent().id), AsyncResult[Any]("nobody's NUL \x00")

        kept = current_store().look_up_many([handle.id for handle in (*handles, waiting, unknown)])
        several = ResultSet([*handles, waiting, unknown])

        for handle in handles:
            self.assertEqual(kept.get(handle.id), current_store().look_up(handle.id))
        self.assertNotIn(waiting.id, kept)
        self.assertEqual((several.completed_count(), several.ready(), several.failed()), (20, False, False))
        self.assertEqual(ResultSet(handles).get(timeout=PATIENCE), list(range(20)))

    # -- when

    def test_an_end_is_seen_by_another_thread_that_waits_for_it(self) -> None:
        request = self.claimed()
        found: list[Any] = []

        def wait() -> None:
            try:
                found.append(AsyncResult[Any](request.message.id).get(timeout=PATIENCE))
            finally:
                connections.close_all()

        waiter = threading.Thread(target=wait)
        waiter.start()
        self.settled(succeeded(request, "done"))
        waiter.join(PATIENCE)

        self.assertEqual(found, ["done"])

    def test_an_end_that_was_rolled_back_can_still_be_another_one(self) -> None:
        request = self.claimed()
        with self.assertRaises(ZeroDivisionError), transaction.atomic(using=alias()):
            self.settled(succeeded(request, "not yet"))
            raise ZeroDivisionError

        self.settled(succeeded(request, "now"))

        self.assertEqual(AsyncResult[Any](request.message.id).get(timeout=PATIENCE), "now")

    def test_who_does_not_own_the_task_any_more_is_not_believed(self) -> None:
        request = self.claimed()
        self.settled(succeeded(request, "the owner's"))

        settle([succeeded(request, "a late one's")], "somebody else")

        self.assertEqual(AsyncResult[Any](request.message.id).get(timeout=PATIENCE), "the owner's")

    # -- forgetting

    def test_what_is_forgotten_is_unknown(self) -> None:
        handle, kept = self.ended("secret"), self.ended("kept")
        handle.get(timeout=PATIENCE)

        handle.forget()

        self.assertEqual((handle.state, handle.result), ("PENDING", None))
        self.assertIsNone(current_store().look_up(handle.id))
        self.assertEqual(kept.get(timeout=PATIENCE), "kept")

    def test_many_are_forgotten_at_once(self) -> None:
        handles, kept = [self.ended(number) for number in range(5)], self.ended("kept")

        ResultSet(handles).forget()

        self.assertEqual([handle.state for handle in handles], ["PENDING"] * 5)
        self.assertEqual(current_store().look_up_many([handle.id for handle in handles]), {})
        self.assertEqual(kept.get(timeout=PATIENCE), "kept")

    def test_forgetting_what_is_unknown_is_no_error(self) -> None:
        AsyncResult[Any]("nobody's").forget()

    def test_what_the_store_lost_is_found_in_the_row_if_it_says_so(self) -> None:
        if not current_store().rows_keep_results:
            self.skipTest("this store is the only one to have results")
        handle = self.ended("kept twice")

        current_store().forget(handle.id)

        self.assertEqual(handle.get(timeout=PATIENCE), "kept twice")

    # -- the journey of a task, without a worker

    def sent(self) -> TaskMessage:
        id = new_task_id()
        message = TaskMessage(id=id, task="conformance", root_id=id)
        send([message])
        return message

    def claimed(self) -> Request:
        message = self.sent()
        TaskResult.objects.using(alias()).claim([message.id], OWNER)
        return Request(message=message, worker="worker@conformance")

    def settled(self, *outcomes: Outcome | Reported) -> None:
        settle(outcomes, OWNER)

    def ended(self, value: object) -> AsyncResult[Any]:
        request = self.claimed()
        self.settled(succeeded(request, value))
        return AsyncResult(request.message.id)


def alias() -> str:
    return conf.current().DATABASE


def succeeded(request: Request, value: object, moment: dt.datetime | None = None) -> Succeeded:
    now = moment or clock.now()
    return Succeeded(request=request, result=str(dumps(value).body), started_at=now, finished_at=now)


def failed(request: Request, error: BaseException) -> Failed:
    now = clock.now()
    return Failed(
        request=request,
        error=write_error(error),
        traceback="Traceback: ü",
        started_at=now,
        finished_at=now,
    )


__all__: Sequence[str] = ["ResultStoreConformance"]
