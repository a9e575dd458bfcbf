"""The settings of the blog, of the demo and of the tests.

Everything that differs between machines comes from the environment (django-environ), e.g.

    DATABASE_URL=psql://blog:secret@localhost/blog DJANGO_TASKS_BROKER_URL=django:// ./manage.py runworker
"""

import os
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import environ

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()

DEBUG: bool = env.bool("DEBUG", default=True)
SECRET_KEY: str = env.str("SECRET_KEY", default="for development only: set SECRET_KEY on a real site")
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.sites",
    "django_tasks",
    "testproject.blog",
]
SITE_ID = 1

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    # The admin in the language of the browser.
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "testproject.urls"
WSGI_APPLICATION = "testproject.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]


def database() -> dict[str, Any]:
    """The database of `DATABASE_URL` (sqlite:///, psql://, mysql://), with what its kind needs."""
    found: dict[str, Any] = env.db("DATABASE_URL", default=f"sqlite:///{quote(str(BASE_DIR / 'db.sqlite3'))}")
    # Each request is one transaction: a comment and its task are saved together or not at all.
    found["ATOMIC_REQUESTS"] = True
    options, test = found.setdefault("OPTIONS", {}), found.setdefault("TEST", {})
    if found["ENGINE"] == "django.db.backends.sqlite3":
        # One writer at a time: the web server and the worker wait for each other, this many seconds at most.
        options.setdefault("timeout", 20)
        # A request that reads first and writes later is refused at once, whatever the timeout, if somebody
        # has written in between. Asking for the write lock at its beginning makes it wait its turn.
        options.setdefault("transaction_mode", "IMMEDIATE")
        # Workers are processes of their own: they can't see a database in memory.
        test.setdefault("NAME", f"{tempfile.gettempdir()}/django_tasks_test_{os.getpid()}.sqlite3")
    if found["ENGINE"] == "django.db.backends.mysql":
        options.setdefault("charset", "utf8mb4")
        test.setdefault("CHARSET", "utf8mb4")
    return found


DATABASES = {"default": database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

DJANGO_TASKS = {
    # The database above, unless told otherwise; any kombu URL (amqp://, redis://, sqs://) goes here.
    "BROKER_URL": env.str("DJANGO_TASKS_BROKER_URL", default="django://"),
}

USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"

# The spam filter. `python -m testproject.akismet_stub` stands in for the service when there is no key.
AKISMET_KEY: str = env.str("AKISMET_KEY", default="")
AKISMET_URL: str = env.str("AKISMET_URL", default="https://rest.akismet.com/1.1")

# Authors whose comments are refused (see blog/views.py).
BLOG_BLOCKED_AUTHORS: list[str] = env.list("BLOG_BLOCKED_AUTHORS", default=["Mallory"])
