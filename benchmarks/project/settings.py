"""A site with nothing on it but tasks; the database comes from DATABASE_URL."""

import environ

DEBUG = False
SECRET_KEY = "benchmark"
INSTALLED_APPS = ["django_tasks", "benchmarks.project"]
DATABASES = {"default": environ.Env().db("DATABASE_URL")}
DATABASES["default"]["CONN_MAX_AGE"] = None
if DATABASES["default"]["ENGINE"].endswith("mysql"):
    DATABASES["default"].setdefault("OPTIONS", {})["charset"] = "utf8mb4"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
