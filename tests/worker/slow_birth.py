"""Processes of a worker wait between their birth and their first own act, each kind until its gate opens."""

import os
import time
from pathlib import Path
from typing import Any

from django_tasks.worker.housekeeper import Housekeeper
from django_tasks.worker.process import TaskProcess


def wait_first(kind: type, gate: Path) -> None:
    begin = kind.__init__

    def wait(self: Any, *args: Any, **kwargs: Any) -> None:
        gate.with_suffix(".born").touch()
        while not gate.exists():
            time.sleep(0.005)
        begin(self, *args, **kwargs)

    kind.__init__ = wait  # type: ignore[misc]


for kind in (Housekeeper, TaskProcess):
    wait_first(kind, Path(os.environ["GATES"], kind.__name__))
