"""README and quickstart, followed to the letter in a new project."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.worker

SIGN_UP = """
>>> from django.test import RequestFactory
>>> from accounts.views import sign_up
>>> from django_tasks import AsyncResult
>>> response = sign_up(RequestFactory().post("/", {"name": "ada"}))
>>> AsyncResult(response.content.decode()).get(timeout=30)
'Welcome, ada'
"""
#: The how-tos whose sessions want a worker.
WITH_A_WORKER = ["workflows.md", "queues.md"]
JOURNAL_MODE = """
import django
django.setup()
from django.db import connection
print(connection.cursor().execute("PRAGMA journal_mode").fetchone())
"""


def test_the_readme_s_tour_works(reader, root):
    reader.has(project="mysite", app="accounts")

    reader.follow(root / "README.md")

    reader.session(SIGN_UP)


def test_the_shell_sessions_of_the_howtos_work(reader, root):
    reader.has(project="mysite", app="shop")
    reader.write('# mysite/settings.py\nINSTALLED_APPS += ["shop", "django_tasks"]\n')
    reader.run("python manage.py migrate")

    for page in (root / "docs" / "howto").glob("*.md"):
        if page.name not in WITH_A_WORKER:
            reader.follow(page, only="pycon")


@pytest.mark.parametrize("name", WITH_A_WORKER)
def test_the_sessions_beside_a_worker_work(reader, root, name):
    reader.has(project="mysite", app="shop")
    reader.write('# mysite/settings.py\nINSTALLED_APPS += ["shop", "django_tasks"]\n')
    reader.run("python manage.py migrate")
    page = root / "docs" / "howto" / name

    reader.follow(page, only="python")
    reader.type("python manage.py runworker")
    reader.follow(page, only="pycon")


def test_the_settings_for_sqlite_are_accepted(reader, root):
    reader.has(project="mysite", app="shop")
    reader.write('# mysite/settings.py\nINSTALLED_APPS += ["shop", "django_tasks"]\n')

    reader.follow(root / "docs" / "howto" / "sqlite.md", only="python")
    reader.run("python manage.py migrate")

    assert "wal" in reader.run(f"python -c '{JOURNAL_MODE}'")


def test_the_quickstart_works(reader, root):
    reader.follow(root / "docs" / "tutorial" / "quickstart.md")

    assert "FAILURE" in reader.states("shop.tasks.divide")
