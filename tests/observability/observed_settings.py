"""A project that wants to know everything: receivers, middleware, mails into a folder."""

import os

import django

from tests.settings import *  # noqa: F403
from tests.settings import DJANGO_TASKS

DJANGO_TASKS = {
    **DJANGO_TASKS,
    "IMPORTS": ["tests.observability.observed_tasks", "tests.observability.receivers"],
    "EXECUTE_MIDDLEWARE": ["tests.observability.receivers.around"],
    "SEND_TASK_ERROR_EMAILS": True,
}
# Pairs until Django 5.2, addresses alone from 6.0 on; MAILERS from 6.1 on.
ADMINS = ["ada@example.com" if django.VERSION >= (6, 0) else ("Ada", "ada@example.com")]
if django.VERSION >= (6, 1):
    MAILERS = {
        "default": {
            "BACKEND": "django.core.mail.backends.filebased.EmailBackend",
            "OPTIONS": {"file_path": os.environ["MAILS"]},
        }
    }
else:
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = os.environ["MAILS"]
