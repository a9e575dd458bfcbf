"""Tasks as a file: CSV for spreadsheets, or one JSON object a line, written while they are read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse

from django_tasks import clock, conf
from django_tasks.models import TaskResult
from django_tasks.models.batches import MOST_ROWS
from django_tasks.steering.selection import Selection

from . import texts

COLUMNS: Final = (
    *("id", "task", "status", "queue", "priority", "worker", "retries", "crashes"),
    *("created_at", "started_at", "finished_at", "parent_id", "root_id", "group_id"),
)
#: What only those get to see who may see payloads.
PAYLOAD: Final = ("args", "kwargs", "result")
#: A spreadsheet takes what begins so for a formula.
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
#: Characters that are sent at a time, about.
PART: Final = 16_000


def as_file(
    request: HttpRequest, selection: Selection, kind: str, *, with_payload: bool
) -> StreamingHttpResponse:
    """`kind` is one of `KINDS`. However many tasks it has, those of one batch are in memory."""
    columns = (*COLUMNS, *PAYLOAD) if with_payload else COLUMNS
    write, content_type = KINDS[kind]
    parts = _parts(write(_rows(selection, columns), columns))
    # An asynchronous server would take all that a plain iterator has before it sends the first of it.
    body = _one_after_the_other(parts) if isinstance(request, ASGIRequest) else parts
    answer = StreamingHttpResponse(body, content_type=content_type)
    answer.headers["Content-Disposition"] = f'attachment; filename="tasks.{kind}"'
    answer.headers["Cache-Control"] = "private, no-store"
    return answer


def _rows(selection: Selection, columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for ids in selection.batches(MOST_ROWS):
        rows = TaskResult.objects.using(conf.current().DATABASE).only(*columns).in_bulk(ids)
        for id in ids:
            if row := rows.get(id):
                yield {column: _value(row, column) for column in columns}


def _value(row: TaskResult, column: str) -> Any:
    value = getattr(row, column)
    if column.endswith("_at") and value is not None:
        return clock.from_storage(value).isoformat()
    if column == "result" and value:
        return texts.pretty(value, row.task)
    return value


def _parts(lines: Iterator[str]) -> Iterator[str]:
    """Lines put together, as one by one they would take their time."""
    buffer = io.StringIO()
    for line in lines:
        buffer.write(line)
        if buffer.tell() > PART:
            yield buffer.getvalue()
            buffer = io.StringIO()
    yield buffer.getvalue()


async def _one_after_the_other(parts: Iterator[str]) -> AsyncIterator[str]:
    pull = sync_to_async(partial(next, parts, None))
    while (part := await pull()) is not None:
        yield part


def _csv(rows: Iterator[dict[str, Any]], columns: tuple[str, ...]) -> Iterator[str]:
    yield _csv_line(columns)
    for row in rows:
        yield _csv_line(map(_cell, row.values()))


def _csv_line(cells: Iterable[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value


def _jsonl(rows: Iterator[dict[str, Any]], columns: tuple[str, ...]) -> Iterator[str]:
    return (f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


Write = Callable[[Iterator[dict[str, Any]], tuple[str, ...]], Iterator[str]]
KINDS: Final[Mapping[str, tuple[Write, str]]] = {
    "csv": (_csv, "text/csv; charset=utf-8"),
    "jsonl": (_jsonl, "application/x-ndjson"),
}
