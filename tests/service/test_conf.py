"""The settings: refused where they are wrong, with a sentence, and in force where they are right."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_tasks import conf


def problems(**values: Any) -> list[str]:
    return conf.read(values)[1]


def test_without_settings_there_are_defaults() -> None:
    settings, found = conf.read({})

    assert found == []
    assert settings == conf.Settings()
    assert (settings.BROKER_URL, settings.DATABASE, settings.TASK_DEFAULT_QUEUE) == (
        "django://",
        "default",
        "default",
    )


def test_a_word_that_is_none_of_the_choices_is_refused_with_these() -> None:
    (problem,) = problems(ON_BROKER_DOWN="outbux")

    assert problem == "DJANGO_TASKS['ON_BROKER_DOWN'] must be one of None, 'outbox', 'raise', not 'outbux'."


def test_every_key_has_a_sentence_and_a_default_that_fits_it() -> None:
    for field in dataclasses.fields(conf.Settings):
        assert field.metadata["sentence"].endswith(".")
        assert problems(**{field.name: getattr(conf.Settings(), field.name)}) == []


@pytest.mark.parametrize(
    ("key", "guess"),
    [
        ("MAX_CRASHS", "MAX_CRASHES"),
        ("max_crashes", "MAX_CRASHES"),
        ("broker_url", "BROKER_URL"),
        ("TASK_QUEUE", "TASK_QUEUES"),
        ("WORKER_LEASES", "WORKER_LEASE"),
    ],
)
def test_an_unknown_key_is_refused_with_a_guess(key: str, guess: str) -> None:
    assert problems(**{key: 1}) == [f"DJANGO_TASKS has no key {key!r}. Did you mean {guess!r}?"]


def test_an_unknown_key_like_no_other_is_refused_without_a_guess() -> None:
    assert problems(NONSENSE=1) == ["DJANGO_TASKS has no key 'NONSENSE'."]


def test_a_key_that_is_no_text_is_refused() -> None:
    assert conf.read({5: 1})[1] == ["DJANGO_TASKS has no key 5."]


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("BROKER_URL", None, "a string"),
        ("BROKER_URL", 5, "a string"),
        ("DATABASE", b"default", "a string"),
        ("TASK_ACKS_LATE", 1, "True or False"),
        ("TASK_ACKS_LATE", "yes", "True or False"),
        ("MAX_CRASHES", 3.0, "a whole number"),
        ("MAX_CRASHES", True, "a whole number"),
        ("MAX_CRASHES", "3", "a whole number"),
        ("WORKER_LEASE", "30", "a number"),
        ("WORKER_LEASE", False, "a number"),
        ("TASK_QUEUES", "mail", "a mapping or a list"),
        ("IMPORTS", "mail", "a list of strings"),
        ("IMPORTS", [1], "a list of strings"),
        ("IMPORTS", {"mail": 1}, "a list of strings"),
        ("BROKER_TRANSPORT_OPTIONS", [], "dict"),
    ],
)
def test_a_value_of_another_type_is_refused(key: str, value: object, wanted: str) -> None:
    assert problems(**{key: value}) == [f"DJANGO_TASKS[{key!r}] must be {wanted}, not {value!r}."]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("WORKER_LEASE", 0),
        ("WORKER_LEASE", -5.0),
        ("WORKER_LEASE", float("nan")),
        ("WORKER_LEASE", float("inf")),
        ("MAX_CRASHES", -1),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(key: str, value: float) -> None:
    (problem,) = problems(**{key: value})

    assert problem.startswith(f"DJANGO_TASKS[{key!r}] must be ")
    assert problem.endswith(f" or more, not {value!r}.")


@pytest.mark.parametrize("value", [["a", "b"], ("a", "b")])
def test_a_list_is_taken_for_a_tuple(value: object) -> None:
    assert conf.read({"TASK_QUEUES": value})[0].TASK_QUEUES == ("a", "b")


def test_a_whole_number_is_taken_for_a_number() -> None:
    lease = conf.read({"WORKER_LEASE": 10})[0].WORKER_LEASE

    assert (lease, type(lease)) == (10.0, float)


@pytest.mark.parametrize("value", [None, [], "django://", 5])
def test_settings_that_are_no_dict_are_refused(value: object) -> None:
    assert conf.read(value)[1] == [f"DJANGO_TASKS must be a dict, not {type(value).__name__}."]


def test_all_problems_are_told_at_once() -> None:
    with (
        override_settings(DJANGO_TASKS={"NONSENSE": 1, "MAX_CRASHES": "x"}),
        pytest.raises(ImproperlyConfigured, match=r"NONSENSE.*MAX_CRASHES"),
    ):
        conf.current()


def test_overridden_settings_are_in_force_and_then_no_more() -> None:
    before = conf.current().MAX_CRASHES

    with override_settings(DJANGO_TASKS={"MAX_CRASHES": 7}):
        inside = conf.current().MAX_CRASHES

    assert (inside, conf.current().MAX_CRASHES) == (7, before)


def test_the_settings_are_read_once() -> None:
    assert conf.current() is conf.current()
