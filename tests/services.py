"""Redis and RabbitMQ for tests: servers that are shared, and servers of a test's own that it may stop and kill.

A test takes one of the fixtures `redis_server`, `rabbitmq_server` (shared, and empty when it begins), `own_redis`,
`own_rabbitmq`; or `shared_server`, `own_server`, with which it runs once on each. Its marker is `redis` or `rabbitmq`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

import pytest
from kombu.transport import memory

from django_tasks.brokers.broker import Broker
from django_tasks.brokers.handler import broker

from .ports import free_port, listens

REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")
RABBITMQ_URL = os.environ.get("RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//")
#: Redis databases are numbered from 0 on, and have that many unless configured otherwise.
LAST_DATABASE = 15
#: Seconds within which a server starts or stops; a busy machine is slow, not wrong.
PATIENCE = 120.0


class Server(ABC):
    """A server that listens, or part of one that is nobody else's."""

    kind: str

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    @abstractmethod
    def empty(self) -> None:
        """Remove the messages and queues of the test before."""


class Redis(Server):
    kind = "redis"

    def empty(self) -> None:
        with self.client() as client:
            client.flushdb()

    def client(self) -> Any:
        import redis

        return redis.Redis.from_url(self.url)


class RabbitMQ(Server):
    kind = "rabbitmq"

    vhost = "/"

    @abstractmethod
    def ctl(self, *arguments: str) -> str:
        """What rabbitmqctl answers."""

    def empty(self) -> None:
        import amqp

        names = self.ctl("list_queues", "--quiet", "--no-table-headers", "-p", self.vhost, "name")
        where = urlsplit(self.url)
        with (
            amqp.Connection(
                f"{where.hostname}:{where.port}", where.username, where.password, virtual_host=self.vhost
            ) as connection,
            connection.channel() as channel,
        ):
            for name in names.splitlines():
                channel.queue_delete(name)


# -- shared servers


class SharedRabbitMQ(RabbitMQ):
    def __init__(self, url: str, vhost: str) -> None:
        super().__init__(urlsplit(url)._replace(path=f"/{quote(vhost, safe='')}").geturl())
        self.vhost = vhost

    def ctl(self, *arguments: str) -> str:
        """It is commanded as the environment says, from outside of a container for example."""
        return _output([*shlex.split(os.environ.get("RABBITMQCTL", "rabbitmqctl")), *arguments])


@pytest.fixture
def redis_server(_redis_database: Redis) -> Redis:
    """A database of the shared Redis that no other process uses, empty."""
    _redis_database.empty()
    return _redis_database


@pytest.fixture
def rabbitmq_server(_rabbitmq_vhost: RabbitMQ) -> RabbitMQ:
    """A virtual host of the shared RabbitMQ that no other process uses, empty."""
    _rabbitmq_vhost.empty()
    return _rabbitmq_vhost


BOTH = [pytest.param("redis", marks=pytest.mark.redis), pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)]


@pytest.fixture(params=BOTH)
def shared_server(request: pytest.FixtureRequest) -> Server:
    """One after the other."""
    server: Server = request.getfixturevalue(f"{request.param}_server")
    return server


@pytest.fixture(scope="session")
def _redis_database() -> Iterator[Redis]:
    where = urlsplit(REDIS_URL)
    check_listens(REDIS_URL)
    # Another run of the tests, or another of its processes, has some already.
    with _first_free(f"redis-{where.port}", int(where.path.strip("/") or LAST_DATABASE)) as number:
        server = Redis(where._replace(path=f"/{number}").geturl())
        yield server
        server.empty()


