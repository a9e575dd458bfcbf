from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.core import checks as django_checks

if TYPE_CHECKING:
    from pytest_django import Settings


@pytest.mark.parametrize("store", ["database", "cache", "disabled"])
def test_our_own_stores_are_right(settings: Settings, store: str) -> None:
    settings.DJANGO_TASKS = {"RESULT_STORE": store}

    assert django_checks.run_checks(tags=["tasks"]) == []


@pytest.mark.parametrize("store", ["memcached", "no.such.Store", "datetime.date"])
def test_a_store_that_is_none_is_an_error(settings: Settings, store: str) -> None:
    settings.DJANGO_TASKS = {"RESULT_STORE": store}

    (error,) = django_checks.run_checks(tags=["tasks"])

    assert error.id == "django_tasks.E008"
    assert store in error.msg


def test_a_cache_that_is_not_there_is_an_error_with_a_guess(settings: Settings) -> None:
    settings.DJANGO_TASKS = {"RESULT_STORE": "cache", "RESULT_CACHE": "defualt"}

    (error,) = django_checks.run_checks(tags=["tasks"])

    assert error.id == "django_tasks.E008"
    assert "Did you mean 'default'?" in error.msg


def test_a_cache_that_is_not_used_need_not_be_there(settings: Settings) -> None:
    settings.DJANGO_TASKS = {"RESULT_CACHE": "nowhere"}

    assert django_checks.run_checks(tags=["tasks"]) == []
