"""Sphinx settings. `make docs` builds with warnings as errors."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from django_tasks.version import __version__  # noqa: E402

project = "django_tasks"
copyright = "the django_tasks authors"
release = version = __version__

extensions = ["myst_parser", "options_page", "settings_page"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
nitpicky = True

html_theme = "furo"
html_title = f"django_tasks {version}"
html_copy_source = False
html_show_sphinx = False
