"""Tasks of the projects that attacks are tried on."""

from __future__ import annotations

from typing import Any

from django_tasks import Task, task
from tests.ledger.tasks import wait_for


@task
def add(x: int, y: int) -> int:
    return x + y


@task(bind=True)
def show_headers(self: Task[..., Any]) -> dict[str, Any]:
    return dict(self.request.headers or {})


@task(bind=True)
def report(self: Task[..., Any], text: str, gate: str) -> None:
    self.update_state(state=text, meta={text: [text]})
    wait_for(gate)


@task(redact=["pin"])
def log_in(user: str, password: str, pin: int) -> dict[str, Any]:
    return {"user": user, "session": {"token": f"token of {password}"}, "pin": f"{pin}"}


@task
def log_in_and_fail(user: str, password: str) -> None:
    """Of what it knows when it fails only what it says is told, no local variable."""
    raise PermissionError(user)
