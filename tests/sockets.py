"""Which sockets and files processes have open, as the kernel tells."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def opened(pid: int) -> set[str]:
    """`socket:[inode]`, or the path of a file, of all that is not standard input or output."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            if int(link.name) > 2:
                found.add(os.readlink(link))
    return found


def sockets(pid: int) -> set[str]:
    return {name for name in opened(pid) if name.startswith("socket:")}
