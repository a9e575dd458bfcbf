"""The databases and brokers that systems are measured on: a part of each is the benchmark's own.

Where they are can be said in the environment: BENCH_POSTGRESQL, BENCH_MARIADB, BENCH_REDIS, BENCH_RABBITMQ.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import socket
import subprocess
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlsplit

from . import processes

NAME = "django_tasks_benchmark"


class Service(ABC):
    #: What its processes are called, to see what they cost; none if the work is done in the worker's.
    process = ""
    #: What is counted.
    unit = ""

    def __init__(self, url: str) -> None:
        self.url = url

    @abstractmethod
    def empty(self) -> None:
        """Make it as if it were new."""

    def remove(self) -> None:
        """Leave nothing behind."""
        self.empty()

    @abstractmethod
    def version(self) -> str: ...

    def count(self) -> int:
        """How much it has been asked, ever."""
        return 0

    def cpu(self) -> float:
        return processes.cpu(processes.named(self.process)) if self.process else 0.0


class SQLite(Service):
    @property
    def path(self) -> Path:
        return Path(self.url.removeprefix("sqlite:///"))

    def empty(self) -> None:
        for path in self.path.parent.glob(f"{self.path.name}*"):
            path.unlink()

    def version(self) -> str:
        import sqlite3

        return f"SQLite {sqlite3.sqlite_version}"


class PostgreSQL(Service):
    process = "postgres"
    unit = "transactions"

    def empty(self) -> None:
        self._do(f"DROP DATABASE IF EXISTS {self._name} WITH (FORCE)", f"CREATE DATABASE {self._name}")

    def remove(self) -> None:
        self._do(f"DROP DATABASE IF EXISTS {self._name} WITH (FORCE)")

    def version(self) -> str:
        return f"PostgreSQL {self._do('SHOW server_version')[0].partition(' ')[0]}"

    def count(self) -> int:
        asked = f"SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = '{self._name}'"
        return int(self._do(asked)[0])

    @property
    def _name(self) -> str:
        return urlsplit(self.url).path.strip("/")

    def _do(self, *statements: str) -> Any:
        import psycopg

        where = urlsplit(self.url)._replace(scheme="postgresql", path="/postgres").geturl()
        with psycopg.connect(where, autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchone() if cursor.description else None


class MariaDB(Service):
    process = "mariadbd"
    unit = "queries"

    def empty(self) -> None:
        self._do(f"DROP DATABASE IF EXISTS {self._name}", f"CREATE DATABASE {self._name}")

    def remove(self) -> None:
        self._do(f"DROP DATABASE IF EXISTS {self._name}")

    def version(self) -> str:
        return f"MariaDB {self._do('SELECT VERSION()')[0].partition('-')[0]}"

    def count(self) -> int:
        return int(self._do("SHOW GLOBAL STATUS LIKE 'Questions'")[1])

    @property
    def _name(self) -> str:
        return urlsplit(self.url).path.strip("/")

    def _do(self, *statements: str) -> Any:
        import MySQLdb

        where = urlsplit(self.url)
        connection = MySQLdb.connect(
            host=where.hostname,
            port=where.port or 3306,
            user=where.username or "",
            password=where.password or "",
        )
        with contextlib.closing(connection), connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchone() if cursor.description else None


class Redis(Service):
    process = "redis-server"
    unit = "commands"

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._lock: IO[str] | None = None

    def empty(self) -> None:
        self._reserve()
        self._client().flushdb()

    def version(self) -> str:
        return f"Redis {self._client().info('server')['redis_version']}"

    def count(self) -> int:
        return int(self._client().info("stats")["total_commands_processed"])

    def _client(self) -> Any:
        import redis

        return redis.Redis.from_url(self.url)

    def _reserve(self) -> None:
        """The next one down to 1 that is empty and that no test of this project has: they lock theirs likewise."""
        if self._lock:
            return
        where, asked = urlsplit(self.url), self.url
        for number in range(int(where.path.strip("/") or 1), 0, -1):
            self.url = where._replace(path=f"/{number}").geturl()
            name = f"django-tasks-redis-{where.port}-{number}.lock"
            lock = Path(tempfile.gettempdir(), name).open("w")  # noqa: SIM115 - kept as long as we run
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not self._client().dbsize():
                    self._lock = lock
                    return
        raise RuntimeError(f"{asked} and those below are in use or not empty. Name another with BENCH_REDIS.")


class RabbitMQ(Service):
    process = "beam.smp"

    def __init__(self, url: str) -> None:
        super().__init__(urlsplit(url)._replace(path=f"/{quote(NAME)}").geturl())
        self._made = False

    def empty(self) -> None:
        if not self._made:
            user = urlsplit(self.url).username or "guest"
            if NAME not in self._ctl("list_vhosts", "--quiet", "--no-table-headers").split():
                self._ctl("add_vhost", NAME)
            self._ctl("set_permissions", "-p", NAME, user, ".*", ".*", ".*")
            self._made = True
        names = self._ctl("list_queues", "--quiet", "--no-table-headers", "-p", NAME, "name").splitlines()
        with self._connection() as connection, connection.channel() as channel:
            for name in names:
                channel.queue_delete(name)

    def remove(self) -> None:
        self._ctl("delete_vhost", NAME)

    def version(self) -> str:
        with self._connection() as connection:
            return f"RabbitMQ {connection.server_properties['version']}"

    def _connection(self) -> Any:
        import amqp

        where = urlsplit(self.url)
        address = f"{where.hostname}:{where.port}"
        return amqp.Connection(address, where.username, where.password, virtual_host=NAME)

    def _ctl(self, *arguments: str) -> str:
        command = [*shlex.split(os.environ.get("RABBITMQCTL", "rabbitmqctl")), *arguments]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout


def services(folder: Path) -> dict[str, Service]:
    def url(name: str, otherwise: str) -> str:
        return os.environ.get(f"BENCH_{name.upper()}", otherwise)

    return {
        "sqlite": SQLite(f"sqlite:///{folder}/bench.sqlite3"),
        "postgresql": PostgreSQL(url("postgresql", f"psql://postgres@127.0.0.1:5432/{NAME}")),
        "mariadb": MariaDB(url("mariadb", f"mysql://root@127.0.0.1:3306/{NAME}")),
        "redis": Redis(url("redis", "redis://127.0.0.1:6379/11")),
        "rabbitmq": RabbitMQ(url("rabbitmq", "amqp://guest:guest@127.0.0.1:5672//")),
    }


def answers(service: Service) -> bool:
    """Whether anything listens there at all."""
    where = urlsplit(service.url)
    if not where.hostname:
        return True
    with contextlib.suppress(OSError), socket.create_connection((where.hostname, where.port or 0), timeout=3):
        return True
    return False
