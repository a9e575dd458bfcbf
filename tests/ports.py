"""Ports of this machine, and who listens; also for programs that begin before Django is set up."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit


def listens(url: str) -> bool:
    where = urlsplit(url)
    try:
        socket.create_connection((where.hostname, where.port or 0), timeout=3).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
