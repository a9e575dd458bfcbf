"""`--health-port`: who asks over HTTP how this worker is, is answered from memory.

By the supervisor itself, between two of its turns: it lives as long as the worker does, it sees when the housekeeper
does not, and while it stands still nobody is answered, which probes take for what it is. It must not wait for
anybody, nor have threads, for it forks: so nothing here blocks.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from django_tasks import clock

from .health import Health

#: Callers at a time; when there are more, the first one has waited long enough.
MOST_CALLERS = 32
#: Seconds that a caller has to say what it wants.
PATIENCE = 5.0
#: Bytes that it may take to say it.
MOST_BYTES = 8192


@dataclass(slots=True, kw_only=True)
class Caller:
    link: socket.socket
    until: float
    said: bytes = b""


def listen(host: str, port: int) -> socket.socket:
    """Raises `OSError` if that cannot be had."""
    is_6 = ":" in host
    listener = socket.create_server(
        (host, port),
        family=socket.AF_INET6 if is_6 else socket.AF_INET,
        dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6(),
    )
    listener.setblocking(False)
    return listener


class Probes:
    """`pages` are the paths that can be asked for, and who knows the answer. Without a listener nobody can ask."""

    def __init__(self, listener: socket.socket | None, pages: Mapping[str, Callable[[], Health]]) -> None:
        self.listener = listener
        self.pages = pages
        #: By the descriptors of their links, in the order in which they came.
        self.callers: dict[int, Caller] = {}

    @property
    def fds(self) -> list[int]:
        """To be waited on; what can be read is for `attend`."""
        return [*([] if self.listener is None else [self.listener.fileno()]), *self.callers]

    def attend(self, heard: Sequence[int]) -> None:
        for fd in heard:
            if caller := self.callers.get(fd):
                self.hear(caller)
            elif self.listener is not None and fd == self.listener.fileno():
                self.pick_up(self.listener)
        now = clock.monotonic()
        for caller in [caller for caller in self.callers.values() if caller.until <= now]:
            self.hang_up(caller)

    def pick_up(self, listener: socket.socket) -> None:
        try:
            link, _ = listener.accept()
        except OSError:
            return  # it has hung up already
        link.setblocking(False)
        if len(self.callers) >= MOST_CALLERS:
            self.hang_up(next(iter(self.callers.values())))
        caller = Caller(link=link, until=clock.monotonic() + PATIENCE)
        self.callers[link.fileno()] = caller
        self.hear(caller)  # mostly it has spoken by now

    def hear(self, caller: Caller) -> None:
        try:
            heard = caller.link.recv(MOST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            heard = b""
        caller.said += heard
        if b"\r\n\r\n" in caller.said or b"\n\n" in caller.said:
            self.say(caller, self.answer(caller.said))
        elif len(caller.said) > MOST_BYTES:
            self.say(caller, _response(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE))
        elif not heard:
            self.hang_up(caller)

    def answer(self, said: bytes) -> bytes:
        method, _, rest = said.partition(b"\n")[0].partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0].decode("ascii", "replace").strip()
        if method not in (b"GET", b"HEAD"):
            return _response(HTTPStatus.METHOD_NOT_ALLOWED)
        if path not in self.pages:
            return _response(HTTPStatus.NOT_FOUND)
        health = self.pages[path]()
        status = HTTPStatus.OK if health.is_well else HTTPStatus.SERVICE_UNAVAILABLE
        body = {"ok": health.is_well, "reasons": health.reasons}
        return _response(status, body, has_body=method == b"GET")

    def say(self, caller: Caller, response: bytes) -> None:
        # A kilobyte fits into the empty buffer of a new connection: it is sent whole or not at all.
        with contextlib.suppress(OSError):
            caller.link.send(response)
            caller.link.shutdown(socket.SHUT_WR)
        self.hang_up(caller)

    def hang_up(self, caller: Caller) -> None:
        del self.callers[caller.link.fileno()]
        caller.link.close()

    def close(self) -> None:
        for caller in list(self.callers.values()):
            self.hang_up(caller)
        if self.listener is not None:
            self.listener.close()
            self.listener = None


def _response(
    status: HTTPStatus, body: Mapping[str, object] | None = None, *, has_body: bool = True
) -> bytes:
    content = json.dumps(body or {"ok": False, "reasons": [status.phrase]}).encode() + b"\n"
    head = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        "Cache-Control: no-store",
        "Connection: close",
        *(["Allow: GET, HEAD"] if status == HTTPStatus.METHOD_NOT_ALLOWED else []),
    ]
    return "\r\n".join([*head, "", ""]).encode() + (content if has_body else b"")
