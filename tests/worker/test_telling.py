"""What a real worker tells: signals, log, prints, mails (FEATURES §15, §17, §18)."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
from email import message_from_string
from pathlib import Path
from typing import Any

import kombu
import pytest
from django.db import transaction
from django.utils import timezone

from django_tasks import app
from django_tasks.models import QueuedMessage, TaskResult
from django_tasks.tasks import ping
from tests.ledger.tasks import fail, hold, note, poison
from tests.observability.observed_tasks import expect, hold_on, listed, talk, talk_later, try_twice
from tests.workers import RunningWorker, Start, all_final, eventually, freeze, status

pytestmark = pytest.mark.worker
Told = list[dict[str, Any]]


class Observed:
    """A worker of the project that wants to know everything, and what it tells."""

    def __init__(self, start: Start, folder: Path) -> None:
        self.start_worker = start
        self.folder = folder
        self.worker: RunningWorker

    def start(self, *arguments: str) -> RunningWorker:
        self.worker = self.start_worker(
            "--processes=1",
            *arguments,
            DJANGO_SETTINGS_MODULE="tests.observability.observed_settings",
            TOLD=str(self.folder / "told"),
            MAILS=str(self.folder / "mails"),
        )
        return self.worker

    def burst(self, *arguments: str) -> RunningWorker:
        worker = self.start("--burst", *arguments)
        assert worker.wait() == 0, worker.output
        return worker

    def told(self, *names: str) -> Told:
        file = self.folder / "told"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line for line in map(json.loads, lines) if line["what"] in names or not names]

    def of(self, id: str) -> list[str]:
        return [line["what"] for line in self.told() if line.get("id") == id]

    def mails(self) -> list[str]:
        """The subjects, sorted."""
        # Two of one second may share a file: its name ends with the address of a backend that is gone.
        texts = "".join(path.read_text() for path in (self.folder / "mails").glob("*"))
        parsed = [message_from_string(text) for text in texts.split("\n" + "-" * 79 + "\n")]
        # A file is there a moment before its text is.
        return sorted(mail["Subject"].replace("\n", "") for mail in parsed if mail["Subject"])


@pytest.fixture
def observed(start_worker: Start, tmp_path: Path) -> Observed:
    return Observed(start_worker, tmp_path)


# -- signals


def test_a_task_s_whole_life_is_told(observed: Observed) -> None:
    sent = note.delay(1)

    observed.burst()

    ran = ["task_prerun", "middleware", "task_success", "task_postrun"]
    assert observed.of(sent.id) == ["task_received", *(name for name in ran if name != "task_success")]
    (success,) = observed.told("task_success")
    assert (success["sender"], success["result"]) == (note.name, 1)


def test_the_life_of_the_worker_is_told_each_in_its_process(observed: Observed) -> None:
    note.delay(1)

    worker = observed.burst("--name=teller")

    told = {line["what"]: line for line in observed.told() if line["what"].startswith("worker_")}
    assert set(told) == {
        *("worker_init", "worker_ready", "worker_process_init", "worker_process_shutdown", "worker_shutdown")
    }
    assert told["worker_init"]["pid"] == worker.process.pid
    assert told["worker_ready"]["pid"] == told["worker_shutdown"]["pid"]
    assert told["worker_process_init"]["pid"] == told["worker_process_shutdown"]["pid"]
    assert len({line["pid"] for line in told.values()}) == 3
    assert all(line["sender"].startswith("teller@") for line in told.values())


def test_a_worker_alone_in_its_process_tells_the_same(observed: Observed) -> None:
    note.delay(1)

    worker = observed.start_worker(
        "--processes=0",
        "--burst",
        DJANGO_SETTINGS_MODULE="tests.observability.observed_settings",
        TOLD=str(observed.folder / "told"),
        MAILS=str(observed.folder / "mails"),
    )
    assert worker.wait() == 0, worker.output

    lives = [line["what"] for line in observed.told() if line["what"].startswith("worker_")]
    assert lives[:1] == ["worker_init"]
    assert lives[-1:] == ["worker_shutdown"]
    assert sorted(lives[1:-1]) == ["worker_process_init", "worker_process_shutdown", "worker_ready"]


def test_a_worker_that_is_asked_to_end_says_so_while_its_tasks_run(
    observed: Observed, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    sent = hold_on.delay(str(gate))
    worker = observed.start()
    eventually(lambda: "task_prerun" in observed.of(sent.id), "it runs")

    worker.terminate()

    eventually(lambda: observed.told("worker_shutting_down"), "it says so")
    (told,) = observed.told("worker_shutting_down")
    assert (told["sig"], told["how"], told["exitcode"]) == ("SIGTERM", "Warm", 0)
    assert not observed.told("worker_process_shutdown")
    gate.touch()
    assert worker.wait() == 0


def test_revoked_and_expired_tasks_are_told_of(observed: Observed) -> None:
    revoked = note.delay(1)
    expired = note.apply_async((1,), expires=timezone.now() - dt.timedelta(seconds=1))
    assert revoked.revoke()

    worker = observed.burst("--loglevel=info")

    told = {line["id"]: line for line in observed.told("task_revoked")}
    assert (told[revoked.id]["expired"], told[revoked.id]["terminated"]) == (False, False)
    assert (told[expired.id]["expired"], told[expired.id]["sender"]) == (True, note.name)
    assert f"Task {note.name}[{revoked.id}] revoked" in worker.output
    assert f"Task {note.name}[{expired.id}] revoked: it had expired" in worker.output
    assert not observed.told("task_prerun")


def test_a_task_that_was_terminated_is_told_of(observed: Observed) -> None:
    sent = hold.delay("/no/such/gate")
    observed.start()
    eventually(lambda: "task_prerun" in observed.of(sent.id), "it runs")

    sent.revoke(terminate=True)

    eventually(lambda: observed.told("task_revoked"), "its end is told")
    (told,) = observed.told("task_revoked")
    assert (told["id"], told["sender"], told["terminated"], told["expired"]) == (
        sent.id,
        hold.name,
        True,
        False,
    )
    assert not observed.told("task_failure")


def test_a_task_that_was_terminated_before_it_began_is_told_of(observed: Observed, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    worker = observed.start("--loglevel=info")
    note.bulk([(number,) for number in range(100)])  # from which it learns that it can claim many at once
    eventually(all_final, "a hundred short ones")
    with transaction.atomic():
        first, sent = hold_on.delay(str(gate)), note.delay(1)
    eventually(lambda: TaskResult.objects.filter(claimed_by__isnull=False).count() == 2, "both are claimed")
    freeze(lambda: os.kill(worker.children()[1], signal.SIGSTOP))

    assert not sent.revoke(terminate=True)
    os.kill(worker.children()[1], signal.SIGCONT)
    eventually(lambda: status(sent.id) == "REVOKED", "given back behind one that takes long")
    gate.touch()

    eventually(lambda: observed.told("task_revoked"), "its end is told")
    (told,) = observed.told("task_revoked")
    assert (told["id"], told["sender"], told["terminated"]) == (sent.id, note.name, True)
    assert f"Task {note.name}[{sent.id}] revoked: terminated before it could run" in worker.output
    assert "task_prerun" not in observed.of(sent.id)
    first.get(timeout=30)


def test_unknown_and_unreadable_messages_are_told_of(observed: Observed) -> None:
    unknown = app.send_task("nobody.knows.this")
    with kombu.Connection("django://") as connection:
        kombu.Producer(connection.channel()).publish(
            "42", routing_key="default", content_type="application/json"
        )

    observed.burst()

    (told,) = observed.told("task_unknown")
    assert (told["id"], told["name"]) == (unknown.id, "nobody.knows.this")
    assert len(observed.told("task_rejected")) == 1


def test_the_failure_of_a_task_whose_process_died_is_told_and_mailed(observed: Observed) -> None:
    sent = hold.delay("/no/such/gate")
    worker = observed.start()
    eventually(lambda: "task_prerun" in observed.of(sent.id), "it runs")

    os.kill(worker.children()[1], signal.SIGKILL)

    eventually(lambda: "task_failure" in observed.of(sent.id), "its failure is told")
    eventually(observed.mails, "its failure is mailed")
    (subject,) = observed.mails()
    assert "WorkerLostError" in subject
    assert sent.id in subject
    assert f"Task {hold.name}[{sent.id}] lost its worker" in worker.output


def test_a_poison_task_is_mailed_once(observed: Observed) -> None:
    poison.delay()

    observed.burst()

    assert len(observed.mails()) == 1


# -- mails


def test_mail_01_failures_are_mailed_and_mail_04_retries_and_expected_ones_are_not(
    observed: Observed,
) -> None:
    sent = fail.delay("bang")
    twice = try_twice.delay()
    expect.delay()
    listed.delay()
    note.delay(1)
    observed.start()

    eventually(lambda: len(observed.mails()) == 2, "two mails")
    eventually(lambda: QueuedMessage.objects.count() == 0, "nothing is left")

    first, second = observed.mails()
    assert f"Error: Task {fail.name} ({sent.id}): ValueError('bang')" in first
    assert f"Error: Task {try_twice.name} ({twice.id}): ValueError('busy')" in second
    assert status(sent.id) == "FAILURE"


def test_mail_05_a_mail_that_cannot_be_sent_changes_nothing(observed: Observed) -> None:
    (observed.folder / "mails").write_text("no folder: the backend fails")
    sent = fail.delay("bang")

    worker = observed.burst("--loglevel=info")

    assert status(sent.id) == "FAILURE"
    assert "django_tasks.mail_error" in worker.output


# -- the log


def test_log_04_prints_are_in_the_log_with_their_task(observed: Observed) -> None:
    sent = talk.delay()

    worker = observed.burst()

    name = f"{talk.name}[{sent.id}]: "
    for words in ("printed", "complained", "logged at warning"):
        assert f"WARNING [{observed.told('task_prerun')[0]['pid']}] {name}{words}" in worker.output
    assert "logged at info" not in worker.output
    assert "succeeded" not in worker.output


def test_log_05_the_log_goes_to_the_file_and_requests_know_it(observed: Observed, tmp_path: Path) -> None:
    file = tmp_path / "worker.log"
    sent = talk.delay()

    worker = observed.burst(f"--logfile={file}", "--loglevel=debug")

    assert sent.get() == [str(file), 10]
    text = file.read_text()
    for words in ("received", "started", "succeeded in 0."):
        assert f"Task {talk.name}[{sent.id}] {words}" in text
    assert "logged at info" in text
    assert sent.id not in worker.output


def test_a_log_file_that_cannot_be_opened_is_said_so(observed: Observed) -> None:
    worker = observed.start("--logfile=/no/such/folder/worker.log")

    assert worker.wait() == 1
    assert (
        "--logfile: /no/such/folder/worker.log cannot be written to: No such file or directory."
        in worker.output
    )


def test_prints_stay_prints_if_the_setting_says_so(start_worker: Start, tmp_path: Path) -> None:
    sent = talk.delay()

    worker = start_worker(
        "--burst",
        "--processes=1",
        DJANGO_SETTINGS_MODULE="tests.observability.unredirected_settings",
        TOLD=str(tmp_path / "told"),
        MAILS=str(tmp_path / "mails"),
    )
    assert worker.wait() == 0, worker.output

    assert status(sent.id) == "SUCCESS"
    assert "printed" in worker.output.splitlines()


def test_prints_of_coroutines_are_in_the_log_too(observed: Observed) -> None:
    sent = talk_later.delay()

    worker = observed.burst()

    assert sent.get() == "later"
    assert f"{talk_later.name}[{sent.id}]: printed by a coroutine" in worker.output
    assert "middleware" in observed.of(sent.id)


# -- built-in tasks


def test_blt_05_ping(observed: Observed) -> None:
    sent, foreign = ping.delay(), app.send_task("celery.ping")

    observed.burst()

    assert (sent.get(), foreign.get()) == ("pong", "pong")


@pytest.mark.parametrize("name", ["celery.execute_remote", "celery.map_async"])
def test_blt_03_blt_04_code_in_messages_is_refused_by_design(observed: Observed, name: str) -> None:
    app.send_task(name, ("code",))

    observed.burst()

    aside = QueuedMessage.objects.aside().get()
    assert name in aside.reason
    assert "refused by design" in aside.reason
