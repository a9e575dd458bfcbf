"""`--reload`: start the worker again whenever code changes, for development."""

from __future__ import annotations

import atexit
import subprocess
from collections.abc import Sequence

from django.utils import autoreload

from django_tasks import registry


def run_with_reloader() -> None:
    """Run this command without `--reload` as a child that lives until a file changes; then everything starts again.

    The worker needs the main thread for its signals, which Django's reloader keeps to itself: so it is a process.
    """
    command = [word for word in autoreload.get_child_arguments() if word != "--reload"]
    autoreload.run_with_reloader(_run_child, command)


def _run_child(command: Sequence[str]) -> None:
    registry.autodiscover()  # so that the reloader knows which files to watch
    child = subprocess.Popen(command)
    atexit.register(_end, child)
    child.wait()


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    child.wait()
