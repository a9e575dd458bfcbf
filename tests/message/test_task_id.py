import subprocess
import sys
import threading
import time
import uuid
from itertools import pairwise
from pathlib import Path

from django_tasks.message import task_id
from django_tasks.message.task_id import is_generated, new_task_id

ROOT = Path(__file__).parents[2]


def test_an_id_is_a_uuid_of_version_7_of_this_moment():
    before = time.time_ns() // 1_000_000

    made = uuid.UUID(new_task_id())

    # Ids made just before may have run ahead of the clock by a millisecond.
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000 + 1
    assert made.version == 7
    assert made.variant == uuid.RFC_4122


def test_an_id_is_written_as_uuid_writes_it():
    made = new_task_id()

    assert str(uuid.UUID(made)) == made


def test_ids_sort_as_they_were_made():
    made = [new_task_id() for _ in range(20_000)]

    assert all(first < second for first, second in pairwise(made))


def test_ids_go_on_when_the_clock_goes_back(monkeypatch):
    first = new_task_id()
    monkeypatch.setattr(task_id.time, "time_ns", lambda: 0)

    second = new_task_id()

    assert second > first


def test_ids_go_on_when_the_random_bits_of_a_millisecond_are_used_up(monkeypatch):
    monkeypatch.setattr(task_id.time, "time_ns", lambda: 5_000_000)
    monkeypatch.setattr(task_id, "_last", (6 << 74) - 1)

    made = uuid.UUID(new_task_id())

    assert made.int >> 80 == 6
    assert made.version == 7


def test_threads_never_make_the_same_id():
    made = [[] for _ in range(8)]
    threads = [
        threading.Thread(target=lambda ids=ids: ids.extend(new_task_id() for _ in range(5000)))
        for ids in made
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({id_ for ids in made for id_ in ids}) == 40_000
    assert all(ids == sorted(ids) for ids in made)


def test_forked_children_share_no_state_with_their_parent():
    script = """
import os
from django_tasks.message import task_id
task_id.time = type("Stopped", (), {"time_ns": staticmethod(lambda: 5_000_000)})
task_id.new_task_id()
# As if another thread were making an id at the moment of the fork.
import threading
held = threading.Event()
def hold():
    with task_id._lock:
        held.set()
        threading.Event().wait()
threading.Thread(target=hold, daemon=True).start()
held.wait()
import warnings
warnings.simplefilter("ignore")
for _ in range(2):
    if (child := os.fork()) == 0:
        print(task_id._last, task_id.new_task_id(), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
os._exit(0)
"""

    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )

    last_1, id_1, last_2, id_2 = ran.stdout.split()
    assert last_1 == last_2 == "0"
    assert id_1 != id_2


def test_our_ids_are_told_from_chosen_ones():
    assert is_generated(new_task_id())
    assert not is_generated(str(uuid.uuid4()))
    assert not is_generated("order-17")
