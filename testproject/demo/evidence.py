"""What happened, from the database and the spam filter."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from django_tasks.models import TaskResult
from testproject.blog.models import Comment
from testproject.blog.tasks import spam_filter

from .posts import Post
from .tally import Run, Tally


def gather(answers: Mapping[Post, int], checks: Mapping[str, int]) -> Tally:
    """Everything to be added up. For when nothing runs any more."""
    return Tally(
        answers=answers,
        comments=dict(Comment.objects.values_list("id", "comment")),
        marked=frozenset(Comment.objects.filter(is_spam=True).values_list("id", flat=True)),
        runs=[run(row) for row in TaskResult.objects.filter(task=spam_filter.name)],
        checks=checks,
    )


def finished() -> int:
    """How many tasks have ended."""
    return TaskResult.objects.final().filter(task=spam_filter.name).count()


def run(row: TaskResult) -> Run:
    result = json.loads(row.result or "null")
    comment_id = re.search(r"'comment_id': (\d+)", row.kwargs)
    return Run(
        comment_id=int(comment_id[1]) if comment_id else 0,
        status=row.status,
        spam=result if isinstance(result, bool) else None,
        why=_reason(result) if isinstance(result, dict) else "",
        sent=row.created_at,
        started=row.started_at,
        finished=row.finished_at,
    )


def _reason(failure: dict[str, object]) -> str:
    message = failure.get("exc_message")
    text = " ".join(str(part) for part in message) if isinstance(message, list) else str(message)
    return f"{failure.get('exc_type')}: {text}"
