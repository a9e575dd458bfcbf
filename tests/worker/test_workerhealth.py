"""`manage.py workerhealth`: what the rows of this host's workers say."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import socket
import subprocess
import sys
from unittest.mock import patch

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection

from django_tasks import clock
from django_tasks.models import Worker
from tests.workers import ROOT, Start, eventually

pytestmark = pytest.mark.django_db

HOST = socket.gethostname()
BROKER = "The broker cannot be reached."


def add(name: str = "worker", hostname: str = HOST, *, lease: float = 30, **fields: object) -> Worker:
    now = clock.now()
    return Worker.objects.create(
        **{
            "id": f"{Worker.objects.count():032}",
            "name": f"{name}@{hostname}",
            "hostname": hostname,
            "pid": 7,
            "queues": "default",
            "processes": 2,
            "threads": 1,
            "version": "1",
            "started_at": clock.to_storage(now),
            "lease_until": clock.to_storage(now + dt.timedelta(seconds=lease)),
            **fields,
        }
    )


def check(*arguments: str) -> tuple[int, str]:
    """The exit status and what was said."""
    output = io.StringIO()
    try:
        call_command("workerhealth", *arguments, stdout=output)
    except SystemExit as end:
        return int(str(end.code)), output.getvalue().strip()
    return 0, output.getvalue().strip()


def test_workers_that_live_and_are_in_no_trouble_are_well() -> None:
    add()
    add("mail")

    assert check() == (0, f"Well: mail@{HOST}, worker@{HOST}.")


def test_no_worker_at_all_is_not_well() -> None:
    add(hostname="elsewhere")

    assert check() == (1, f"No worker lives on {HOST}.")


def test_a_worker_in_trouble_is_not_well_and_alive() -> None:
    add(trouble=BROKER)

    assert check() == (1, f"worker@{HOST} (process 7): {BROKER}")
    assert check("--live")[0] == 0


@pytest.mark.parametrize("how", [[], ["--live"]])
def test_a_worker_that_let_its_lease_pass_is_not_well(how: list[str]) -> None:
    add()
    add("mail", lease=-1)

    assert check(*how) == (1, f"mail@{HOST} (process 7) has let its lease pass.")


def test_one_that_was_killed_and_started_again_is_well() -> None:
    add(lease=-1)
    add()

    assert check()[0] == 0


def test_one_that_others_have_buried_is_not_missed() -> None:
    add()
    add("mail", lease=-60, lost_at=clock.to_storage(clock.now()))

    assert check()[0] == 0


def test_only_the_one_that_is_named_is_looked_at() -> None:
    add()
    add("mail", trouble=BROKER)

    assert check("--name=worker")[0] == 0
    assert check("--name=mail")[0] == 1
    assert check("--name=reports") == (1, f"No worker called reports lives on {HOST}.")


def test_programs_are_told_in_json() -> None:
    add(trouble=BROKER)

    status, said = check("--json")

    assert status == 1
    assert json.loads(said) == {
        "ok": False,
        "reasons": [f"worker@{HOST} (process 7): {BROKER}"],
        "workers": [{"name": f"worker@{HOST}", "pid": 7, "trouble": BROKER}],
    }


def test_a_database_that_does_not_answer_is_a_reason() -> None:
    away = OperationalError("connection refused")
    with patch("django_tasks.management.commands.workerhealth.check_up", side_effect=away):
        assert check() == (1, "The database cannot be asked: connection refused")
        assert json.loads(check("--json")[1])["ok"] is False


@pytest.mark.worker
def test_a_worker_that_runs_is_well(start_worker: Start) -> None:
    start_worker("--processes=1", "--name=mail")

    eventually(lambda: check("--name=mail") == (0, f"Well: mail@{HOST}."), "it is well")

    assert check("--live")[0] == 0


@pytest.mark.worker
def test_a_probe_that_runs_the_command_sees_its_exit_status(transactional_db: None) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "workerhealth"],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "TEST_DATABASE_NAME": str(connection.settings_dict["NAME"]),
        },
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert done.stdout == f"No worker lives on {HOST}.\n"
