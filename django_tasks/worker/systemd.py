"""What systemd is told of a worker: that it is ready, how it is, that it lives, that it ends (`Type=notify`).

The protocol is a datagram of lines to the socket that systemd names in the environment; see sd_notify(3).
"""

from __future__ import annotations

import os
import socket

from django_tasks import clock

from .health import Health

#: Seconds until it is tried again to tell what could not be told yet.
SOON = 0.1
_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Systemd:
    """Deaf if there is no `address`; `watchdog` is how often, in seconds, it wants to hear that we live."""

    def __init__(self, address: str | None = None, watchdog: float | None = None) -> None:
        self.address = address
        self.watchdog = watchdog
        self.link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None
        if self.link is not None:
            self.link.setblocking(False)
        self.is_ready = self.is_stopping = self.is_told_of_end = False
        self.status = ""
        self.next_beat = 0.0

    @classmethod
    def from_environment(cls) -> Systemd:
        """Takes the variables out of it: what a task starts must not speak for the worker."""
        address, span, pid = (os.environ.pop(name, "") for name in _VARIABLES)
        if not address.startswith(("/", "@")):
            return cls()  # nobody, or of a kind that is not for services of this machine
        is_for_us = span.isdecimal() and int(span) > 0 and pid in ("", str(os.getpid()))
        return cls(address, int(span) / 1_000_000 if is_for_us else None)

    @property
    def listens(self) -> bool:
        return self.link is not None

    def tell(self, *, live: Health, ready: Health) -> None:
        """Whatever is news. While the worker is not live nothing is said of that, so that it is started again."""
        if not self.listens:
            return
        now, status = clock.monotonic(), " ".join(ready.reasons) or "Running tasks."
        span = self.watchdog if live.is_well and now >= self.next_beat else None
        news = []
        if ready.is_well and not self.is_ready:
            news += ["READY=1", f"MAINPID={os.getpid()}"]
        if status != self.status:
            news.append(f"STATUS={status}")
        if self.is_stopping and not self.is_told_of_end:
            news.append("STOPPING=1")
        if span is not None:
            news.append("WATCHDOG=1")
        if not self._send(news):
            return  # all of it is still news in the next turn
        self.is_ready = self.is_ready or ready.is_well
        self.status = status
        self.is_told_of_end = self.is_stopping
        if span is not None:
            self.next_beat = now + span / 2

    def tell_of_end(self) -> None:
        if self.listens and not self.is_told_of_end:
            self.is_stopping = True
            self.is_told_of_end = self._send(["STOPPING=1"])

    def pause(self) -> float:
        """For how long nothing needs to be told."""
        if not self.listens:
            return float("inf")
        first = float("inf") if self.is_ready or self.is_stopping else SOON
        beat = float("inf") if self.watchdog is None else self.next_beat - clock.monotonic()
        return max(SOON, min(first, beat))

    def close(self) -> None:
        if self.link is not None:
            self.link.close()
            self.link = None

    def _send(self, lines: list[str]) -> bool:
        """False if there was no room for it, and it is to be said again."""
        if not lines or self.link is None or self.address is None:
            return True
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            self.link.sendto("\n".join(lines).encode(), address)
        except BlockingIOError:
            return False
        except OSError:
            pass  # it is to hear of us, and is not to stop us: if it does not listen, it will know why
        return True
