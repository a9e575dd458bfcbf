"""One group of tasks that is sent: what will be counted, and what comes after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGroup:
    """A group whose tasks are sent along with it; `total` of them are waited for."""

    id: str
    total: int
    #: The signature to which their results go, of a chord.
    body: Mapping[str, Any] | None = None
    root_id: str = ""
    parent_id: str | None = None
