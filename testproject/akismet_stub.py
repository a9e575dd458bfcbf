"""A stand-in for Akismet's REST API on this machine, for the demo, the tests and blogs without a key.

    python -m testproject.akismet_stub --port 8001
    AKISMET_URL=http://127.0.0.1:8001/1.1 AKISMET_KEY=demo-key ./manage.py runworker

It answers the two calls the blog makes as https://akismet.com/developers/ describes them: `verify-key` (valid
or invalid) and `comment-check` (true, false or invalid). The comment's text decides what is spam, what fails.
"""

from __future__ import annotations

import argparse
import threading
import urllib.parse
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

KEY = "demo-key"

SPAM_WORDS = ("viagra", "casino", "cheap pills")
#: The author whom the real service always takes for a spammer.
SPAM_AUTHOR = "viagra-test-123"

#: Texts that make the stub fail as the real service may: with this status and body.
FAULTS = {
    "akismet is down": (500, "Internal Server Error"),
    "akismet is confused": (200, "Maintenance"),
}
#: A text whose check is never answered.
SILENCE = "akismet is silent"


class AkismetStub:
    """The service, in threads of this process from `with` to its end.

    `url` is what AKISMET_URL wants to be; `checks` counts the comment-checks of each text.
    """

    def __init__(self, *, port: int = 0, key: str = KEY) -> None:
        self.key = key
        self.checks: Counter[str] = Counter()
        self.closing = threading.Event()
        self._counting = threading.Lock()
        self._server = _Server(("127.0.0.1", port), self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="akismet-stub")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/1.1"

    def __enter__(self) -> AkismetStub:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, path: str, fields: dict[str, str]) -> tuple[int, str] | None:
        """HTTP status and body for a call, `None` for no answer at all."""
        match path:
            case "/1.1/verify-key":
                return 200, "valid" if fields.get("key") == self.key else "invalid"
            case "/1.1/comment-check":
                return self._check(fields)
        return 404, "No such call."

    def _check(self, fields: dict[str, str]) -> tuple[int, str] | None:
        content = fields.get("comment_content", "")
        with self._counting:
            self.checks[content] += 1
        if fields.get("api_key") != self.key or not fields.get("blog"):
            return 200, "invalid"
        text = content.lower()
        if SILENCE in text:
            return None
        for fault, answer in FAULTS.items():
            if fault in text:
                return answer
        spam = fields.get("comment_author") == SPAM_AUTHOR or any(word in text for word in SPAM_WORDS)
        return 200, "true" if spam else "false"


class _Server(ThreadingHTTPServer):
    # The default of 5 turns away the calls of a busy worker.
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], stub: AkismetStub) -> None:
        super().__init__(address, _Handler)
        self.stub = stub


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        answer = self.server.stub.answer(self.path, dict(urllib.parse.parse_qsl(body)))
        if answer is None:
            self.server.stub.closing.wait()
            return
        status, text = answer
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the worker's log tells the same."""


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for Akismet on this machine.")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--key", default=KEY, help="the key it accepts (default: %(default)s)")
    options = parser.parse_args()
    with AkismetStub(port=options.port, key=options.key) as stub:
        print(f"AKISMET_URL={stub.url} AKISMET_KEY={stub.key}  (Ctrl-C ends it)", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
