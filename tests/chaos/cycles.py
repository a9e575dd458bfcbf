"""Workers that are told to stop at any instant of their lives, most of them soon after they were started."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from django.db import connections

from tests.chance import chance
from tests.workers import RunningWorker

from .result import Result
from .stage import SOON, Stage, scaled
from .tasks import again, once, once_async

#: They live at the same time.
SHAPES = (
    ("--processes=2",),
    ("--processes=1", "--threads=4"),
    ("--processes=2", "--threads=2"),
    ("--processes=0",),
)
#: Seconds in which one must have ended. Its tasks take a moment; whoever misses a signal takes far longer.
LONGEST = scaled(2 * SOON, 12.0)


def start_and_stop(stage: Stage) -> Result:
    boot = seconds_to_boot(stage)
    rounds = scaled(2, 50)
    for kind in (once, again, once_async):
        stage.send(kind, [(0.02,)] * 50 * rounds)

    def end(worker: RunningWorker, moment: float, has_booted: bool) -> tuple[int, float]:
        try:
            if has_booted:
                stage.until(lambda: "  tasks " in worker.output, "its last words before it forks")
            time.sleep(moment)
            worker.terminate()
            told = time.monotonic()
            code = worker.wait()
            took = time.monotonic() - told
            assert not survivors(worker), worker.output
            return code, took
        finally:
            connections.close_all()  # this thread's, opened to tell what never came

    ends: list[tuple[int, float]] = []
    chosen = chance()
    with ThreadPoolExecutor(len(SHAPES)) as pool:
        for number in range(rounds):
            workers = [stage.worker(*shape, f"--name=cycle{number}") for shape in SHAPES]
            moments = [chosen.uniform(0, boot) for _ in SHAPES]
            have_booted = [(number + place) % 2 == 1 for place in range(len(SHAPES))]
            ends += pool.map(end, workers, moments, have_booted)
    codes = [code for code, _ in ends]
    slowest = max(took for _, took in ends)
    stage.worker("--processes=2", "--threads=8")
    stage.end()

    # Before it listens to signals it has nothing to tidy up, and may just die.
    assert set(codes) <= {0, -15}
    assert slowest < LONGEST
    assert {row.status for row in stage.rows().values()} == {"SUCCESS"}
    return stage.result(
        4,
        "SIGTERM at any instant, from the start of the boot on",
        recovery=slowest,
        figures=f"{len(ends)} workers, {codes.count(0)} of which heard it; all of their processes gone",
    )


def seconds_to_boot(stage: Stage) -> float:
    stage.send(once, [()])
    began = time.monotonic()
    worker = stage.worker("--processes=2")
    stage.end()
    took = time.monotonic() - began
    worker.terminate()
    worker.wait()
    return took


def survivors(worker: RunningWorker) -> list[str]:
    """Processes of its group that live."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(group) == worker.process.pid and state != "Z":
                found.append(stat.parent.name)
    return found
