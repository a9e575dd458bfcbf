"""The caller's handle: what it tells, and that it asks no more than it must."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_tasks import AsyncResult, exceptions
from django_tasks.exceptions import DuplicateTaskId, TaskRevokedError
from django_tasks.models import TaskResult

pytestmark = pytest.mark.django_db

Send = Callable[..., str]
End = Callable[..., None]


def result(id: str) -> AsyncResult[Any]:
    return AsyncResult(id)


def stored_error(send: Send, text: str) -> AsyncResult[Any]:
    return result(send(status="FAILURE", result=text))


# -- what it tells


@pytest.mark.parametrize("id", ["nobody's", "", "x" * 10_000, "NUL \x00", "'; --", "ü\U0001f600"])
def test_an_unknown_id_is_pending(id: str) -> None:
    """FEATURES RES-01, STA-01."""
    handle = result(id)

    assert (handle.state, handle.result, handle.traceback, handle.name) == ("PENDING", None, None, None)
    assert not handle.ready()


def test_a_waiting_task_is_pending_and_known(send: Send) -> None:
    """FEATURES RES-07, RES-11, STA-01."""
    handle = result(send())

    assert (handle.state, handle.name) == ("PENDING", "tests.task")
    assert not handle.ready()
    assert not handle.successful()
    assert not handle.failed()


def test_a_success_has_a_value(send: Send, end: End) -> None:
    """FEATURES RES-02, RES-08, RES-11, STA-03."""
    handle = result(send())

    end(handle.id, {"sum": 3, "text": "ü\U0001f600"})

    assert handle.ready()
    assert handle.successful()
    assert handle.result == handle.info == handle.get() == {"sum": 3, "text": "ü\U0001f600"}


def test_a_failure_has_an_exception_and_a_traceback(send: Send, end: End) -> None:
    """FEATURES RES-08, RES-09, RES-11, STA-04."""
    handle = result(send())

    end(handle.id, error=ValueError("no", 5))

    assert handle.ready()
    assert handle.failed()
    assert not handle.successful()
    assert isinstance(handle.result, ValueError)
    assert handle.result.args == ("no", 5)
    assert handle.traceback == "Traceback: line 1"


def test_none_is_a_value(send: Send, end: End) -> None:
    handle = result(send())

    end(handle.id, None)

    assert handle.get() is None
    assert handle.successful()


def test_a_custom_state_shows_what_it_carries(send: Send) -> None:
    """FEATURES RES-08."""
    handle = result(send(status="PROGRESS", result='{"done": 50}'))

    assert (handle.state, handle.info) == ("PROGRESS", {"done": 50})
    assert not handle.ready()


def test_a_retry_shows_the_exception_it_is_for(send: Send) -> None:
    """FEATURES STA-05."""
    handle = result(
        send(status="RETRY", result='{"exc_type": "OSError", "exc_module": "builtins", "exc_message": ["x"]}')
    )

    assert isinstance(handle.result, OSError)
    assert not handle.ready()


# -- exceptions


def test_a_failure_is_raised_again_by_get(send: Send, end: End) -> None:
    """FEATURES RES-02, STA-04."""
    handle = result(send())
    end(handle.id, error=ValueError("no"))

    with pytest.raises(ValueError, match="no"):
        handle.get()


def test_a_failure_is_returned_if_it_must_not_propagate(send: Send, end: End) -> None:
    """FEATURES RES-04."""
    handle = result(send())
    end(handle.id, error=ValueError("no"))

    assert isinstance(handle.get(propagate=False), ValueError)


def test_an_exception_of_ours_is_rebuilt(send: Send, end: End) -> None:
    """FEATURES RES-15."""
    handle = result(send())
    end(handle.id, error=DuplicateTaskId("x"))

    with pytest.raises(DuplicateTaskId):
        handle.get()


def test_an_unknown_class_is_stood_in_for_by_one_of_its_name(send: Send) -> None:
    """FEATURES RES-15."""
    handle = stored_error(
        send, '{"exc_type": "Refused", "exc_module": "no.such.module", "exc_message": ["why"]}'
    )

    with pytest.raises(Exception, match="why") as raised:
        handle.get()

    assert type(raised.value).__name__ == "Refused"
    assert type(raised.value).__module__ == "no.such.module"
    assert type(raised.value).__bases__ == (Exception,)


def test_a_class_that_wants_other_arguments_is_stood_in_for(send: Send, end: End) -> None:
    class Demanding(Exception):
        def __init__(self, *, code: int) -> None:
            super().__init__(f"code {code}")

    module = types.ModuleType("demanding")
    module.Demanding = Demanding  # type: ignore[attr-defined]
    Demanding.__module__, Demanding.__qualname__ = "demanding", "Demanding"
    sys.modules["demanding"] = module
    handle = result(send())
    end(handle.id, error=Demanding(code=7))

    with pytest.raises(Exception, match="code 7") as raised:
        handle.get()

    del sys.modules["demanding"]
    assert type(raised.value).__name__ == "Demanding"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("builtins", "int"),
        ("subprocess", "Popen"),
        ("os", "path.join"),
    ],
)
def test_nothing_but_an_exception_class_is_ever_called(send: Send, module: str, name: str) -> None:
    """FEATURES RES-15."""
    text = f'{{"exc_type": "{name}", "exc_module": "{module}", "exc_message": ["exit 1"]}}'

    error = stored_error(send, text).get(propagate=False)

    assert isinstance(error, Exception)
    assert type(error).__bases__ == (Exception,)


def test_no_module_is_imported_for_an_exception(send: Send) -> None:
    stored_error(send, '{"exc_type": "X", "exc_module": "this", "exc_message": []}').get(propagate=False)

    assert "this" not in sys.modules


@pytest.mark.parametrize("text", ["null", "5", '"text"', "[]", "{}", '{"exc_type": 5}', '{"exc_type": "X"}'])
def test_a_failure_that_somebody_wrote_by_hand_is_an_exception_still(send: Send, text: str) -> None:
    assert isinstance(stored_error(send, text).get(propagate=False), BaseException)


def test_a_failure_without_any_result_is_an_exception_still(send: Send) -> None:
    with pytest.raises(Exception, match="None"):
        result(send(status="FAILURE")).get()


# -- asking no more than it must


def test_nothing_is_asked_before_an_attribute_is() -> None:
    with CaptureQueriesContext(connection) as asked:
        handle = result("x")
        assert (handle.id, handle.task_id, str(handle)) == ("x", "x", "x")
        assert handle == result("x")
        assert {handle, result("x")} == {handle}
        assert "x" in repr(handle)

    assert not len(asked)


def test_an_ending_is_asked_for_once(send: Send, end: End) -> None:
    """FEATURES RES-13."""
    handle = result(send())
    end(handle.id, 5)

    with CaptureQueriesContext(connection) as asked:
        assert handle.ready()
        assert (handle.get(), handle.get(), handle.state, handle.traceback) == (5, 5, "SUCCESS", None)

    assert len(asked) == 1


def test_what_is_not_final_is_asked_for_again(send: Send, end: End) -> None:
    handle = result(send())
    assert not handle.ready()

    end(handle.id, 5)

    assert handle.ready()


# -- forgetting and revoking


def test_a_forgotten_ending_is_unknown(send: Send, end: End) -> None:
    """FEATURES RES-12."""
    handle = result(send())
    end(handle.id, 5)
    handle.get()

    handle.forget()

    assert handle.state == "PENDING"
    assert not TaskResult.objects.exists()


def test_a_task_that_is_to_run_is_not_forgotten(send: Send) -> None:
    result(send()).forget()

    assert TaskResult.objects.count() == 1


def test_a_waiting_task_can_be_revoked(send: Send) -> None:
    """FEATURES RES-12, STA-06."""
    handle = result(send())

    assert handle.revoke()
    assert (handle.state, handle.ready()) == ("REVOKED", True)
    with pytest.raises(TaskRevokedError):
        handle.get()


def test_a_task_that_has_begun_or_ended_or_is_unknown_cannot_be_revoked(send: Send, end: End) -> None:
    running, ended = result(send(claimed_by="worker")), result(send())
    end(ended.id, 1)

    assert not running.revoke()
    assert not ended.revoke()
    assert not result("unknown").revoke()
    assert ended.state == "SUCCESS"


def test_our_timeout_is_pythons_too() -> None:
    assert issubclass(exceptions.TimeoutError, TimeoutError)
