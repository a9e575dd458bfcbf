"""Indexes of some rows only, which stay small beside any history."""

from __future__ import annotations

from typing import Any

from django.core import checks
from django.db import models
from django.db.models import Q


def sparse(*columns: str, having: str, name: str) -> models.Index:
    """Of the rows that have something in the column `having`; the others are not in it."""
    return models.Index(fields=columns, condition=Q(**{f"{having}__isnull": False}), name=name)


class PartlyIndexed(models.Model):
    """MariaDB and MySQL have no partial indexes and make full ones. These serve as well, so no check warns of it."""

    class Meta:
        abstract = True

    @classmethod
    def check(cls, **kwargs: Any) -> list[checks.CheckMessage]:
        return [message for message in super().check(**kwargs) if message.id != "models.W037"]
