"""The declarations of options: complete, and in step with what uses them."""

from __future__ import annotations

import dataclasses
import inspect
import typing

import django_tasks
from django_tasks import Task, conf
from django_tasks.definition.options import (
    CALL_KINDS,
    CALL_OPTIONS_TO_COME,
    TASK_KINDS,
    TASK_OPTIONS_TO_COME,
    CallOptions,
    TaskOptions,
)


def test_every_option_of_tasks_has_a_default_and_a_sentence() -> None:
    fields = dataclasses.fields(TaskOptions)

    assert {field.name for field in fields} == set(TASK_KINDS)
    for field in fields:
        assert field.metadata["sentence"].endswith(".")
        assert hasattr(Task, field.name)


def test_every_option_of_calls_has_a_sentence() -> None:
    hints = typing.get_type_hints(CallOptions, include_extras=True)

    assert set(hints) == set(CALL_KINDS)
    for hint in hints.values():
        (sentence,) = hint.__metadata__
        assert sentence.endswith(".")


def test_what_is_to_come_is_not_there_yet() -> None:
    assert not TASK_OPTIONS_TO_COME & set(TASK_KINDS)
    assert not CALL_OPTIONS_TO_COME & set(CALL_KINDS)
    assert [name for name in TASK_OPTIONS_TO_COME if hasattr(Task, name)] == []


def test_the_settings_that_sentences_name_exist() -> None:
    names = {field.name for field in dataclasses.fields(conf.Settings)} | {"TIME_ZONE"}
    sentences = " ".join(field.metadata["sentence"] for field in dataclasses.fields(TaskOptions))

    named = {word.strip("`.;,") for word in sentences.split() if word.strip("`.;,").isupper() and "`" in word}

    assert named
    assert named <= names


def test_the_public_api_is_what_it_is() -> None:
    assert sorted(django_tasks.__all__) == [
        "AbortableAsyncResult",
        "AbortableTask",
        "AsyncResult",
        "EagerResult",
        "GroupResult",
        "ResultSet",
        "Signature",
        "Task",
        "TaskSet",
        "TaskSetResult",
        "allow_join_result",
        "app",
        "apply_async_on_commit",
        "chain",
        "chord",
        "chunks",
        "current_task",
        "delay_on_commit",
        "exceptions",
        "get_task_logger",
        "group",
        "maybe_signature",
        "result_from_tuple",
        "shared_task",
        "signals",
        "signature",
        "states",
        "subtask",
        "task",
        "uuid",
        "xmap",
        "xstarmap",
    ]
    assert all(hasattr(django_tasks, name) for name in django_tasks.__all__)


def test_every_public_name_is_explained() -> None:
    silent = [name for name in django_tasks.__all__ if not inspect.getdoc(getattr(django_tasks, name))]

    assert silent == []
