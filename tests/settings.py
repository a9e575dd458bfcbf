"""The test project's settings, with an app that keeps a ledger of what really ran."""

import os

from testproject.settings import *  # noqa: F403
from testproject.settings import DATABASES, DJANGO_TASKS, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.ledger"]

DJANGO_TASKS = {
    **DJANGO_TASKS,
    "TASK_QUEUES": ["other", "third"],
    # The worker of a test may be told to keep results in a cache that both can reach.
    "RESULT_STORE": os.environ.get("TEST_RESULT_STORE", "database"),
    # Tests that wait for a lease to end set it short, in the worker as well as in themselves.
    "WORKER_LEASE": float(os.environ.get("TEST_WORKER_LEASE", "30")),
}

# A worker started by a test works on the test's database.
if name := os.environ.get("TEST_DATABASE_NAME"):
    DATABASES["default"]["NAME"] = name

if place := os.environ.get("TEST_CACHE"):
    CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": place}
    }
