"""The blog with all that belongs to it: a database, the Akismet stub, a worker and a web server."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.urls import reverse

from django_tasks import clock
from django_tasks.models import Worker
from testproject.akismet_stub import AkismetStub
from testproject.blog.models import Entry

from .programs import DemoError, Program, end_on_signals, wait_until

LOGIN = "admin"
ENTRY = "hello"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The running site."""

    port: int
    stub: AkismetStub
    worker: Program
    web: Program

    @property
    def programs(self) -> tuple[Program, Program]:
        return self.worker, self.web

    def check(self) -> None:
        """Raise `DemoError` if a program of it has ended."""
        for program in self.programs:
            program.check()

    def wait_until_ready(self) -> None:
        """Until the worker has reported itself and the web server answers."""
        wait_until(lambda: Worker.objects.alive(clock.database_now(connection)).exists(), self.check)
        wait_until(self._answers, self.check)

    def _answers(self) -> bool:
        visit = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(visit), contextlib.suppress(ConnectionRefusedError):
            visit.request("GET", reverse("blog:index"))
            return visit.getresponse().status == 200
        return False


def remove(database: Path) -> None:
    """Forget the last demo."""
    for end in ("", "-wal", "-shm", "-journal"):
        Path(f"{database}{end}").unlink(missing_ok=True)


def prepare() -> None:
    """The tables, the login and an entry to comment on, as far as they are missing."""
    call_command("migrate", verbosity=0, interactive=False)
    users = get_user_model().objects
    if not users.filter(username=LOGIN).exists():
        users.create_superuser(LOGIN, password=LOGIN)
    Entry.objects.get_or_create(slug=ENTRY, defaults={"title": "Hello, tasks"})


@contextlib.contextmanager
def running_site(*, port: int, loud: bool = False) -> Iterator[Site]:
    """The site on `port`. Started from the spam filter up to the pages and stopped the other way round."""
    with AkismetStub() as stub:
        environment = {"AKISMET_URL": stub.url, "AKISMET_KEY": stub.key}
        with (
            Program("runworker", name="worker", environment=environment, loud=loud) as worker,
            Program(
                *("runserver", f"127.0.0.1:{port}", "--noreload"),
                name="web server",
                environment=environment,
                loud=loud,
            ) as web,
        ):
            yield Site(port=port, stub=stub, worker=worker, web=web)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def show(database: Path, *, port: int) -> int:
    """`make site`: the site of the last demo, or an empty one, in the foreground until Ctrl-C."""
    end_on_signals()
    try:
        require_free(port)
        prepare()
        with running_site(port=port, loud=True) as site:
            site.wait_until_ready()
            print(
                f"\n  blog   http://127.0.0.1:{port}/"
                f"\n  admin  http://127.0.0.1:{port}/admin/   login: {LOGIN}, password: {LOGIN}"
                f"\n  data   {database}"
                "\n  Ctrl-C stops the worker and the web server.\n",
                flush=True,
            )
            nothing = threading.Event()
            wait_until(nothing.is_set, site.check)
    except KeyboardInterrupt:
        print("\nStopped.")
    except DemoError as error:
        print(f"The site can't run: {error}")
        return 1
    return 0


def require_free(port: int) -> None:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        raise DemoError(
            f"Port {port} can't be used ({error.strerror}). Choose another one with --port."
        ) from error
