"""A virtual environment for each peer, made once and kept in `.bench/venvs` until what it asks for changes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from .system import System


def python(system: System, home: Path) -> Path:
    """The interpreter it runs in; ours is the one that runs this."""
    return home / "venvs" / system.family / "bin" / "python" if system.packages else Path(sys.executable)


def install(system: System, home: Path) -> str:
    """Why it cannot be, if so."""
    folder = home / "venvs" / system.family
    stamp, wanted = folder / "installed", "\n".join(system.packages)
    if not system.packages or (stamp.exists() and stamp.read_text() == wanted):
        return ""
    print(f"installing {system.family}: {', '.join(system.packages)}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    pip = ("-m", "pip", "install", "-q", "--disable-pip-version-check")
    try:
        _run(sys.executable, "-m", "venv", str(folder))
        _run(str(folder / "bin/python"), *pip, *system.packages)
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", None) or error).strip().splitlines()
        return f"cannot be installed: {said[-1] if said else error}"
    stamp.write_text(wanted)
    return ""


def _run(*command: str) -> None:
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=300)
