"""A result store that every process of a test reaches."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from django_tasks.results.store import Record, ResultStore


class FileStore(ResultStore):
    """One file per task, in the folder that the environment names; the rows do not have what tasks return."""

    rows_keep_results = False

    def put(self, endings: Sequence[Record]) -> None:
        for ending in endings:
            file(ending.id).write_text(json.dumps(ending.to_dict()))

    def look_up(self, id: str) -> Record | None:
        return Record.from_dict(json.loads(file(id).read_text())) if file(id).exists() else None

    def forget(self, id: str) -> None:
        file(id).unlink(missing_ok=True)


def file(id: str) -> Path:
    return Path(os.environ["TEST_STORE"], sha256(id.encode(errors="surrogatepass")).hexdigest())
