"""Several tasks at a time, each in a thread, for tasks that wait for others most of the time."""

from __future__ import annotations

import threading

from django_tasks.worker.limits import SoftLimit, ThreadLimit

from .runner import Runner


class ThreadsRunner(Runner):
    def make_soft_limit(self) -> SoftLimit:
        return ThreadLimit()

    def run(self) -> None:
        threads = [
            threading.Thread(target=self.work, args=(slot,), name=f"task-{slot}", daemon=True)
            for slot in range(self.slots)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
