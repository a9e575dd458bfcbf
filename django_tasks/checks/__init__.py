"""System checks: what is wrong with the installation and the settings, each with what to do.

`manage.py check --tag tasks` runs these alone. None needs a database connection.
"""

from . import celery, installation, modules, places, settings, sqlite

__all__ = ["celery", "installation", "modules", "places", "settings", "sqlite"]
