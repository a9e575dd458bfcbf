"""One task at a time, in the main thread, where signals can reach it."""

from __future__ import annotations

from django_tasks.worker.limits import AlarmLimit, SoftLimit

from .runner import Runner


class MainThreadRunner(Runner):
    def make_soft_limit(self) -> SoftLimit:
        return AlarmLimit()

    def run(self) -> None:
        self.work(slot=0)
