"""The demo from beginning to end."""

from __future__ import annotations

import http.client
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from django.urls import reverse

from . import evidence
from .posts import Post, posts
from .programs import DemoError, end_on_signals, time_limit, wait_until
from .progress import Progress
from .report import sums, table
from .site import ENTRY, LOGIN, Site, free_port, prepare, remove, running_site
from .tally import REFUSED, TAKEN, Tally
from .visitor import Crowd

#: How many people comment at the same time. More of them only wait for each other: one web server, one core.
VISITORS = 2


def run(database: Path, *, comments: int, limit: int) -> int:
    """Show it; the exit code is 0 if everything adds up, 1 with the reason if not, 130 after Ctrl-C."""
    end_on_signals()
    try:
        with time_limit(limit):
            tally, posting = demonstrate(database, list(posts(comments)))
    except KeyboardInterrupt:
        print("\nStopped; the worker and the web server are stopped, too.")
        return 130
    except DemoError as error:
        print(f"\nThe demo failed. {error}")
        return 1
    print(table(tally, posting=posting))
    return conclude(tally)


def demonstrate(database: Path, plan: Sequence[Post]) -> tuple[Tally, float]:
    """Everything that is known afterwards, and the seconds the posting took."""
    print(f"A new database: {database}", flush=True)
    remove(database)
    prepare()
    with running_site(port=free_port()) as site:
        site.wait_until_ready()
        print(
            f"A web server on http://127.0.0.1:{site.port}/, a worker and a stub of Akismet are running.",
            flush=True,
        )
        began = time.monotonic()
        answers = post_all(site, plan)
        posting = time.monotonic() - began
        wait_for_tasks(site, sum(status == TAKEN for status in answers.values()))
    # Only now that nothing can come late.
    return evidence.gather(answers, site.stub.checks), posting


def post_all(site: Site, plan: Sequence[Post]) -> dict[Post, int]:
    """Post the comments through the form, by several visitors at once; the HTTP status of each answer."""
    form = reverse("blog:add_comment", args=[ENTRY])
    answers: dict[Post, int] = {}
    progress = Progress("posting", len(plan))
    crowd, pool = Crowd(site.port, size=VISITORS), ThreadPoolExecutor(VISITORS)
    try:
        sending = {pool.submit(crowd.comment, post, on=form): post for post in plan}
        for future in as_completed(sending):
            answers[sending[future]] = _expected(future.result(), site)
            progress.show(len(answers))
            site.check()
    except (OSError, http.client.HTTPException) as error:
        site.check()
        raise DemoError(f"The web server did not answer: {error!r}.") from error
    finally:
        pool.shutdown(cancel_futures=True)
    return answers


def _expected(status: int, site: Site) -> int:
    if status not in (TAKEN, REFUSED):
        raise DemoError(
            f"A comment was answered with HTTP {status}; the web server says:{site.web.last_words()}"
        )
    return status


def wait_for_tasks(site: Site, expected: int) -> None:
    """Until so many tasks have ended."""
    progress = Progress("checking", expected)

    def all_ended() -> bool:
        done = evidence.finished()
        progress.show(min(done, expected))
        return done >= expected

    wait_until(all_ended, site.check)


def conclude(tally: Tally) -> int:
    if problems := tally.problems():
        print("\nThe demo failed. It does not add up:", *problems, sep="\n  - ")
        return 1
    print(f"\n{sums(tally)}")
    print(
        f"\nTo look around: make site, then http://127.0.0.1:8000/admin/ (login: {LOGIN}, password: {LOGIN})."
    )
    return 0
