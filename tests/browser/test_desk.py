"""The desk in a real browser: no console error, no serious fault of accessibility, zoom, live update, keyboard, print, and without scripts."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from radiosonde.store import StoreWriter
from tests.browser.conftest import MODELS, served
from tests.e2e._receivers import wait_for
from tests.factories import START_NS
from tests.unit.desk.stores import MINUTE_NS, service
from tests.unit.store.strategies import make_part

pytestmark = pytest.mark.slow
PAGES = {
    "fleet": "/",
    "model": "/model?name=model-0&last=all",
    "feature": "/feature?model=model-0&name=wind&last=all",
    "incident": "",
    "stores": "/stores",
    "missing": "/model?name=gone",
}


def ask(browser, script, *arguments):
    """Return what *script* returns in the page."""
    return browser.execute_script(script, *arguments)


def resize(browser, width, *, dark=False):
    """Set the width of the page in CSS pixels, and the colour scheme."""
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False})  # fmt: skip
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme], "media": ""})


def faults_of(browser):
    """Return errors and warnings of the console since the last call, without the answer that a missing page gets."""
    return [
        each["message"]
        for each in browser.get_log("browser")
        if each["level"] in ("SEVERE", "WARNING") and "404 (Not Found)" not in each["message"]
    ]


@pytest.fixture
def ready(desk, chromium):
    """Return the browser once every model has been diagnosed."""
    resize(chromium, 1200)

    def shows_all() -> bool:
        if (
            urlsplit(chromium.current_url).path != "/"
        ):  # a link that the test before followed may open later than this page
            chromium.get(f"{desk}/")
        return ask(chromium, "return document.querySelectorAll('tr[data-name]').length") == MODELS

    chromium.get(f"{desk}/")
    wait_for(shows_all, "all models diagnosed")
    faults_of(chromium)
    return chromium


def go(browser, desk, page):
    """Open a page by its name and wait for its charts."""
    if page == "incident":
        browser.get(f"{desk}/")
        browser.get(ask(browser, "return document.querySelector('a[href^=\"/incident\"]').href"))
    else:
        browser.get(desk + PAGES[page])
    if page == "model":
        wait_for(lambda: ask(browser, "return document.documentElement.dataset.charts"), "charts")


@pytest.mark.parametrize("page", list(PAGES))
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1200, 400])
def test_a_page_is_accessible_and_fits(ready, desk, axe, page, width, dark):
    """No serious finding of axe-core, no scrolling sideways, no message in the console: the security policy is kept."""
    resize(ready, width, dark=dark)
    go(ready, desk, page)
    assert ask(ready, "return document.documentElement.scrollWidth <= window.innerWidth")
    assert ask(ready, "return document.querySelectorAll('h1').length") == 1
    assert faults_of(ready) == []
    ready.execute_cdp_cmd("Runtime.evaluate", {"expression": axe})
    found = ready.execute_async_script("const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then((r) => done(r.violations))")  # fmt: skip
    serious = [
        (each["id"], each["nodes"][0]["html"][:200], each["nodes"][0].get("failureSummary", "")[:300])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_a_brush_zooms_all_charts_and_has_an_address(ready, desk):
    """Dragging across a chart opens the same page for that time, from which the back button returns."""
    from selenium.webdriver import ActionChains

    go(ready, desk, "model")
    over = ready.find_element("css selector", "figure[data-chart='failures'] .u-over")
    ready.execute_script("arguments[0].scrollIntoView({block: 'center'})", over)
    width = over.size["width"]
    ActionChains(ready).move_to_element(over).move_by_offset(-width // 4, 0).click_and_hold().move_by_offset(
        width // 2, 0
    ).release().perform()
    query = wait_for(
        lambda: parse_qs(urlsplit(ready.current_url).query).get("from") and parse_qs(urlsplit(ready.current_url).query),
        "an address with a range",
    )
    assert query["name"] == ["model-0"]
    assert query["from"] < query["to"]
    wait_for(lambda: ask(ready, "return document.documentElement.dataset.charts"), "charts")
    assert ask(ready, "return document.querySelector('input[name=from]').value") == query["from"][0]
    ready.back()
    assert "last=all" in ready.current_url
    assert faults_of(ready) == []


def test_the_pointer_reads_all_charts_at_once(ready, desk):
    """The values under the pointer are shown below every chart, at the same moment."""
    from selenium.webdriver import ActionChains

    go(ready, desk, "model")
    over = ready.find_element("css selector", "figure[data-chart='traffic'] .u-over")
    ready.execute_script("arguments[0].scrollIntoView({block: 'center'})", over)
    ActionChains(ready).move_to_element(over).move_by_offset(40, 0).perform()
    moments = wait_for(
        lambda: ask(
            ready,
            "return [...document.querySelectorAll('.readout')].map((e) => e.firstChild && e.firstChild.textContent).filter(Boolean)",
        ),
        "values",
    )
    assert len(moments) >= 4
    assert len(set(moments)) == 1


def test_the_filter_and_the_keyboard(ready, desk):
    """``/`` goes to the filter, which hides other models; the first Tab reaches the skip link; ``[`` moves back in time."""
    from selenium.webdriver import ActionChains, Keys

    ActionChains(ready).send_keys("/").perform()
    assert ask(ready, "return document.activeElement.id") == "filter"
    ActionChains(ready).send_keys("model-3").perform()
    assert ask(
        ready,
        "return [...document.querySelectorAll('tr[data-name]')].filter((r) => !r.hidden).map((r) => r.dataset.name)",
    ) == ["model-3"]
    ready.get(f"{desk}/model?name=model-3&last=1h")
    ActionChains(ready).send_keys(Keys.TAB).perform()
    assert ask(ready, "return document.activeElement.className") == "skip"
    shown = ask(ready, "return document.querySelector('input[name=from]').value")
    ready.execute_script("document.activeElement.blur()")
    ActionChains(ready).send_keys("[").perform()
    wait_for(lambda: "from=" in ready.current_url, "an earlier range")
    assert ask(ready, "return document.querySelector('input[name=to]').value") == shown


def test_commands_are_copied_whole(ready, desk):
    """The button beside a command puts it on the clipboard, or selects it where the browser forbids that."""
    ready.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    )
    go(ready, desk, "incident")
    button = ready.find_element("css selector", ".answer .copy")
    command = ask(ready, "return arguments[0].parentElement.querySelector('code').textContent", button)
    assert command.startswith("radiosonde incident verify ")
    button.click()
    said = wait_for(lambda: button.text in ("Copied", "Selected") and button.text, "an answer of the button")
    got = ready.execute_async_script(
        "navigator.clipboard.readText().then(arguments[0], () => arguments[0](String(getSelection())))"
    )
    assert got == command, said


def test_without_scripts_the_page_holds_the_charts(ready, desk):
    """Every chart is in the page as a picture; forms and links work."""
    ready.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        ready.get(desk + PAGES["model"])
        shown = ready.find_elements("css selector", "figure[data-chart] svg path")
        assert len(shown) >= 6
        assert all(each.is_displayed() for each in ready.find_elements("css selector", "figure[data-chart] svg"))
        ready.find_element("css selector", ".lengths a").click()
        assert "last=1h" in ready.current_url
    finally:
        ready.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_print_shows_the_pictures_and_no_controls(ready, desk):
    """On paper the charts are the pictures of the page; navigation and buttons are left out."""
    go(ready, desk, "model")
    ready.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert ask(ready, "return getComputedStyle(document.querySelector('figure[data-chart] .still')).display") == "block"
    assert ask(ready, "return getComputedStyle(document.querySelector('.range')).display") == "none"
    assert ask(ready, "return getComputedStyle(document.querySelector('.uplot')).display") == "none"


def test_an_open_page_follows_a_store_that_grows(chromium, tmp_path):
    """New windows change the open page without a reload: the incident appears by itself."""
    path = service(tmp_path / "s.sqlite", minutes=120, fails_from=10_000)
    resize(chromium, 1200)
    with served(path) as address:
        chromium.get(f"{address}/")
        wait_for(lambda: "No incident is open" in ask(chromium, "return document.body.textContent"), "the first look")
        chromium.execute_script("window.isTheSamePage = true")
        part = replace(make_part(200), errors={"ValueError": 150})
        more = [
            replace(part, start_ns=START_NS + minute * MINUTE_NS, end_ns=START_NS + (minute + 1) * MINUTE_NS)
            for minute in range(120, 150)
        ]
        StoreWriter(path, clock_ns=lambda: START_NS).write(more)
        wait_for(lambda: ask(chromium, "return document.querySelectorAll('.incident a').length"), "the incident")
        assert ask(chromium, "return window.isTheSamePage")
        assert faults_of(chromium) == []
