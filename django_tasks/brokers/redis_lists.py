"""Receiving from Redis, from the lists that kombu's transport writes.

kombu takes one message at a time, by BRPOP, which loses it if the connection breaks before the answer is read. Here a
script moves as many as are wanted into a list of this consumer's own, in one step: what is in there and was not
forgotten since goes back as soon as its owner is known to be dead. To hear of messages, the last one of a list is moved
to where it is (BLMOVE): that waits until there is one, and changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django_tasks.exceptions import OperationalError
from django_tasks.service import readable

from . import payload
from .broker import Delivery
from .consuming import RemoteReceiver, Ticket
from .unpacking import delivery_of, unread

#: The set of all consumers of a fleet, by their owners' names. Another project may use the same Redis, and its workers
#: are not known to our database: they are not to be taken for dead.
CONSUMERS = "django_tasks.consumers"
#: Seconds after which Redis answers anyway.
LISTEN = 10
#: Lists that are listened to, over a connection each; the others are looked into once a second.
MOST_EARS = 8

#: Move up to ARGV[1] messages of the lists KEYS[1…] to the list KEYS[#KEYS], each after the name of its list. Of one
#: that is longer than ARGV[2] only so much is told, and its end: that is too much already, and memory is finite. Who
#: takes, ARGV[4], is in the set ARGV[3] from then on, also if everything was flushed since it came.
TAKE = """
local taken, left, most, found = KEYS[#KEYS], tonumber(ARGV[1]), tonumber(ARGV[2]), {}
for i = 1, #KEYS - 1 do
    local messages = left > 0 and redis.call('RPOP', KEYS[i], left)
    for _, message in ipairs(messages or {}) do
        redis.call('RPUSH', taken, KEYS[i], message)
        found[#found + 1] = KEYS[i]
        if #message > most then
            message = string.sub(message, 1, most) .. string.sub(message, -20000)
        end
        found[#found + 1] = message
        left = left - 1
    end
end
if #found > 0 then
    redis.call('SADD', ARGV[3], ARGV[4])
end
return found
"""
#: Forget the first ARGV[1] messages in the list KEYS[1], but put the messages ARGV[3, 5, …] back into the lists
#: ARGV[2, 4, …].
FORGET = """
for i = #ARGV, 3, -2 do
    redis.call('RPUSH', ARGV[i - 1], ARGV[i])
end
return redis.call('LTRIM', KEYS[1], 2 * tonumber(ARGV[1]), -1)
"""
#: Put everything in the list KEYS[1] back to where it came from; how many messages that were.
GIVE_BACK = """
local count = 0
local message = redis.call('RPOP', KEYS[1])
while message do
    redis.call('RPUSH', redis.call('RPOP', KEYS[1]), message)
    count = count + 1
    message = redis.call('RPOP', KEYS[1])
end
return count
"""


class Lists:
    """The lists of one Redis, through a kombu channel, which knows the prefix of their names, and of one fleet."""

    def __init__(self, channel: Any, fleet: str) -> None:
        self.channel = channel
        self.prefix = channel.global_keyprefix or ""
        self.fleet = f"{CONSUMERS}.{fleet}"

    def take(self, keys: Sequence[str], owner: str, limit: int) -> list[tuple[bytes, bytes]]:
        """Pairs of a list's key and a message."""
        arguments = [limit, payload.longest(), self.prefix + self.fleet, owner]
        found = self._run(TAKE, [*keys, self.taken_by(owner)], arguments)
        return list(zip(found[::2], found[1::2], strict=True))

    def forget(self, owner: str, count: int, back: Sequence[tuple[bytes, bytes]]) -> None:
        """The first `count` that were taken, some of which go back."""
        self._run(FORGET, [self.taken_by(owner)], [count, *(part for pair in back for part in pair)])

    def give_back(self, owner: str) -> int:
        return int(self._run(GIVE_BACK, [self.taken_by(owner)], []))

    def consumers(self) -> set[str]:
        with self.channel.conn_or_acquire() as client:
            return set(map(_text, client.smembers(self.fleet)))

    def enter(self, owner: str) -> None:
        with self.channel.conn_or_acquire() as client:
            client.sadd(self.fleet, owner)

    def leave(self, owner: str) -> None:
        with self.channel.conn_or_acquire() as client:
            client.srem(self.fleet, owner)

    def check_version(self) -> None:
        """Raises `OperationalError` if there is no BLMOVE, nor RPOP of several."""
        with self.channel.conn_or_acquire() as client:
            version = str(client.info("server")["redis_version"])
        if tuple(map(int, version.split(".")[:2])) < (6, 2):
            raise OperationalError(f"Redis {version} is too old to receive from. Use 6.2 or later.")

    def keys(self, queues: Sequence[str]) -> list[str]:
        """The lists of these queues, the most urgent first."""
        steps = self.channel.priority_steps
        return [self.prefix + self.channel._q_for_pri(queue, step) for step in steps for queue in queues]

    def queue_of(self, key: bytes) -> str:
        return _text(key).removeprefix(self.prefix).rsplit(self.channel.sep, 1)[0]

    def taken_by(self, owner: str) -> str:
        return f"{self.prefix}django_tasks.taken:{owner}"

    def _run(self, script: str, keys: Sequence[str], arguments: Sequence[object]) -> Any:
        with self.channel.conn_or_acquire() as client:
            # EVAL: kombu puts the prefix before the first key of EVALSHA only.
            return client.execute_command("EVAL", script, len(keys), *keys, *arguments)


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


class Ear:
    """Listens to one list over a connection of its own."""

    def __init__(self, channel: Any, key: str) -> None:
        self.key = key
        self.pool = channel.pool
        self.connection = self.pool.get_connection()
        self.is_asked = False

    @property
    def fd(self) -> int:
        return int(self.connection._sock.fileno())

    def ask(self) -> None:
        if not self.is_asked:
            # The answer to BLMOVE would be the message itself, which may be large. So it is not to be given, and that
            # to PING comes when it would have been.
            commands = [
                ("CLIENT", "REPLY", "SKIP"),
                ("BLMOVE", self.key, self.key, "RIGHT", "RIGHT", LISTEN),
                ("PING",),
            ]
            self.connection.send_packed_command(self.connection.pack_commands(commands))
            self.is_asked = True

    def heard(self) -> bool:
        """May there be a message? Never waits."""
        if not self.is_asked or not readable([self.fd], 0):
            return False
        self.connection.read_response()
        self.is_asked = False
        return True

    def close(self) -> None:
        self.connection.disconnect()
        self.pool.release(self.connection)


class RedisReceiver(RemoteReceiver):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.lists = Lists(self.channel, self.broker.fleet())
        self.turn = 0
        self.lists.check_version()
        self.lists.enter(self.owner)
        self.lists.give_back(self.owner)  # what an earlier connection of ours has left
        self.ears: list[Ear] = []
        self.attend()

    def attend(self) -> None:
        self._stop_ears()
        keys = self.lists.keys(self.queues)
        self.ears = [Ear(self.channel, key) for key in keys[:MOST_EARS]]
        self.hears_all = len(keys) <= MOST_EARS
        self.may_be_more = True

    def _stop_ears(self) -> None:
        while self.ears:
            self.ears.pop().close()

    def fetch(self, limit: int) -> None:
        wanted = limit - len(self._arrived)
        if wanted <= 0 or not self.queues:
            return
        # Each queue is first in its turn, so that a full one does not starve the others.
        self.turn = (self.turn + 1) % len(self.queues)
        queues = [*self.queues[self.turn :], *self.queues[: self.turn]]
        taken = self.lists.take(self.lists.keys(queues), self.owner, wanted)
        self._arrived.extend(self._delivery(key, message) for key, message in taken)
        self.may_be_more = len(taken) == wanted
        if not self.may_be_more:
            self._listen()

    def _delivery(self, key: bytes, text: bytes) -> Delivery:
        queue, tag = self.lists.queue_of(key), Ticket((key, text))
        if len(text) > payload.longest():
            return unread(text, queue=queue, tag=tag)
        message = self.channel.Message(_parsed(text), channel=self.channel)
        return delivery_of(message, queue=queue, tag=tag)

    def acknowledge(self, done: Sequence[Delivery], back: Sequence[Delivery]) -> None:
        # They are those that were taken first. After a batch that failed there may be more.
        self.lists.forget(self.owner, len(done) + len(back), [delivery.tag.message for delivery in back])

    def put_back(self) -> None:
        if self._arrived:
            self._arrived.clear()
            self.lists.give_back(self.owner)

    # -- hearing of messages

    @property
    def patience(self) -> float:
        return LISTEN if self.hears_all else super().patience

    @property
    def sockets(self) -> Sequence[int]:
        return [ear.fd for ear in self.ears if ear.is_asked]

    def looks_new(self) -> bool:
        if any(ear.heard() for ear in self.ears):
            self.may_be_more = True
        elif not self.may_be_more:
            self._listen()
        return self.may_be_more or bool(self._arrived)

    def _listen(self) -> None:
        """Only while there is nothing: otherwise Redis would answer at once, with a message each time."""
        for ear in self.ears:
            ear.ask()

    def abandon(self) -> None:
        self._stop_ears()
        super().abandon()

    def part(self) -> None:
        self._stop_ears()
        self.lists.leave(self.owner)


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text.decode("utf-8", "backslashreplace")
