"""A browser, seen as its user sees it: pages, keys, complaints, pictures."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.services import missing
from tests.workers import eventually

#: Width and height of a page, in pixels.
DESK, PHONE = (1440, 1000), (390, 844)
#: Parts of Django's own pages that are as it makes them: the label of its search is a picture.
DJANGOS = ["#changelist-search"]
SERIOUS = ("serious", "critical")


def find_chromium() -> tuple[str, str]:
    """Where Chromium and its driver are; skips the test, or with CI=true fails it, where they are not."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not browser or not driver:
        missing("there is no Chromium: apt install chromium chromium-driver")
    return browser, driver


class Browser:
    def __init__(self) -> None:
        browser, driver = find_chromium()
        options = webdriver.ChromeOptions()
        options.binary_location = browser
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
            options.add_argument(argument)
        options.add_argument(f"--window-size={DESK[0]},{DESK[1]}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))

    def quit(self) -> None:
        self.driver.quit()

    def go(self, url: str) -> None:
        self.driver.get(url)

    @property
    def text(self) -> str:
        """Of the page that is there now, whatever was there a moment ago."""
        return str(self.driver.execute_script("return document.body ? document.body.innerText : ''"))

    def find(self, css: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def there(self, css: str) -> bool:
        return bool(self.driver.find_elements(By.CSS_SELECTOR, css))

    def press(self, *keys: str) -> None:
        """Keys, to whatever has the focus."""
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def chord(self, held: str, key: str) -> None:
        """A key while another one is held down."""
        webdriver.ActionChains(self.driver).key_down(held).send_keys(key).key_up(held).perform()

    @contextlib.contextmanager
    def in_zone(self, name: str) -> Iterator[None]:
        """Somewhere else on earth."""
        self.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": name})
        try:
            yield
        finally:
            self.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": ""})

    def titles_of(self, css: str) -> list[str]:
        """Of all elements at one moment."""
        script = "return [...document.querySelectorAll(arguments[0])].map((each) => each.title)"
        return list(self.driver.execute_script(script, css))

    def tab_to(self, css: str, most: int = 200) -> WebElement:
        """By keyboard alone."""
        wanted = self.find(css)
        for _ in range(most):
            self.press(Keys.TAB)
            if self.driver.switch_to.active_element == wanted:
                return wanted
        raise AssertionError(f"{css} is not reached by {most} tabs")

    def comes(self, words: str) -> None:
        eventually(lambda: words in self.text, f"{words!r} on the page")

    def complaints(self) -> list[str]:
        """What the console has said since it was asked last: errors, and what the policy forbids."""
        said = self.driver.get_log("browser")
        return [entry["message"] for entry in said if entry["level"] == "SEVERE"]

    def violations(self, within: str) -> list[str]:
        """What of accessibility is seriously wrong within an element, each with the first place."""
        self.driver.execute_script(files("axe_core_python").joinpath("axe.min.js").read_text("utf-8"))
        found: dict[str, Any] = self.driver.execute_async_script(
            "const [include, exclude, done] = arguments;"
            "axe.run({include, exclude}, {resultTypes: ['violations']}).then(done)",
            [within],
            DJANGOS,
        )
        return [
            f"{each['id']}: {each['help']} ({node['html'][:200]})"
            for each in found["violations"]
            if each["impact"] in SERIOUS
            for node in each["nodes"][:3]
        ]

    # -- how it looks

    def look(self, *, is_dark: bool, size: tuple[int, int]) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE},
        )
        # Colours that are on their way from light to dark have no contrast yet.
        moving = "return document.getAnimations().some((each) => each.playState === 'running')"
        eventually(lambda: not self.driver.execute_script(moving), "nothing on the page moves")

    def overflows(self) -> bool:
        """Has the page to be scrolled sideways?"""
        return bool(
            self.driver.execute_script(
                "return document.documentElement.scrollWidth > document.documentElement.clientWidth"
            )
        )

    def save_picture(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        assert self.driver.save_screenshot(str(path))
