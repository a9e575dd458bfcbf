"""The examples of the page on deployment: what can be run here is, and their times fit together."""

from __future__ import annotations

import configparser
import http.client
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import load_command_class

from django_tasks.worker.supervisor import HOUSEKEEPER_GRACE
from tests.ports import free_port
from tests.workers import PATIENCE, eventually

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "deploy.md"
RUNWORKER = ["python", "manage.py", "runworker"]


@pytest.fixture(scope="module")
def examples(fenced_blocks) -> dict[str, str]:
    """The files of the page, by the name in their first line; the Procfile has none."""
    texts = [block["text"] for block in fenced_blocks(PAGE)]
    named = {first[1]: text for text in texts if (first := re.match(r"# (?:\S+/)?([\w.-]+)\n", text))}
    return {**named, "Procfile": next(text for text in texts if text.startswith("web: "))}


@pytest.fixture
def unit(examples) -> configparser.RawConfigParser:
    unit = configparser.RawConfigParser()
    unit.optionxform = str
    unit.read_string(examples["mysite-worker.service"])
    return unit


@pytest.fixture(scope="module")
def pod(examples) -> dict[str, Any]:
    return yaml.safe_load(examples["worker.yaml"])["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def container(pod) -> dict[str, Any]:
    (container,) = pod["containers"]
    return container


@pytest.fixture(scope="module")
def service(examples) -> dict[str, Any]:
    return yaml.safe_load(examples["compose.yaml"])["services"]["worker"]


@pytest.fixture
def commands(examples, unit, container, service) -> dict[str, list[str]]:
    """How each of them starts a worker, from `python` on."""
    (procfile,) = re.findall(r"^worker: (.*)$", examples["Procfile"], re.MULTILINE)
    systemd = shlex.split(unit["Service"]["ExecStart"])
    return {
        "systemd": ["python", *systemd[1:]],
        "docker": service["command"],
        "kubernetes": container["command"] + container["args"],
        "procfile": shlex.split(procfile),
    }


@pytest.fixture
def graces(commands) -> dict[str, float]:
    parser = load_command_class("django_tasks", "runworker").create_parser("manage.py", "runworker")
    return {kind: parser.parse_args(words[3:]).grace for kind, words in commands.items()}


def test_all_of_them_run_the_command(commands):
    assert len(commands) == 4
    assert all(words[:3] == RUNWORKER for words in commands.values())


def test_nobody_kills_a_worker_that_is_still_in_its_grace(graces, unit, service, pod):
    given = {
        "systemd": float(unit["Service"]["TimeoutStopSec"]),
        "docker": float(service["stop_grace_period"].removesuffix("s")),
        "kubernetes": pod["terminationGracePeriodSeconds"],
        "procfile": 30,  # as the page says of such platforms
    }

    assert {
        kind: grace + HOUSEKEEPER_GRACE <= given[kind] for kind, grace in graces.items()
    } == dict.fromkeys(given, True)


def test_systemd_understands_the_unit(unit, tmp_path):
    if not (verifier := shutil.which("systemd-analyze")):
        pytest.skip("there is no systemd-analyze")
    unit["Service"]["ExecStart"] = sys.executable
    unit["Service"]["WorkingDirectory"] = str(tmp_path)
    path = tmp_path / "mysite-worker.service"
    with path.open("w") as file:
        unit.write(file, space_around_delimiters=False)

    done = subprocess.run([verifier, "verify", str(path)], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def project(reader) -> Iterator[Any]:
    """A reader's project, in which a worker can run."""
    reader.has(project="mysite", app="shop")
    reader.write('# mysite/settings.py\nINSTALLED_APPS += ["shop", "django_tasks"]\n')
    reader.run("python manage.py migrate")
    return reader


def start(project, words: list[str], port: int) -> subprocess.Popen[bytes]:
    worker = project.begin(shlex.join(words).replace("8001", str(port)))
    project.workers.append(worker)
    return worker


def ask(port: int, path: str) -> int:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        link.request("GET", path)
        return link.getresponse().status
    except OSError:
        return 0
    finally:
        link.close()


@pytest.mark.worker
def test_the_probes_of_kubernetes_find_the_worker_well(project, container):
    port = free_port()
    start(project, container["command"] + container["args"], port)

    (named,) = container["ports"]
    assert named["containerPort"] == 8001
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asks = container[probe]["httpGet"]
        assert asks["port"] == named["name"]
        eventually(lambda path=asks["path"]: ask(port, path) == 200, probe)


@pytest.mark.worker
def test_the_command_that_probes_instead_finds_the_worker_well(project, container, fenced_blocks):
    (probe,) = [
        yaml.safe_load(block["text"])["readinessProbe"]["exec"]["command"]
        for block in fenced_blocks(PAGE)
        if block["text"].startswith("readinessProbe:")
    ]
    start(project, container["command"] + container["args"], free_port())

    eventually(lambda: _succeeds(project, probe), "the command succeeds")


@pytest.mark.worker
def test_the_health_check_of_docker_finds_the_worker_well_and_one_that_is_gone_not(project, service):
    port = free_port()
    kind, *check = [word.replace("8001", str(port)) for word in service["healthcheck"]["test"]]
    assert kind == "CMD"
    assert not _succeeds(project, check)

    start(project, service["command"], port)

    eventually(lambda: _succeeds(project, check), "the health check succeeds")


@pytest.mark.worker
def test_the_procfile_s_worker_ends_well_at_sigterm(project, commands):
    worker = start(project, commands["procfile"], free_port())
    eventually(lambda: _succeeds(project, ["python", "manage.py", "workerhealth"]), "it is well")

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(PATIENCE) == 0


def _succeeds(project, words: list[str]) -> bool:
    done = subprocess.run(
        words, cwd=project.project, env=project.environment, capture_output=True, text=True, timeout=60
    )
    return done.returncode == 0
