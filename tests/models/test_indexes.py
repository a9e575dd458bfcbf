"""Indexes of some rows only, where there is no such thing."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.core.checks import run_checks
from django.db import connection


@pytest.mark.django_db
def test_a_database_without_partial_indexes_is_not_warned_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection.features, "supports_partial_indexes", False)

    found = run_checks([apps.get_app_config("django_tasks")], databases=["default"])

    assert [message for message in found if message.id == "models.W037"] == []
