"""Columns of a list, or fields on a row's page, that show something of the row and need nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import admin

from . import times

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


def column(title: StrOrPromise, show: Callable[[Any], str]) -> Callable[[Any, Any], str]:
    """To stand in an admin as one of its methods."""

    @admin.display(description=title)
    def shown(self: Any, row: Any) -> str:
        return show(row)

    return shown


def moment(title: StrOrPromise, name: str) -> Callable[[Any, Any], str]:
    """How long ago it was."""
    return column(title, lambda row: times.moment(getattr(row, name)))


def exact(title: StrOrPromise, name: str) -> Callable[[Any, Any], str]:
    """When it was, and how long ago."""
    return column(title, lambda row: times.exact(getattr(row, name)))
