"""The flame graph: what the page holds, and in a browser, searched and zoomed."""

import json
import re
import shutil
import subprocess
import urllib.request

import pytest

from skep.base.schema import Field, Schema, Type
from skep.spec.meanings import with_meanings
from skep.stream.names import Names
from skep.view.outputs import STACKED
from skep.view.weights import Weights

KERNEL = 1 << 63
SCHEMA = with_meanings(
    Schema(
        "slept",
        16,
        (
            Field("pid", 0, 4, Type("int", 4, "u32")),
            Field("user_stack", 4, 4, Type("int", 4, "u32")),
            Field("slept_ns", 8, 8, Type("int", 8, "u64")),
        ),
    ),
    (),
)
HOSTILE = "</script><img src=x onerror=document.title='owned'>"


def page(stacks):
    """The page of stacks: functions, outermost first, and what they weigh."""
    names = Names()
    rows = []
    for number, (functions, weight) in enumerate(stacks):
        innermost = functions[::-1]
        for depth, function in enumerate(innermost):
            base = KERNEL if function.startswith("sys_") else 0
            # Of callers, the byte before is looked up.
            names.frames[0 if base else 7, base + (number + 1) * 1000 + depth * 10 - (depth > 0)] = function
        names.stacks["user_stack", number] = tuple(
            (KERNEL if function.startswith("sys_") else 0) + (number + 1) * 1000 + depth * 10
            for depth, function in enumerate(innermost)
        )
        rows.append((7, number, weight))
    weights = Weights(names, [SCHEMA], (SCHEMA,), "", STACKED["flame"])
    weights.render(SCHEMA, rows)
    return weights.finish()


STACKS = [
    (["main", "work", "sys_read"], 6_000_000_000),
    (["main", "work", "compute"], 3_000_000_000),
    (["main", HOSTILE], 1_000_000_000),
]


def bars(text):
    data = json.loads(re.findall(r'type="application/json">(.*?)</script>', text)[0])
    flat = iter(data["bars"])
    return data, [
        (depth, data["names"][name], weight, kernel) for depth, name, weight, kernel in zip(*[flat] * 4, strict=True)
    ]


def test_each_bar_comes_before_those_below_it_with_all_that_they_weigh():
    data, found = bars(page(STACKS))

    assert data["unit"] == "ns"
    assert found == [
        (0, "all", 10_000_000_000, 0),
        (1, "main", 10_000_000_000, 0),
        (2, HOSTILE, 1_000_000_000, 0),
        (2, "work", 9_000_000_000, 0),
        (3, "compute", 3_000_000_000, 0),
        (3, "sys_read", 6_000_000_000, 1),
    ]


def test_the_page_needs_nothing_else_and_names_are_no_html():
    text = page(STACKS)

    assert not re.search(r"https?://|<link|<img|src=[^x]|@import|url\(", text)
    assert text.count("<script") == text.count("</script>") == 2
    assert HOSTILE not in text


def test_of_very_many_bars_those_that_nobody_sees_are_left_out():
    many = [(["main", f"f{number}"], 1) for number in range(20_001)]

    assert len(bars(page([*many, (["main", "large"], 10**9)]))[1]) == 3
    assert len(bars(page(many[2:]))[1]) == 20_001
    assert bars(page([]))[1] == [(0, "all", 0, 0)]


class Browser:
    """Chromium without a screen, driven by chromedriver (W3C WebDriver)."""

    def __init__(self, driver, folder):
        self._driver = driver
        assert driver.stdout is not None
        line = next(line for line in driver.stdout if "successfully" in line)
        port = re.findall(r"on port (\d+)", line)[0]
        self._url = f"http://127.0.0.1:{port}/session"
        flags = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking "
        flags += f"disable-component-update disable-sync window-size=1000,700 user-data-dir={folder}"
        options = {"binary": shutil.which("chromium"), "args": [f"--{flag}" for flag in flags.split()]}
        made = self._ask("POST", "", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}})
        self._url += f"/{made['sessionId']}"

    def _ask(self, method, path, data=None):
        request = urllib.request.Request(
            self._url + path, None if data is None else json.dumps(data).encode(), method=method
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, path):
        self._ask("POST", "/url", {"url": f"file://{path}"})

    def run(self, script):
        return self._ask("POST", "/execute/sync", {"script": script, "args": []})

    def _element(self, selector):
        return next(iter(self._ask("POST", "/element", {"using": "css selector", "value": selector}).values()))

    def click(self, selector):
        self._ask("POST", f"/element/{self._element(selector)}/click", {})

    def type(self, selector, text):
        self._ask("POST", f"/element/{self._element(selector)}/value", {"text": text})

    def press(self, key):
        keys = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        self._ask("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": keys}]})

    def focused(self):
        return self.run("return document.activeElement.getAttribute('aria-label')")

    def widths(self):
        """Function -> how much of the page its bar takes, in percent."""
        return self.run(
            "const whole = document.getElementById('graph').clientWidth;"
            "return Object.fromEntries([...document.querySelectorAll('[data-bar]')].map("
            "  box => [box.title.split(' \\u2014 ')[0], Math.round(100 * parseFloat(box.style.width) / whole)]))"
        )

    def close(self):
        self._ask("DELETE", "")


@pytest.fixture
def browser(tmp_path):
    if shutil.which("chromedriver") is None or shutil.which("chromium") is None:
        pytest.skip("chromium and chromium-driver are not installed")
    with subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True) as driver:
        try:
            opened = Browser(driver, tmp_path / "profile")
            yield opened
            opened.close()
        finally:
            driver.terminate()


ENTER, ESCAPE, DOWN, RIGHT = "\ue007", "\ue00c", "\ue015", "\ue014"


def test_in_a_browser_it_is_searched_and_zoomed(browser, tmp_path):
    path = tmp_path / "flame.html"
    path.write_text(page(STACKS))
    browser.open(path)

    assert browser.run("return document.title") == "Flame graph: slept_ns"
    assert browser.run("return document.getElementById('total').textContent") == "10.000 s"
    assert browser.widths() == {"all": 100, "main": 100, "work": 90, HOSTILE: 10, "sys_read": 60, "compute": 30}
    assert browser.run("return document.images.length") == 0

    browser.type("#search", "READ")
    assert browser.run("return document.getElementById('matched').textContent") == "60.00 % matched"
    assert browser.run("return document.querySelector('.found').textContent") == "sys_read"
    browser.type("#search", ESCAPE)
    assert browser.run("return document.querySelectorAll('.found').length") == 0
    browser.type("#search", "/^(compute|main)$/")
    assert browser.run("return document.getElementById('matched').textContent") == "100.00 % matched"
    browser.click("#reset")
    browser.type("#search", "/(/")
    assert browser.run("return document.getElementById('matched').textContent") == "no regular expression"
    browser.click("#reset")

    browser.click("[title^=compute]")
    assert browser.widths() == {"all": 100, "main": 100, "work": 100, "compute": 100}
    browser.press(ESCAPE)
    assert browser.widths() == {"all": 100, "main": 100, "work": 100, "sys_read": 67, "compute": 33}
    browser.click("#reset")
    assert len(browser.widths()) == 6

    # The same by keyboard: into the heaviest, beside it, zoomed.
    browser.run("document.querySelector('[data-bar]').focus()")
    for key in (DOWN, DOWN, DOWN):
        browser.press(key)
    assert browser.focused().startswith("sys_read \u2014 6.000 s, 60.00 %")
    browser.press("\ue012")
    assert browser.focused().startswith("compute")
    browser.press(ENTER)
    assert browser.widths()["compute"] == 100
