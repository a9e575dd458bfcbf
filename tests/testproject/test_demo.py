"""The demo as `make demo` and `make site` run it: a process of its own, with a real web server and worker."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testproject.settings import BASE_DIR
from tests.ports import listens

pytestmark = pytest.mark.worker

#: Seconds for everything one of these tests waits for.
PATIENCE = 90


@contextlib.contextmanager
def the_demo(*arguments: str, database: Path) -> Iterator[subprocess.Popen[str]]:
    """`python -m testproject.demo`, ended in any case the way it stops all it has started."""
    command = [sys.executable, "-m", "testproject.demo", *arguments, "--database", str(database)]
    with subprocess.Popen(
        command,
        cwd=BASE_DIR,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=_heed_ctrl_c,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _heed_ctrl_c() -> None:
    """What a shell starts in the background ignores SIGINT, and all that is started by it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """What the process prints up to the line with `text`."""
    assert process.stdout is not None
    read = ""
    for line in process.stdout:
        read += line
        if text in line:
            return read
    pytest.fail(f"The demo ended without printing {text!r}:\n{read}")


def worker_pid(database: Path) -> int:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        (pid,) = connection.execute("SELECT pid FROM django_tasks_worker").fetchone()
    return int(pid)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_demo_adds_up_and_leaves_nothing_running(tmp_path: Path) -> None:
    with the_demo("--comments", "40", database=tmp_path / "demo.sqlite3") as demo:
        output, _ = demo.communicate(timeout=PATIENCE)

    port = re.search(r"http://127\.0\.0\.1:(\d+)/, a worker", output)
    assert demo.returncode == 0, output
    assert "40 sent = 6 rolled back + 8 spam + 24 ham + 2 failed;" in output
    assert "34 comments stored, 34 tasks run, each comment checked once." in output
    assert re.search(r"1 x   AkismetError: .*HTTP 500", output)
    assert "Traceback" not in output
    assert port is not None
    assert not listens(f"http://127.0.0.1:{port[1]}")


def test_a_second_demo_forgets_the_first(tmp_path: Path) -> None:
    for _ in range(2):
        with the_demo("--comments", "3", database=tmp_path / "demo.sqlite3") as demo:
            output, _ = demo.communicate(timeout=PATIENCE)

    assert demo.returncode == 0, output
    assert "3 sent = " in output


def test_a_demo_over_its_time_says_so_and_fails(tmp_path: Path) -> None:
    with the_demo("--limit", "1", "--comments", "50000", database=tmp_path / "demo.sqlite3") as demo:
        output, _ = demo.communicate(timeout=PATIENCE)

    assert demo.returncode == 1
    assert "The demo failed. It was not done after 1 s." in output
    assert "Traceback" not in output


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_stops_what_it_started(tmp_path: Path, signum: signal.Signals) -> None:
    database = tmp_path / "demo.sqlite3"
    with the_demo("--comments", "4000", database=database) as demo:
        started = read_until(demo, "a worker")
        pid = worker_pid(database)
        demo.send_signal(signum)
        output, _ = demo.communicate(timeout=PATIENCE)

    port = re.search(r":(\d+)/", started)
    assert demo.returncode == 130, output
    assert "Traceback" not in output
    assert not is_alive(pid)
    assert port is not None
    assert not listens(f"http://127.0.0.1:{port[1]}")


def test_a_demo_whose_worker_is_killed_says_so_and_stops_the_rest(tmp_path: Path) -> None:
    database = tmp_path / "demo.sqlite3"
    with the_demo("--comments", "4000", database=database) as demo:
        started = read_until(demo, "a worker")
        os.kill(worker_pid(database), signal.SIGKILL)
        output, _ = demo.communicate(timeout=PATIENCE)

    port = re.search(r":(\d+)/", started)
    assert demo.returncode == 1
    assert "The demo failed. The worker ended with exit code -9." in output
    assert port is not None
    assert not listens(f"http://127.0.0.1:{port[1]}")


def test_the_site_is_served_with_its_admin_until_it_is_stopped(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    with the_demo("site", "--port", str(port), database=tmp_path / "demo.sqlite3") as demo:
        output = read_until(demo, "Ctrl-C stops")
        visit = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        visit.request("GET", "/admin/login/")
        status = visit.getresponse().status
        visit.close()
        demo.send_signal(signal.SIGINT)
        rest, _ = demo.communicate(timeout=PATIENCE)

    assert status == 200
    assert "login: admin, password: admin" in output
    assert demo.returncode == 0, rest
    assert "Traceback" not in rest
    assert not listens(f"http://127.0.0.1:{port}")


def test_a_site_whose_port_is_taken_says_which_option_helps(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        the_demo("site", "--port", str(server.getsockname()[1]), database=tmp_path / "demo.sqlite3") as demo,
    ):
        output, _ = demo.communicate(timeout=PATIENCE)

    assert demo.returncode == 1
    assert "Choose another one with --port." in output
