"""Dotted paths, resolved late."""

from __future__ import annotations

import math

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_tasks import handlers


def test_a_path_is_resolved_to_what_it_names() -> None:
    assert handlers.resolve("math.sqrt") is math.sqrt


def test_a_wrong_path_of_a_setting_is_told_with_the_setting() -> None:
    with pytest.raises(
        ImproperlyConfigured, match=r"DJANGO_TASKS\['STORE'\] names 'no.such.thing'.*Correct the path"
    ):
        handlers.resolve("no.such.thing", setting="STORE")


def test_a_wrong_path_of_our_own_is_an_import_error() -> None:
    with pytest.raises(ImportError):
        handlers.resolve("no.such.thing")


def test_nothing_is_imported_before_the_first_call() -> None:
    call = handlers.later("no.such.thing")

    with pytest.raises(ImportError):
        call()
    assert handlers.later("math.hypot")(3, 4) == 5
