"""Remote control in Celery's way: commands that come through the broker to all workers, and their answers.

`celery inspect`, `celery control` and Flower send them. What a command does is written in commands.py; here is how it
travels. Strangers write to the same exchange: what is no command in JSON is dropped with a line in the log.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import kombu
from django.db import close_old_connections, connections
from kombu import matcher
from kombu.exceptions import EncodeError, InconsistencyError
from kombu.pidbox import Mailbox

from django_tasks.brokers.unpacking import deliver_packed, envelope_of
from django_tasks.exceptions import TasksError
from django_tasks.message.fields import LONGEST
from django_tasks.message.message import Envelope
from django_tasks.message.saferepr import saferepr
from django_tasks.message.serialization import loads

from .events.of_worker import Heart
from .events.shared import Clock, Shared
from .line import Line

logger = logging.getLogger("django_tasks.worker")

#: Celery's name of the exchanges: `celery.pidbox` and `reply.celery.pidbox`.
NAMESPACE = "celery"
#: Seconds for which one turn listens: the end of the worker is delayed by no more.
PATIENCE = 0.5
#: Seconds after which the broker throws away what nobody has fetched, and a mailbox that nobody opens; as Celery's.
_MESSAGES_LIVE = 300.0
_MAILBOX_LIVES = 10.0
#: How AMQP says that a queue is somebody else's alone.
_LOCKED = 405


class Run(Protocol):
    """Obeys a command. Raises a `TasksError` or `ValueError` with what is wrong with it."""

    def __call__(self, name: str, arguments: Mapping[str, Any], worker: Any) -> object: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A message that passed for one."""

    name: str
    arguments: Mapping[str, Any]
    #: The routing key of whoever wants an answer.
    reply_to: str | None
    ticket: str | None


class Pidbox:
    """The mailbox of the worker `hostname`; each `turn` of a loop looks into it. `worker` is handed on to `run`."""

    def __init__(
        self,
        *,
        connect: Callable[[], kombu.Connection],
        hostname: str,
        run: Run,
        worker: Any,
        shared: Shared,
        clock: Clock,
        heart: Heart | None = None,
    ) -> None:
        self.line = Line(connect, name="remote control")
        self.hostname = hostname
        self.run = run
        self.worker = worker
        self.shared = shared
        self.clock = clock
        self.heart = heart
        self.mailbox = Mailbox(
            NAMESPACE, type="fanout", queue_ttl=_MESSAGES_LIVE, queue_expires=_MAILBOX_LIVES
        )
        self._consumer: kombu.Consumer | None = None

    def turn(self) -> float:
        try:
            self.listen()
            self.line.drain(PATIENCE)
        except Exception as error:  # noqa: BLE001 - each transport has its own
            self._consumer = None
            if getattr(error, "code", None) == _LOCKED and not self.line.is_down:
                text = "Remote control: another worker is called %s. Start this one with another --name."
                logger.error(text, self.hostname)
            return self.line.broke(error)
        return 0

    def listen(self) -> None:
        if not self.line.open() and self._consumer is not None:
            return
        deliver_packed(self.line.channel)
        mailbox = self.mailbox.get_queue(self.hostname)
        self._consumer = kombu.Consumer(self.line.channel, [mailbox], on_message=self.receive, no_ack=True)
        self._consumer.consume()
        self.line.works()

    def close(self) -> None:
        self._consumer = None
        self.line.close()
        connections.close_all()

    # -- a message

    def receive(self, message: Any) -> None:
        """Obey a message if it is a command to this worker, and answer."""
        try:
            envelope = envelope_of(message)
            self.clock.hear(envelope.headers.get("clock"))
            command = read(_body(envelope), self.hostname)
        except ValueError as error:
            logger.warning("Remote control: dropped a message: %s", error)
            return
        if command is None:
            return
        answer = self.obey(command)
        if command.reply_to is not None:
            self.reply(command.reply_to, command.ticket, answer)

    def obey(self, command: Command) -> object:
        try:
            match command.name:
                case "enable_events":
                    return self.want_events(True)
                case "disable_events":
                    return self.want_events(False)
                case "heartbeat":
                    self.beat()
                    return None
                case "hello":
                    return {"revoked": [], "clock": self.clock.tick()}
            return self.run(command.name, command.arguments, self.worker)
        except (TasksError, ValueError) as error:
            logger.warning("Remote control: %s: %s", command.name, error)
            return {"error": str(error)}
        except Exception as error:
            logger.exception("Remote control: %s failed", command.name)
            close_old_connections()
            return {"error": repr(error)}

    def want_events(self, wanted: bool) -> dict[str, str]:
        word, already = "enabled" if wanted else "disabled", self.shared.are_wanted is wanted
        self.shared.are_wanted = wanted
        return {"ok": f"task events {'already ' if already else ''}{word}"}

    def beat(self) -> None:
        if self.heart is not None:
            self.heart.beat()

    def reply(self, routing_key: str, ticket: str | None, answer: object) -> None:
        try:
            self.publish({self.hostname: answer}, routing_key, ticket)
        except EncodeError as error:
            logger.exception("Remote control: the answer cannot be written")
            self.publish({self.hostname: {"error": repr(error)}}, routing_key, ticket)

    def publish(self, answer: dict[str, object], routing_key: str, ticket: str | None) -> None:
        exchange = self.mailbox.reply_exchange
        producer = kombu.Producer(self.line.channel, auto_declare=False)
        with contextlib.suppress(InconsistencyError):  # whoever asked is gone, and its queue with it
            producer.publish(
                answer,
                exchange=exchange.name,
                routing_key=routing_key,
                declare=[exchange],
                headers={"ticket": ticket, "clock": self.clock.tick()},
                serializer="json",
                delivery_mode=1,
                retry=False,
            )


