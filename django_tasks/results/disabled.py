"""No results: tasks are tracked as ever, but what they return is kept nowhere."""

from __future__ import annotations

from collections.abc import Sequence

from django_tasks.exceptions import ResultsDisabled

from .store import Record, ResultStore


class DisabledStore(ResultStore):
    """`RESULT_STORE = "disabled"`. The rows still say who runs what, and show failures in the admin."""

    keeps_endings = False
    rows_keep_results = False

    def put(self, endings: Sequence[Record]) -> None:
        """Nowhere."""

    def look_up(self, id: str) -> Record | None:
        raise _refusal()

    def look_up_many(self, ids: Sequence[str]) -> dict[str, Record]:
        raise _refusal()

    def forget(self, id: str) -> None:
        """There is nothing."""


def _refusal() -> ResultsDisabled:
    return ResultsDisabled(
        "Results are disabled here. To ask for them set DJANGO_TASKS['RESULT_STORE'], or the task's backend if it "
        "has one, to 'database' or 'cache'."
    )
