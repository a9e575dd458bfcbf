"""Composed: what chains and groups have in common, the tasks they are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .signature import Signature


class Composed(Signature):
    """A signature with others in it, under the keyword `tasks`."""

    @property
    def tasks(self) -> list[Signature]:
        found: list[Signature] = self.kwargs["tasks"]
        return found

    @tasks.setter
    def tasks(self, tasks: Iterable[Signature]) -> None:
        self.kwargs["tasks"] = list(tasks)

    def parts(self) -> list[Signature]:
        return list(self.tasks)

    def change_parts(self, change: Callable[[Any], Signature]) -> None:
        self.tasks = [change(task) for task in self.tasks]
