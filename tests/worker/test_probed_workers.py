"""Real workers, asked how they are: by HTTP, and by systemd's socket."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from django_tasks.models import Worker
from tests.ledger.models import Entry
from tests.ledger.tasks import environment, hold
from tests.ports import free_port
from tests.proxy import Proxy, through_proxy
from tests.services import OwnRedis, OwnServer
from tests.sockets import sockets
from tests.workers import PATIENCE, RunningWorker, Start, eventually, freeze

pytestmark = pytest.mark.worker

#: Seconds; what stands still that long is noticed.
LEASE = "2"
SIZES = pytest.mark.parametrize("size", ["--processes=2", "--processes=0"])


class Probed:
    """A worker with a port."""

    def __init__(self, start: Start, *arguments: str, **environment: str) -> None:
        self.port = free_port()
        self.worker: RunningWorker = start(f"--health-port={self.port}", *arguments, **environment)

    def ask(self, path: str) -> tuple[int, str]:
        """The status (0 if nobody answers), and what is wrong."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as link:
            try:
                link.request("GET", path)
                response = link.getresponse()
                return response.status, " ".join(json.loads(response.read())["reasons"])
            except OSError:
                return 0, ""

    def becomes(self, path: str, status: int, why: str = "") -> str:
        """Waits for an answer, and says all that was wrong."""

        def found() -> tuple[int, str] | None:
            answer = self.ask(path)
            return answer if answer[0] == status and why in answer[1] else None

        return eventually(found, f"{path} says {status} {why}")[1]  # type: ignore[index]

    def becomes_ready(self) -> None:
        self.becomes("/readyz", 200)

    def is_live(self) -> bool:
        return self.ask("/livez") == (200, "")


@SIZES
def test_a_worker_becomes_ready_and_is_live(start_worker: Start, size: str) -> None:
    probed = Probed(start_worker, size)

    probed.becomes_ready()

    assert probed.is_live()
    assert f"127.0.0.1:{probed.port}/livez" in probed.worker.output


def test_a_worker_without_the_option_listens_nowhere(start_worker: Start) -> None:
    start_worker("--processes=1")
    pid = eventually(lambda: Worker.objects.values_list("pid", flat=True).first(), "a worker")

    listening = {
        f"socket:[{fields[9]}]"
        for table in ("tcp", "tcp6")
        for fields in map(str.split, Path(f"/proc/net/{table}").read_text().splitlines()[1:])
        if fields[3] == "0A"
    }
    assert not sockets(pid) & listening


def test_a_housekeeper_that_stands_still_is_not_live_until_it_goes_on(start_worker: Start) -> None:
    probed = Probed(start_worker, "--processes=1", TEST_WORKER_LEASE=LEASE)
    probed.becomes_ready()
    housekeeper, _ = probed.worker.children()
    freeze(lambda: os.kill(housekeeper, signal.SIGSTOP))

    assert "'lease' has not turned" in probed.becomes("/livez", 503, "'lease'")
    probed.becomes("/readyz", 503, "no lease")

    os.kill(housekeeper, signal.SIGCONT)
    probed.becomes("/livez", 200)
    probed.becomes_ready()


def test_a_housekeeper_that_is_killed_is_replaced_and_the_worker_ready_again(start_worker: Start) -> None:
    probed = Probed(start_worker, "--processes=1", TEST_WORKER_LEASE=LEASE)
    probed.becomes_ready()
    first, _ = probed.worker.children()

    os.kill(first, signal.SIGKILL)

    eventually(lambda: first not in probed.worker.children() and len(probed.worker.children()) == 2)
    probed.becomes_ready()
    assert probed.is_live()


def test_a_task_process_that_stands_still_makes_it_not_ready_and_leaves_it_live(start_worker: Start) -> None:
    probed = Probed(start_worker, "--processes=1", TEST_WORKER_LEASE=LEASE)
    probed.becomes_ready()
    _, process = probed.worker.children()
    freeze(lambda: os.kill(process, signal.SIGSTOP))

    probed.becomes("/readyz", 503, "1 of 1 processes have stopped asking")
    assert probed.is_live()

    os.kill(process, signal.SIGCONT)
    probed.becomes_ready()


