"""The lines of a task's life, and what a worker's log looks like (FEATURES LOG-01, LOG-03, LOG-05, LOG-06, OPT-21)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_tasks import Task, get_task_logger, task
from django_tasks.definition.worker_log import WorkerLog, set_worker_log, worker_log
from django_tasks.execution import news
from django_tasks.execution.outcome import Request
from django_tasks.message.message import TaskMessage
from django_tasks.worker import log

logger = get_task_logger("lines")


@task(name="lines.add", bind=True)
def add(self: Task[..., Any], x: int, y: int) -> int:
    self.get_logger().info("adding")
    logger.info("adding, says the module")
    return x + y


@task(name="lines.fail")
def fail() -> None:
    raise ValueError("bang")


@task(name="lines.expected", throws=(ValueError,))
def expected() -> None:
    raise ValueError("as usual")


@task(name="lines.again", bind=True, default_retry_delay=0)
def again(self: Task[..., Any]) -> None:
    logging.getLogger("django_tasks.task").debug("attempt %d", self.request.retries + 1)
    if not self.request.retries:
        raise self.retry(exc=ValueError("busy"))


@task(name="lines.look", bind=True)
def look(self: Task[..., Any]) -> list[Any]:
    return [self.request.logfile, self.request.loglevel]


def lines(caplog: pytest.LogCaptureFixture, id: str) -> list[tuple[str, str]]:
    return [
        (record.levelname, record.message.replace(id, "ID"))
        for record in caplog.records
        if record.name == "django_tasks.task"
    ]


def test_log_06_a_success_is_told_with_its_seconds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="django_tasks")

    result = add.apply((2, 3))

    (started, succeeded) = lines(caplog, result.id)
    assert started == ("DEBUG", "Task lines.add[ID] started")
    assert succeeded[0] == "INFO"
    assert succeeded[1].startswith("Task lines.add[ID] succeeded in 0.")


def test_log_06_an_unexpected_exception_is_told_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    result = fail.apply()

    assert lines(caplog, result.id) == [("ERROR", "Task lines.fail[ID] raised unexpected ValueError('bang')")]
    assert caplog.records[0].exc_info is not None


def test_opt_21_an_expected_exception_is_told_at_info_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="django_tasks")

    result = expected.apply()

    assert result.state == "FAILURE"
    assert lines(caplog, result.id) == [
        ("INFO", "Task lines.expected[ID] raised expected ValueError('as usual')")
    ]
    assert not caplog.records[0].exc_info


def test_log_06_a_retry_is_told_and_each_line_says_which_attempt_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="django_tasks")

    result = again.apply()

    retry, succeeded = caplog.records
    assert retry.message == f"Task lines.again[{result.id}] retry: Retry in 0 s: ValueError('busy')"
    assert [vars(record)["attempt"] for record in (retry, succeeded)] == [1, 2]


def test_log_01_log_02_every_record_carries_task_name_id_queue_and_attempt(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger="django_tasks")

    result = add.apply((2, 3), queue="other")

    assert len(caplog.records) == 4
    for record in caplog.records:
        about = vars(record)
        assert (about["task_name"], about["task_id"], about["queue"], about["attempt"]) == (
            "lines.add",
            result.id,
            "other",
            1,
        )


def test_lines_nobody_reads_are_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news.logger, "log", lambda *args, **kwargs: pytest.fail("made"))
    logging.getLogger("django_tasks").setLevel(logging.ERROR)
    try:
        assert add.apply((2, 3)).get() == 5
    finally:
        logging.getLogger("django_tasks").setLevel(logging.NOTSET)


# -- the worker's own log


@pytest.fixture
def clean_logger() -> Iterator[logging.Logger]:
    """The app's logger, as it is before a worker begins; afterwards as it was."""
    ours = logging.getLogger("django_tasks")
    handlers, level = list(ours.handlers), ours.level
    yield ours
    for handler in set(ours.handlers) - set(handlers):
        handler.close()
    ours.handlers, ours.level = handlers, level
    set_worker_log(WorkerLog())


@pytest.mark.usefixtures("clean_logger")
def test_log_05_req_24_req_25_the_log_is_appended_to_the_file_and_requests_know_it(tmp_path: Path) -> None:
    file = tmp_path / "worker.log"
    file.write_text("what was there\n")

    log.configure("info", str(file))
    result = look.apply()

    assert result.get() == [str(file), logging.INFO]
    first, *rest = file.read_text().splitlines()
    assert first == "what was there"
    assert f"Task lines.look[{result.id}] succeeded" in rest[-1]


def test_req_24_req_25_outside_of_workers_requests_know_of_no_log() -> None:
    assert worker_log() == WorkerLog()
    assert look.apply().get() == [None, None]


@pytest.mark.usefixtures("clean_logger")
def test_what_a_task_logs_has_its_task_in_front_and_the_other_lines_name_it_once(tmp_path: Path) -> None:
    file = tmp_path / "worker.log"

    log.configure("info", str(file))
    result = add.apply((2, 3))
    logging.getLogger("django_tasks.worker").info("Something about the worker")

    texts = [line.split("] ", 1)[1] for line in file.read_text().splitlines()]
    name = f"lines.add[{result.id}]"
    assert texts[:2] == [f"{name}: adding", f"{name}: adding, says the module"]
    assert texts[2].startswith(f"Task {name} succeeded in ")
    assert texts[3] == "Something about the worker"


@pytest.mark.usefixtures("clean_logger")
def test_log_03_below_the_level_nothing_is_logged(tmp_path: Path) -> None:
    file = tmp_path / "worker.log"

    log.configure("warning", str(file))
    add.apply((2, 3))

    assert file.read_text() == ""


@pytest.mark.usefixtures("clean_logger")
def test_a_log_rotated_by_another_program_is_opened_anew(tmp_path: Path) -> None:
    file = tmp_path / "worker.log"

    log.configure("info", str(file))
    add.apply((2, 3))
    file.rename(tmp_path / "worker.log.1")
    result = add.apply((2, 3))

    assert result.id in file.read_text()


def test_a_file_that_cannot_be_written_to_is_said_so(clean_logger: logging.Logger, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        log.configure("info", str(tmp_path / "nowhere" / "worker.log"))

    assert worker_log().file is None


@pytest.mark.parametrize(
    ("tell", "words"),
    [
        (lambda request: news.received([request]), "received"),
        (lambda request: news.discarded([request]), "revoked: not run"),
        (lambda request: news.terminated(request), "revoked: terminated"),
        (lambda request: news.stopped([request]), "revoked: terminated before it could run"),
        (lambda request: news.lost(request, "It fell."), "lost its worker: It fell."),
    ],
)
def test_what_happens_outside_of_a_run_is_told_in_the_same_words(
    caplog: pytest.LogCaptureFixture, tell: Any, words: str
) -> None:
    caplog.set_level(logging.DEBUG, logger="django_tasks")
    message = TaskMessage(id="an-id", task="no.such", queue="other", retries=1)

    tell(Request(message=message, worker="worker@host"))

    (record,) = caplog.records
    assert record.message == f"Task no.such[an-id] {words}"
    assert (vars(record)["queue"], vars(record)["attempt"]) == ("other", 2)
