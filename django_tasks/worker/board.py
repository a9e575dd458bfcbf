"""The board: memory shared by the processes of one worker, on which each task process says what it runs.

When a process dies, its seat still tells the others which task it was running, the outcome of those that it had
finished but not yet recorded, and (by what is missing) which it had only claimed. So a process that is killed takes
down the task it was running, and no other. Nothing on the board is locked between processes: each seat has one writer,
and is judged only after that writer is dead. The supervisor reads it without a database and without user code.
"""

from __future__ import annotations

import hashlib
import itertools
import mmap
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from django_tasks import clock
from django_tasks.service import Wakeup

from .ending import Ending
from .events.shared import Shared
from .pauses import Pauses
from .pulses import Pulses
from .rate_limits import RateLimits

FREE: Final = 0
ALIVE: Final = 1
#: Its process died; what it owned is to be rescued.
DEAD: Final = 2
#: Its process was ended by the supervisor at a shutdown: not the task's fault.
CUT: Final = 3

#: What keeps a process from receiving.
FINE: Final = 0
BROKER_AWAY: Final = 1
DATABASE_AWAY: Final = 2
FAILING: Final = 3

#: The most tasks that a process may have claimed and not settled.
MOST_CLAIMED: Final = 1024

# The lease's end, in this machine's monotonic time; expected seconds per task; is anything condemned?
_HEADER = struct.Struct("=ddB")
_EXPECTED = struct.Struct("=d")
_EXPECTED_AT = _EXPECTED.size
#: How many tasks may be condemned at a time.
_CONDEMNED = 64
_DIGEST = 16
_SEATS_AT = _HEADER.size + _CONDEMNED * _DIGEST
# State, pid, serial, is void?, retires?, trouble, when it last could receive (monotonic).
_SEAT = struct.Struct("=BIIBBBd")
_RECEIVED = struct.Struct("=d")
_RECEIVED_AT = _SEAT.size - _RECEIVED.size
_TROUBLE_AT = _RECEIVED_AT - 1
_RETIRES_AT = _TROUBLE_AT - 1
_VOID_AT = _RETIRES_AT - 1
_JOURNAL = struct.Struct("=QQ")  # bytes written to the journal since the start, and of these, bytes settled
_ENTRY = struct.Struct("=I")  # length of a journal entry
_SLOT = struct.Struct("=BBddH")  # busy, verdict, start (monotonic), time limit in seconds, length of the id
_LENGTH = struct.Struct("=H")
_LENGTH_AT = _SLOT.size - _LENGTH.size
_DONE = struct.Struct("=Q")  # tasks done in this slot; after it comes the id
_ID_BYTES = 1020  # 255 characters of UTF-8
_ID_AT = _SLOT.size + _DONE.size
_SLOT_SIZE = _ID_AT + _ID_BYTES
#: Room for outcomes not yet settled. A page of it costs nothing until it is written.
_JOURNAL_BYTES = 4 * 1024 * 1024
#: What must stay free of it, so that at least a line on every claimed task always fits.
_RESERVED_BYTES = MOST_CLAIMED * (_ID_BYTES + 64)


