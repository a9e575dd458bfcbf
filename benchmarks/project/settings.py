"""A site with nothing on it but tasks; where it keeps them comes from the environment, for every system alike."""

import json
import os
from typing import Any

import environ

DEBUG = False
SECRET_KEY = "benchmark"
DATABASES: dict[str, Any] = {"default": environ.Env().db("DATABASE_URL", default="sqlite://:memory:")}
DATABASES["default"]["CONN_MAX_AGE"] = None
if DATABASES["default"]["ENGINE"].endswith("mysql"):
    DATABASES["default"]["OPTIONS"] = {"charset": "utf8mb4"}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # What docs/howto/sqlite.md advises for the site.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

own: dict[str, Any] = json.loads(os.environ.get("BENCH_SETTINGS", "{}"))
DATABASES["default"].update(own.pop("DATABASE", {}))
globals().update(own)
