"""A worker to whom orphans fall, as they do to the first process of a container."""

import ctypes

from tests.settings import *  # noqa: F403

PR_SET_CHILD_SUBREAPER = 36
assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1) == 0
