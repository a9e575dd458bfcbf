"""How much memory processes have, in kB (1,024 bytes), as the kernel tells."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

#: The kernel tells there of each process how many pages it has: in all, and resident.
_PAGES = "/proc/{}/statm"
_KB_OF_PAGE = os.sysconf("SC_PAGE_SIZE") // 1024


def is_known() -> bool:
    """Does this system tell?"""
    return Path(_PAGES.format("self")).exists()


def resident(pid: int) -> int:
    """What a process has in memory, with what it shares with others; 0 if there is none of that number."""
    with suppress(FileNotFoundError, ProcessLookupError), open(_PAGES.format(pid), "rb") as file:
        return int(file.read().split()[1]) * _KB_OF_PAGE
    return 0
