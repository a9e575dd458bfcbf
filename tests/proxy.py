"""A TCP proxy that breaks the network on command: between a client and a server, in a thread of its own."""

from __future__ import annotations

import contextlib
import ctypes
import random
import selectors
import socket
import struct
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

#: With it, closing a socket is a reset: the other side sees ECONNRESET, not an end.
RESET = struct.pack("ii", 1, 0)
#: From <asm-generic/socket.h>, and the shortest of programs for it: of every packet it keeps 0 bytes.
SO_ATTACH_FILTER = 26
KEEP_NOTHING = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
DEAF = struct.pack("HP", 1, ctypes.addressof(KEEP_NOTHING))


#: How many bytes the next segment has at most.
Segment = Callable[[], int]


def whole() -> int:
    return 65536


def one_byte() -> int:
    return 1


def any_piece() -> int:
    return random.randint(1, 50)


class Side:
    """One end of a connection, and the bytes that wait to be written to it."""

    def __init__(self, link: socket.socket, *, is_server: bool) -> None:
        self.link = link
        self.is_server = is_server
        self.waiting = bytearray()
        #: It will send nothing more; and the other side has been told so.
        self.has_ended = self.end_is_told = False
        self.other: Side = self
        link.setblocking(False)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Proxy:
    """Passes bytes on, both ways, until told otherwise."""

    def __init__(self, host: str, port: int, *, segment: Segment = whole) -> None:
        self.target = (host, port)
        #: May be changed at any time.
        self.segment = segment
        #: Connections accepted so far.
        self.accepted = 0
        self._sides: set[Side] = set()
        self._holds = False
        self._holes: list[socket.socket] = []
        self._orders: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._heard, self._bell = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._listener = self._listen(0)
        self.url_port: int = self._listener.getsockname()[1]
        self._runs = True
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._stop)
        self._thread.join()
        self._bell.close()

    def url(self, url: str) -> str:
        """The URL of the server behind, led through here."""
        parts = urlsplit(url)
        login, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{login}{at}127.0.0.1:{self.url_port}"))

    # -- what can be done to the network

    def reset_all(self) -> None:
        """Every connection is torn down now; new ones are accepted."""
        self._do(self._reset_all)

    def lose(self, *, servers: bool) -> None:
        """Every connection loses its server, or else its client, and the other side is not told: nobody answers it."""
        self._do(lambda: self._lose(servers))

    def vanish(self) -> None:
        """Every connection is gone from the network, as when a cable is cut: nobody even confirms a packet.

        For both sides it is still there. New ones are accepted.
        """
        self._do(self._vanish)

    def hold(self) -> None:
        """A black hole: connections stay, new ones are accepted, and nothing gets through."""
        self._do(lambda: self._set_holds(True))

    def release(self) -> None:
        """Everything that was held gets through, in order."""
        self._do(lambda: self._set_holds(False))

    def refuse(self) -> None:
        """Nobody listens any more; connections that there are stay."""
        self._do(self._close_listener)

    def accept(self) -> None:
        """The opposite of `refuse`."""
        self._do(self._reopen)

    @property
    def connections(self) -> int:
        return len(self._sides) // 2

    @property
    def is_held_up(self) -> bool:
        """Has anybody said something that does not get through?"""
        return self._holds and any(side.waiting for side in tuple(self._sides))

    def _do(self, order: Callable[[], None]) -> None:
        """Have the thread do it, and return when it is done."""
        done = threading.Event()

        def ordered() -> None:
            order()
            done.set()

        self._orders.put(ordered)
        self._bell.send(b"!")
        assert done.wait(10), "the proxy's thread has died"

    # -- in the thread

    def _run(self) -> None:
        self._selector.register(self._heard, selectors.EVENT_READ)
        self._watch_listener()
        while self._runs:
            for key, events in self._selector.select():
                if key.fileobj is self._heard:
                    self._heard.recv(1)
                    self._orders.get()()
                elif key.fileobj is self._listener:
                    self._take_connection()
                elif key.data in self._sides:
                    self._pass_on(key.data, events)

    def _take_connection(self) -> None:
        client, _ = self._listener.accept()
        self.accepted += 1
        try:
            server = socket.create_connection(self.target, timeout=5)
        except OSError:
            client.close()
            return
        near, far = Side(client, is_server=False), Side(server, is_server=True)
        near.other, far.other = far, near
        for side in (near, far):
            self._sides.add(side)
            self._selector.register(side.link, selectors.EVENT_READ, side)

    def _pass_on(self, side: Side, events: int) -> None:
        try:
            if events & selectors.EVENT_READ:
                self._read(side)
            if events & selectors.EVENT_WRITE:
                self._write(side)
        except OSError:
            self._close(side)
            return
        self._watch(side, side.other)

    def _read(self, side: Side) -> None:
        with contextlib.suppress(BlockingIOError):
            if data := side.link.recv(65536):
                side.other.waiting += data
            else:
                side.has_ended = True

    def _write(self, side: Side) -> None:
        if not self._holds and side.waiting:
            with contextlib.suppress(BlockingIOError):
                sent = side.link.send(side.waiting[: self.segment()])
                del side.waiting[:sent]

    def _watch(self, *sides: Side) -> None:
        """Pass ends on, close what is over, and see what the others wait for."""
        for side in sides:
            if side.has_ended and not side.end_is_told and not self._holds and not side.other.waiting:
                with contextlib.suppress(OSError):
                    side.other.link.shutdown(socket.SHUT_WR)
                side.end_is_told = True
        if all(side.end_is_told for side in sides):
            self._close(sides[0])
            return
        for side in sides:
            wanted = 0 if side.has_ended else selectors.EVENT_READ
            if side.waiting and not self._holds:
                wanted |= selectors.EVENT_WRITE
            self._select(side, wanted)

    def _select(self, side: Side, wanted: int) -> None:
        known = side.link in self._selector.get_map()
        if wanted and known:
            self._selector.modify(side.link, wanted, side)
        elif wanted:
            self._selector.register(side.link, wanted, side)
        elif known:
            self._selector.unregister(side.link)

    def _close(self, side: Side) -> None:
        for one in (side, side.other):
            self._select(one, 0)
            self._sides.discard(one)
            one.link.close()

    def _lose(self, servers: bool) -> None:
        """In the place of each that is gone there is from now on a hole."""
        for side in [side for side in self._sides if side.is_server is servers]:
            self._select(side, 0)
            side.link.close()
            side.link, hole = socket.socketpair()
            side.link.setblocking(False)
            self._holes.append(hole)
            self._watch(side, side.other)

    def _vanish(self) -> None:
        for side in self._sides:
            # From here on the kernel drops what comes before it looks at it; and nothing is said by us.
            side.link.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, DEAF)
            self._select(side, 0)
            self._holes.append(side.link)
        self._sides.clear()

    def _set_holds(self, holds: bool) -> None:
        self._holds = holds
        for side in list(self._sides):
            if side in self._sides:
                self._watch(side, side.other)

    def _reset_all(self) -> None:
        for side in self._sides:
            side.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._close_all()

    def _close_all(self) -> None:
        while self._sides:
            self._close(next(iter(self._sides)))

    def _listen(self, port: int) -> socket.socket:
        return socket.create_server(("127.0.0.1", port), backlog=128)

    def _watch_listener(self) -> None:
        self._selector.register(self._listener, selectors.EVENT_READ)

    def _close_listener(self) -> None:
        if self._listener.fileno() != -1:
            self._selector.unregister(self._listener)
            self._listener.close()

    def _reopen(self) -> None:
        if self._listener.fileno() == -1:
            self._listener = self._listen(self.url_port)
            self._watch_listener()

    def _stop(self) -> None:
        self._close_listener()
        self._close_all()
        self._selector.close()
        for hole in self._holes:
            hole.close()
        self._heard.close()
        self._runs = False


def through_proxy(url: str, **options: Any) -> Proxy:
    """A proxy to the server of a URL."""
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port, f"{url} names no port"
    return Proxy(parts.hostname, parts.port, **options)
