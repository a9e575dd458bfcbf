"""The loggers of tasks."""

from __future__ import annotations

import logging

import pytest

from django_tasks import get_task_logger, task
from django_tasks.definition.request import Context, running
from django_tasks.message.message import TaskMessage


@task
def work() -> None: ...


@task
def helper() -> None: ...


CONTEXT = Context.of(TaskMessage(id="an-id", task=work.name))


def said(caplog: pytest.LogCaptureFixture) -> tuple[str, object, object]:
    (record,) = caplog.records
    about = vars(record)
    return record.name, about["task_name"], about["task_id"]


@pytest.fixture(autouse=True)
def at_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="django_tasks.task")


def test_a_task_s_logger_carries_its_name_and_the_id_of_the_run(caplog: pytest.LogCaptureFixture) -> None:
    with running(work, CONTEXT):
        work.get_logger().info("Running %s", "here")

    assert said(caplog) == (f"django_tasks.task.{work.name}", work.name, "an-id")
    assert caplog.messages == ["Running here"]
    assert caplog.records[0].funcName.startswith("test_")


def test_a_task_s_logger_outside_of_its_runs_carries_no_id(caplog: pytest.LogCaptureFixture) -> None:
    with running(work, CONTEXT):
        helper.get_logger().info("called as a function")

    assert said(caplog) == (f"django_tasks.task.{helper.name}", helper.name, None)


def test_a_module_s_logger_carries_the_task_that_is_running(caplog: pytest.LogCaptureFixture) -> None:
    logger = get_task_logger("blog.tasks")

    with running(work, CONTEXT):
        logger.info("here", extra={"comment": 5})

    assert said(caplog) == ("django_tasks.task.blog.tasks", work.name, "an-id")
    assert vars(caplog.records[0])["comment"] == 5


def test_a_module_s_logger_outside_of_tasks_carries_nothing(caplog: pytest.LogCaptureFixture) -> None:
    get_task_logger("blog.tasks").info("here")

    assert said(caplog) == ("django_tasks.task.blog.tasks", None, None)