@contextlib.contextmanager
def _first_free(name: str, last: int) -> Iterator[int]:
    """The highest number up to `last` that no process has; not 0, where a developer's own things are."""
    for number in range(last, 0, -1):
        with Path(tempfile.gettempdir(), f"django-tasks-{name}-{number}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield number
            return
    missing(f"all databases of {name} up to {last} are in use by other tests. Run fewer processes.")


@pytest.fixture(scope="session")
def _rabbitmq_vhost(worker_id: str) -> Iterator[RabbitMQ]:
    check_listens(RABBITMQ_URL)
    server = SharedRabbitMQ(RABBITMQ_URL, f"django-tasks-{os.getpid()}-{worker_id}")
    try:
        server.ctl("add_vhost", server.vhost)
    except (OSError, subprocess.CalledProcessError) as error:
        output = getattr(error, "stderr", "") or f"{error}."
        missing(
            f"rabbitmqctl cannot make a virtual host: {output.strip()} Run as root or as rabbitmq, "
            "or say in RABBITMQCTL how to call it."
        )
    user = urlsplit(RABBITMQ_URL).username or "guest"
    server.ctl("set_permissions", "-p", server.vhost, user, ".*", ".*", ".*")
    yield server
    server.ctl("delete_vhost", server.vhost)


def check_listens(url: str) -> None:
    if not listens(url):
        missing(f"nothing listens at {url}")


def missing(why: str) -> NoReturn:
    """The test cannot run here; where everything has to be tried, that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"not exercised: {why}", pytrace=False)
    pytest.skip(why)


# -- servers of one's own


class OwnServer(Server):
    """A server process that this test run started, on a port and in a folder of its own."""

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__(url)
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Returns when it answers."""
        assert not self.is_running
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command(),
                env={**os.environ, **self.environment()},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.wait_until_ready()

    def stop(self) -> None:
        """Asks it to stop, as an operator would; returns when it has."""
        if self.is_running:
            self.ask_to_stop()
            self._reap()

    def kill(self) -> None:
        """As if the machine had gone."""
        if self.process and self.is_running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self._reap()

    def restart(self) -> None:
        self.stop()
        self.start()

    def _reap(self) -> None:
        assert self.process
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @abstractmethod
    def command(self) -> list[str]: ...

    def environment(self) -> dict[str, str]:
        return {}

    @abstractmethod
    def wait_until_ready(self) -> None: ...

    @abstractmethod
    def ask_to_stop(self) -> None: ...


class OwnRedis(OwnServer, Redis):
    """Every command is in the operating system's hands before it is answered, so that a kill loses nothing."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"redis://127.0.0.1:{free_port()}/0", folder)

    def command(self) -> list[str]:
        return [
            *("redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)),
            *("--appendonly", "yes", "--save", ""),
        ]

    def wait_until_ready(self) -> None:
        _wait(self, self._answers)

    def _answers(self) -> bool:
        import redis

        try:
            # While it still reads what it had written it accepts connections, and refuses commands.
            with self.client() as client:
                client.ping()
                answers: int = client.info("server")["process_id"]
        except (redis.ConnectionError, redis.exceptions.BusyLoadingError):
            return False
        # Since the port was found free another server may have taken it.
        return self.process is not None and answers == self.process.pid

    def ask_to_stop(self) -> None:
        assert self.process
        self.process.terminate()


class OwnRabbitMQ(OwnServer, RabbitMQ):
    """A node with its own name, ports and folders; it knows nothing of others but their port mapper."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"amqp://guest:guest@127.0.0.1:{free_port()}//", folder)
        self.node = f"django-tasks-{os.getpid()}@localhost"
        self.distribution_port = free_port()
        (folder / "enabled_plugins").write_text("[].\n")
        for name in ("environment.conf", "rabbitmq.conf"):
            (folder / name).touch()
        (folder / "advanced.config").write_text("[].\n")

    def environment(self) -> dict[str, str]:
        folder = self.folder
        return {
            "HOME": str(folder),  # the cookie is there
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(self.pid_file),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "environment.conf"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced"),
        }

    def command(self) -> list[str]:
        self.pid_file.unlink(missing_ok=True)
        return [_rabbitmq("rabbitmq-server")]

    def ctl(self, *arguments: str) -> str:
        return _output([_rabbitmq("rabbitmqctl"), *arguments], **self.environment())

    @property
    def pid_file(self) -> Path:
        return self.folder / "pid"

    def wait_until_ready(self) -> None:
        _wait(self, self.pid_file.exists)
        self.ctl("wait", str(self.pid_file), "--timeout", str(int(PATIENCE)))
        self.ctl("await_startup", "--timeout", str(int(PATIENCE)))
        _wait(self, lambda: listens(self.url))

    def ask_to_stop(self) -> None:
        self.ctl("stop", str(self.pid_file))


@pytest.fixture
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRedis]:
    """A Redis of the test's own, running."""
    if not shutil.which("redis-server"):
        missing("there is no redis-server to start")
    server = OwnRedis(tmp_path_factory.mktemp("redis"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def own_rabbitmq(_own_rabbitmq: OwnRabbitMQ) -> OwnRabbitMQ:
    """A RabbitMQ that no other process uses, running and empty."""
    if not _own_rabbitmq.is_running:
        _own_rabbitmq.start()
    _own_rabbitmq.empty()
    return _own_rabbitmq


@pytest.fixture(params=BOTH)
def own_server(request: pytest.FixtureRequest) -> OwnServer:
    """One after the other."""
    server: OwnServer = request.getfixturevalue(f"own_{request.param}")
    return server


@pytest.fixture(scope="session")
def _own_rabbitmq() -> Iterator[OwnRabbitMQ]:
    """Once for all tests of a process: it takes seconds to start."""
    if not shutil.which("rabbitmq-server"):
        missing("there is no rabbitmq-server to start")
    # Not pytest's folder: names of sockets and paths of RabbitMQ must not be long.
    with tempfile.TemporaryDirectory(prefix="rabbitmq-", ignore_cleanup_errors=True) as folder:
        server = OwnRabbitMQ(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.kill()


def _rabbitmq(script: str) -> str:
    """RabbitMQ's own script; Debian's on PATH changes the user and the folder first."""
    own = Path("/usr/lib/rabbitmq/bin", script)
    return str(own) if own.exists() else script


def _output(command: list[str], **environment: str) -> str:
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    return done.stdout


def _wait(server: OwnServer, state: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE
    while not state():
        said = server.log.read_text(errors="replace")[-2000:]
        assert server.is_running, f"{server.kind} has ended: {said}"
        assert time.monotonic() < ends, f"{server.kind} does not answer: {said}"
        time.sleep(0.01)
    assert server.is_running, f"{server.kind} has ended, and another server has its port"


# -- using one


@pytest.fixture
def use_broker(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Has this test, and the workers that it starts, send and receive over a URL."""
    used: list[Broker] = []

    def use(url: str) -> None:
        monkeypatch.setenv("DJANGO_TASKS_BROKER_URL", url)
        settings.DJANGO_TASKS = {**settings.DJANGO_TASKS, "BROKER_URL": url}
        memory.Channel.queues.clear()  # all tests of this process share them
        used.append(broker())

    yield use
    for left in used:
        left.pool().force_close_all()
