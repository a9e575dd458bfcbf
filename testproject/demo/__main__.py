"""The command line of the demo."""

from __future__ import annotations

import argparse
import os
import sys
import urllib.parse
from pathlib import Path

import django
from django.utils.module_loading import import_string

CHECKOUT = Path(__file__).resolve().parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m testproject.demo", description="Show django_tasks at work."
    )
    parser.add_argument("what", nargs="?", choices=["run", "site"], default="run")
    parser.add_argument("--comments", type=int, default=500, help="how many to post (default: %(default)s)")
    parser.add_argument(
        "--limit", type=int, default=120, help="give up after so many seconds (default: %(default)s)"
    )
    parser.add_argument("--port", type=int, default=8000, help="of `site` (default: %(default)s)")
    parser.add_argument("--database", type=Path, default=CHECKOUT / "demo.sqlite3", help="an SQLite file")
    options = parser.parse_args()

    database = options.database.resolve()
    configure(database)
    # Imported only now, because they need Django's models.
    if options.what == "site":
        show = import_string("testproject.demo.site.show")
        return int(show(database, port=options.port))
    run = import_string("testproject.demo.run.run")
    return int(run(database, comments=options.comments, limit=options.limit))


def configure(database: Path) -> None:
    """Django's settings for this process and those it starts: a file of its own, whatever was set outside."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "testproject.settings"
    os.environ["DATABASE_URL"] = f"sqlite:///{urllib.parse.quote(str(database))}"
    os.environ["DJANGO_TASKS_BROKER_URL"] = "django://"
    os.environ["DEBUG"] = "on"
    django.setup()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        # Before anything was started.
        sys.exit(130)
