"""A client of Akismet, the spam filter (https://akismet.com/developers/), as small as the blog needs it."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.parse
import urllib.request


class AkismetError(Exception):
    """Akismet gave no usable answer; the message says which call and why."""


class Akismet:
    """Akismet for one `key` and one `blog` (its address), as the service at `url`.

    Every call raises `AkismetError` if there is no usable answer within `timeout` seconds.
    """

    def __init__(self, key: str, blog: str, *, url: str, timeout: float = 5.0) -> None:
        self.key = key
        self.blog = blog
        self.url = url.rstrip("/")
        self.timeout = timeout

    def verify_key(self) -> bool:
        """Whether Akismet accepts the key."""
        return self._ask("verify-key", {"key": self.key, "blog": self.blog}, yes="valid", no="invalid")

    def comment_check(
        self, *, user_ip: str | None, comment_content: str, comment_author: str, comment_author_email: str
    ) -> bool:
        """Whether Akismet takes the comment for spam."""
        fields = {
            "api_key": self.key,
            "blog": self.blog,
            "user_ip": user_ip or "",
            "comment_type": "comment",
            "comment_content": comment_content,
            "comment_author": comment_author,
            "comment_author_email": comment_author_email,
        }
        return self._ask("comment-check", fields, yes="true", no="false")

    def _ask(self, call: str, fields: dict[str, str], *, yes: str, no: str) -> bool:
        answer = self._post(call, fields)
        if answer not in (yes, no):
            raise AkismetError(f"Akismet's {call} answered {answer[:80]!r}, not {yes!r} or {no!r}.")
        return answer == yes

    def _post(self, call: str, fields: dict[str, str]) -> str:
        request = urllib.request.Request(
            f"{self.url}/{call}",
            data=urllib.parse.urlencode(fields).encode(),
            headers={"User-Agent": "django-tasks-blog/1.0"},
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                text: str = response.read(1000).decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            with error:
                raise AkismetError(f"Akismet's {call} answered HTTP {error.code} {error.reason}.") from error
        except TimeoutError as error:
            raise AkismetError(f"Akismet's {call} did not answer within {self.timeout:g} s.") from error
        # URLError and ConnectionError are OSErrors; what isn't HTTP at all is an HTTPException.
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise AkismetError(f"Akismet's {call} can't be reached at {self.url}: {reason}.") from error
        return text.strip()