@pytest.fixture
def network() -> Iterator[Proxy]:
    """Between the worker and its database."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite is on no network")
    server = connection.settings_dict
    with Proxy(server["HOST"], int(server["PORT"])) as proxy:
        yield proxy


def database_through(network: Proxy) -> str:
    scheme = {"postgresql": "psql", "mysql": "mysql"}[connection.vendor]
    server = connection.settings_dict
    login = server["USER"] + (f":{server['PASSWORD']}" if server["PASSWORD"] else "")
    return f"{scheme}://{login}@127.0.0.1:{network.url_port}/{server['NAME']}"


def test_while_the_database_is_away_it_is_not_ready_and_live(start_worker: Start, network: Proxy) -> None:
    probed = Probed(start_worker, "--processes=1", DATABASE_URL=database_through(network))
    probed.becomes_ready()

    network.refuse()
    network.reset_all()
    probed.becomes("/readyz", 503, "The database cannot be reached")
    assert probed.is_live()

    network.accept()
    probed.becomes_ready()


@contextlib.contextmanager
def without_a_table(name: str) -> Iterator[None]:
    with connection.cursor() as cursor:
        freeze(lambda: cursor.execute(f"ALTER TABLE {name} RENAME TO {name}_away"))
        try:
            yield
        finally:
            freeze(lambda: cursor.execute(f"ALTER TABLE {name}_away RENAME TO {name}"))


def test_while_the_database_refuses_it_is_not_ready_and_live(start_worker: Start) -> None:
    probed = Probed(start_worker, "--processes=1", TEST_WORKER_LEASE=LEASE)
    probed.becomes_ready()

    with without_a_table("django_tasks_worker"):
        why = probed.becomes("/readyz", 503, "The database cannot be reached")
        assert "lease" in why
        assert probed.is_live()

    probed.becomes_ready()


# py-amqp forgets to close the socket of a connection that breaks before it stands.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.timeout(300)
def test_while_the_broker_is_away_it_is_not_ready_and_live(
    own_server: OwnServer, use_broker: Callable[[str], None], start_worker: Start
) -> None:
    with through_proxy(own_server.url) as network:
        use_broker(network.url(own_server.url))
        probed = Probed(start_worker, "--processes=2")
        probed.becomes_ready()

        network.refuse()
        network.reset_all()
        probed.becomes("/readyz", 503, "The broker cannot be reached")
        assert probed.is_live()

        network.accept()
        probed.becomes_ready()


@pytest.mark.redis
def test_with_a_broker_that_was_never_there_it_is_never_ready_and_live(
    own_redis: OwnRedis, use_broker: Callable[[str], None], start_worker: Start
) -> None:
    own_redis.stop()
    use_broker(own_redis.url)
    probed = Probed(start_worker, "--processes=1")

    probed.becomes("/readyz", 503, "The broker cannot be reached")
    assert probed.is_live()

    own_redis.start()
    probed.becomes_ready()


def test_while_it_ends_it_is_not_ready_and_live(start_worker: Start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    probed = Probed(start_worker, "--processes=1")
    sent = hold.delay(str(gate))
    eventually(lambda: Entry.objects.filter(task_id=sent.id).exists(), "the body runs")

    probed.worker.terminate()
    probed.becomes("/readyz", 503, "The worker is ending")
    assert probed.is_live()

    gate.touch()
    assert probed.worker.wait() == 0


def test_the_port_is_free_again_as_soon_as_the_supervisor_is_dead(
    start_worker: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    probed = Probed(start_worker, "--processes=1")
    sent = hold.delay(str(gate))
    eventually(lambda: Entry.objects.filter(task_id=sent.id).exists(), "the body runs")
    children = probed.worker.children()
    freeze(lambda: [os.kill(pid, signal.SIGSTOP) for pid in children])

    probed.worker.process.kill()
    probed.worker.wait()

    socket.create_server(("127.0.0.1", probed.port)).close()


def test_a_port_that_is_taken_is_an_error_at_the_start(start_worker: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        worker = start_worker(f"--health-port={port}")

        assert worker.wait() == 1

    assert f"--health-port: 127.0.0.1 port {port} cannot be had: Address already in use." in worker.output
    assert not Worker.objects.exists()


def test_an_address_that_is_not_this_machine_s_is_an_error_at_the_start(start_worker: Start) -> None:
    worker = start_worker(f"--health-port={free_port()}", "--health-host=192.0.2.1")

    assert worker.wait() == 1
    assert "--health-port: 192.0.2.1" in worker.output


# -- systemd


class Systemd:
    """Its end of the socket: datagrams, in the order in which they came."""

    def __init__(self) -> None:
        self.address = f"@{uuid.uuid4().hex}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.address[1:])
        self.socket.settimeout(PATIENCE)
        self.lines: list[str] = []

    def hear(self, wanted: str) -> None:
        """Read on until a line comes that begins like that."""
        while True:
            lines = self.socket.recv(4096).decode().split("\n")
            self.lines += lines
            if any(line.startswith(wanted) for line in lines):
                return


@pytest.fixture
def systemd() -> Iterator[Systemd]:
    systemd = Systemd()
    yield systemd
    systemd.socket.close()


@SIZES
def test_systemd_hears_that_it_is_ready_that_it_lives_and_that_it_ends(
    start_worker: Start, systemd: Systemd, size: str
) -> None:
    worker = start_worker(size, NOTIFY_SOCKET=systemd.address, WATCHDOG_USEC="200000")

    systemd.hear("READY=1")
    assert f"MAINPID={worker.process.pid}" in systemd.lines
    systemd.hear("WATCHDOG=1")
    systemd.hear("WATCHDOG=1")
    assert "STOPPING=1" not in systemd.lines
    worker.terminate()
    systemd.hear("STOPPING=1")

    assert worker.wait() == 0
    assert systemd.lines.count("READY=1") == 1


def test_systemd_hears_what_is_wrong(start_worker: Start, systemd: Systemd) -> None:
    worker = start_worker("--processes=1", NOTIFY_SOCKET=systemd.address, TEST_WORKER_LEASE=LEASE)
    systemd.hear("STATUS=Running tasks.")

    freeze(lambda: os.kill(worker.children()[0], signal.SIGSTOP))

    systemd.hear("STATUS=The housekeeper's loop")


@SIZES
def test_a_task_does_not_know_systemd_s_socket(start_worker: Start, systemd: Systemd, size: str) -> None:
    start_worker(size, NOTIFY_SOCKET=systemd.address, WATCHDOG_USEC="10000000")

    sent = environment.delay()

    names = sent.get(timeout=PATIENCE)
    assert "PATH" in names
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}.intersection(names)