#: Why a process is to be killed because of one of its tasks; beside the task, on the board.
INNOCENT: Final = 0
OVERDUE: Final = 1
TERMINATED: Final = 2
#: Its process took more memory than it may: each of its tasks is as suspect as if it had died of them.
OVERSIZED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A task on the board: its id, its slot, and since when it runs, in monotonic seconds."""

    id: str
    slot: int
    since: float
    #: Seconds that it may run; infinite without a limit.
    limit: float = float("inf")
    verdict: int = INNOCENT

    @property
    def deadline(self) -> float:
        return self.since + self.limit


class Board:
    def __init__(
        self, seats: int, threads: int, worker_id: str, queues: Sequence[str] = (), coroutines: int = 0
    ) -> None:
        self.worker_id = worker_id
        self.threads = threads
        #: Of each process: those of its threads are the first.
        self.slots = threads + coroutines
        self._condemned = itertools.count()
        self._seat_size = _SEAT.size + self.slots * _SLOT_SIZE + _JOURNAL.size + _JOURNAL_BYTES
        self.rate_limits = RateLimits()
        self.pauses = Pauses(queues)
        self.pulses = Pulses()
        self.ending = Ending()
        #: Rung by the supervisor when a process has died, to wake whoever takes up what it left.
        self.deaths = Wakeup()
        self.events = Shared(places=seats + 1)  # the housekeeper's is the first
        # Anonymous shared memory: inherited over fork, gone with the last process.
        self._memory = mmap.mmap(-1, _SEATS_AT + seats * self._seat_size)
        self.seats = [Seat(self, _SEATS_AT + number * self._seat_size) for number in range(seats)]

    def free_seat(self) -> Seat | None:
        """A seat for a new process; none while too many dead ones wait to be rescued."""
        return next((seat for seat in self.seats if seat.state == FREE), None)

    def dead_seats(self) -> list[Seat]:
        return [seat for seat in self.seats if seat.state in (DEAD, CUT)]

    def living_owners(self) -> set[str]:
        return {seat.owner for seat in self.seats if seat.state == ALIVE}

    @property
    def done(self) -> int:
        """Tasks that the processes now on the board have run."""
        return sum(seat.done for seat in self.seats)

    @property
    def busy(self) -> int:
        """Tasks that run now."""
        return sum(seat.busy for seat in self.seats if seat.state == ALIVE)

    def idle_before(self, seat: Seat) -> int:
        """How many processes could run something at once: of a lower number, or any if this one could not."""
        others = self.seats[: self.seats.index(seat)] if seat.has_idle_thread() else self.seats
        return sum(one.state == ALIVE and one.has_idle_thread() for one in others)

    def extend_lease(self, until: float) -> None:
        """Say until when, in monotonic time, this worker is believed by the others."""
        struct.pack_into("=d", self._memory, 0, until)

    @property
    def expected(self) -> float:
        """How many seconds a task takes, as the processes have learned; a new one begins with that. 0: unknown."""
        return float(_EXPECTED.unpack_from(self._memory, _EXPECTED_AT)[0])

    @expected.setter
    def expected(self, seconds: float) -> None:
        _EXPECTED.pack_into(self._memory, _EXPECTED_AT, seconds)

    def condemn(self, id: str) -> None:
        """Have the supervisor kill the process that runs this task. It looks whether that still runs it."""
        at = _HEADER.size + next(self._condemned) % _CONDEMNED * _DIGEST
        self._memory[at : at + _DIGEST] = _digest(id)
        self._memory[_HEADER.size - 1] = 1

    def is_condemned(self, id: str) -> bool:
        if not self._memory[_HEADER.size - 1]:
            return False
        digest = _digest(id)
        places = range(_HEADER.size, _SEATS_AT, _DIGEST)
        return any(self._memory[at : at + _DIGEST] == digest for at in places)

    def void_claims(self) -> None:
        """Say that others have given this worker up: what its processes have claimed is not theirs any more."""
        for seat in self.seats:
            self._memory[seat._offset + _VOID_AT] = True

    def had_lease(self) -> bool:
        """Was this worker ever believed? Its housekeeper may be a new one, which does not know."""
        return bool(_HEADER.unpack_from(self._memory, 0)[0])

    def has_lease(self) -> bool:
        """May anything be claimed? Only while nobody can have given this worker up."""
        return bool(clock.monotonic() < _HEADER.unpack_from(self._memory, 0)[0])


class Seat:
    """One task process's part of the board."""

    def __init__(self, board: Board, offset: int) -> None:
        self.board = board
        self._memory = board._memory
        self._offset = offset
        self._slots = [offset + _SEAT.size + number * _SLOT_SIZE for number in range(board.slots)]
        self._journal = offset + _SEAT.size + board.slots * _SLOT_SIZE
        self._writing = threading.Lock()

    # -- by the supervisor

    def take(self, serial: int) -> None:
        """Give the seat to a process about to be forked; `serial` makes its claims distinct from all others'."""
        # Slots and counters; the journal's old pages are not worth touching.
        size = self._journal + _JOURNAL.size - self._offset
        self._memory[self._offset : self._offset + size] = bytes(size)
        _SEAT.pack_into(self._memory, self._offset, ALIVE, 0, serial, False, False, FINE, 0.0)

    def mark(self, state: int) -> None:
        self._memory[self._offset] = state

    def judge(self, slot: int, verdict: int) -> None:
        """Say why this process is killed, for those who settle what it leaves."""
        self._memory[self._slots[slot] + 1] = verdict

    # -- by its process

    def sit(self, pid: int) -> None:
        _SEAT.pack_into(self._memory, self._offset, ALIVE, pid, self.serial, False, False, FINE, 0.0)

    def retire(self) -> None:
        """Say that this process takes on no more tasks and has room to spare, so that another may take its place."""
        self._memory[self._offset + _RETIRES_AT] = True

    def complain(self, trouble: int) -> None:
        """Say what keeps this process from receiving, or `FINE`."""
        self._memory[self._offset + _TROUBLE_AT] = trouble

    def note_receiving(self) -> None:
        """Say that this process has just been open for tasks, whether or not there were any."""
        _RECEIVED.pack_into(self._memory, self._offset + _RECEIVED_AT, clock.monotonic())

    def begin(self, slot: int, id: str, limit: float | None = None) -> None:
        """The body of task `id` is about to be called in this slot, for at most `limit` seconds."""
        offset = self._slots[slot]
        encoded = id.encode()[:_ID_BYTES]
        self._put(offset + _ID_AT, encoded)
        limit = float("inf") if limit is None else limit
        self._put(offset, _SLOT.pack(0, INNOCENT, clock.monotonic(), limit, len(encoded)))
        # Written last: a slot is busy only when all of it is true.
        self._memory[offset] = 1

    def disown(self, slot: int, id: str) -> None:
        """The body that runs in this slot was replaced by another task of its id, whose fate is not its own."""
        offset = self._slots[slot]
        encoded = id.encode()[:_ID_BYTES]
        busy, *_, length = _SLOT.unpack_from(self._memory, offset)
        if busy and self._memory[offset + _ID_AT : offset + _ID_AT + length] == encoded:
            self._put(offset + _LENGTH_AT, _LENGTH.pack(0))

    def end(self, slot: int, outcome: bytes, short: bytes) -> None:
        """The body ended: keep its outcome until it is settled, or if that is too large the `short` form of it."""
        with self._writing:
            written, settled = _JOURNAL.unpack_from(self._memory, self._journal)
            free = _JOURNAL_BYTES - (written - settled)
            entry = outcome if _ENTRY.size + len(outcome) <= free - _RESERVED_BYTES else short
            self._copy_in(written, _ENTRY.pack(len(entry)) + entry)
            # Counted last, so that a half written entry does not exist; and before the slot is freed, so that at
            # no moment the task looks as if it had not begun.
            self._put(self._journal, _JOURNAL.pack(written + _ENTRY.size + len(entry), settled))
        offset = self._slots[slot]
        self._memory[offset] = 0
        (done,) = _DONE.unpack_from(self._memory, offset + _SLOT.size)
        _DONE.pack_into(self._memory, offset + _SLOT.size, done + 1)

    def settle(self, count: int) -> None:
        """The oldest `count` outcomes are in the database, or nobody wants them any more."""
        with self._writing:
            written, settled = _JOURNAL.unpack_from(self._memory, self._journal)
            for _ in range(count):
                settled += _ENTRY.size + self._entry_length(settled)
            if settled == written:
                written = settled = 0  # begin anew, so that only pages that are needed are ever touched
            self._put(self._journal, _JOURNAL.pack(written, settled))

    # -- by anybody

    @property
    def state(self) -> int:
        return self._memory[self._offset]

    @property
    def pid(self) -> int:
        return self._fields()[1]

    @property
    def serial(self) -> int:
        return self._fields()[2]

    @property
    def retires(self) -> bool:
        return bool(self._memory[self._offset + _RETIRES_AT])

    @property
    def is_void(self) -> bool:
        """Has this process lost what it claimed, to those who took its worker for dead?"""
        return bool(self._memory[self._offset + _VOID_AT])

    @property
    def trouble(self) -> int:
        return self._memory[self._offset + _TROUBLE_AT]

    @property
    def received(self) -> float:
        """When, in monotonic time, this process was last open for tasks; 0 if it never was."""
        return self._fields()[6]

    @property
    def owner(self) -> str:
        """What the rows that this process claims have in `claimed_by`."""
        return owner_of(self.board.worker_id, self.serial)

    @property
    def done(self) -> int:
        return sum(_DONE.unpack_from(self._memory, offset + _SLOT.size)[0] for offset in self._slots)

    @property
    def begun(self) -> int:
        """Tasks that this process has run or runs."""
        return self.done + self.busy

    @property
    def busy(self) -> int:
        return sum(self._memory[offset] for offset in self._slots)

    def has_idle_thread(self) -> bool:
        return not all(self._memory[offset] for offset in self._slots[: self.board.threads])

    def running(self) -> list[Running]:
        return list(self._running())

    def unsettled(self) -> list[bytes]:
        """What `end` was told and `settle` was not, in order. Exact, once the process is dead."""
        written, at = _JOURNAL.unpack_from(self._memory, self._journal)
        entries = []
        while at < written:
            length = self._entry_length(at)
            entries.append(self._copy_out(at + _ENTRY.size, length))
            at += _ENTRY.size + length
        return entries

    def _running(self) -> Iterator[Running]:
        for slot, offset in enumerate(self._slots):
            if not self._memory[offset]:
                continue
            _, verdict, since, limit, length = _SLOT.unpack_from(self._memory, offset)
            id = self._memory[offset + _ID_AT : offset + _ID_AT + length].decode(errors="replace")
            yield Running(id=id, slot=slot, since=since, limit=limit, verdict=verdict)

    def _fields(self) -> tuple[int, int, int, int, int, int, float]:
        return _SEAT.unpack_from(self._memory, self._offset)

    def _put(self, at: int, packed: bytes) -> None:
        """Not by `pack_into`, which writes zeros first: somebody may look between, or be left with them by a kill."""
        self._memory[at : at + len(packed)] = packed

    def _entry_length(self, at: int) -> int:
        (length,) = _ENTRY.unpack(self._copy_out(at, _ENTRY.size))
        return int(length)

    def _copy_in(self, at: int, data: bytes) -> None:
        """The journal is a ring: what does not fit at its end goes on at its beginning."""
        start, at = self._journal + _JOURNAL.size, at % _JOURNAL_BYTES
        head = data[: _JOURNAL_BYTES - at]
        self._memory[start + at : start + at + len(head)] = head
        self._memory[start : start + len(data) - len(head)] = data[len(head) :]

    def _copy_out(self, at: int, length: int) -> bytes:
        start, at = self._journal + _JOURNAL.size, at % _JOURNAL_BYTES
        head = self._memory[start + at : start + min(at + length, _JOURNAL_BYTES)]
        return head + self._memory[start : start + length - len(head)]


def owner_of(worker_id: str, serial: int) -> str:
    return f"{worker_id}.{serial}"


def _digest(id: str) -> bytes:
    return hashlib.blake2b(id.encode(), digest_size=_DIGEST).digest()