def _body(envelope: Envelope) -> object:
    kind, encoding = envelope.content_type, envelope.content_encoding
    return loads(envelope.body, content_type=kind, content_encoding=encoding, accept={"json"})


def read(body: object, hostname: str) -> Command | None:
    """The command in a message; `None` if it is for others. Raises `ValueError` for what is none."""
    if not isinstance(body, Mapping):
        raise _no_command("It", "an object", body)
    name, arguments = body.get("method"), body.get("arguments") or {}
    if not isinstance(name, str) or not name or len(name) > LONGEST:
        raise _no_command("`method`", "a name", name)
    if not isinstance(arguments, Mapping):
        raise _no_command("`arguments`", "an object", arguments)
    if not _is_for(hostname, body):
        return None
    reply_to = body.get("reply_to")
    return Command(
        name=name,
        arguments=arguments,
        reply_to=None if reply_to is None else _reply_key(reply_to),
        ticket=_ticket(body.get("ticket")),
    )


def _is_for(hostname: str, body: Mapping[str, Any]) -> bool:
    destination, pattern, kind = (body.get(name) for name in ("destination", "pattern", "matcher"))
    if destination:
        if not isinstance(destination, list):
            raise _no_command("`destination`", "a list of workers", destination)
        return hostname in destination
    if not pattern or not kind:
        return True
    try:
        return bool(matcher.match(hostname, pattern, kind))
    except Exception as error:
        raise _no_command("`pattern`", "one that `matcher` understands", pattern) from error


def _reply_key(reply_to: object) -> str:
    """Where in the exchange for replies; no other is written to."""
    key = reply_to.get("routing_key") if isinstance(reply_to, Mapping) else None
    if not isinstance(key, str) or not key.isprintable() or not 0 < len(key.encode()) <= LONGEST:
        raise _no_command("`reply_to`", "an object with a `routing_key`", reply_to)
    return key


def _ticket(ticket: object) -> str | None:
    if ticket is not None and not (
        isinstance(ticket, str) and ticket.isprintable() and len(ticket) <= LONGEST
    ):
        raise _no_command("`ticket`", "text", ticket)
    return ticket


def _no_command(what: str, wanted: str, value: object) -> ValueError:
    return ValueError(f"{what} must be {wanted}, not {saferepr(value, most=80)}.")
