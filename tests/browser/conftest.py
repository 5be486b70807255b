"""Chromium, driven through chromedriver, and the desk as its command serves it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.desk.stores import service

MODELS = 10
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking")  # fmt: skip


@contextmanager
def served(*stores):
    """Serve *stores* by the command and yield the address."""
    command = [sys.executable, "-m", "radiosonde.cli", "desk", *map(str, stores), "--port", "0", "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line.startswith("desk at http://127.0.0.1:"), line
        yield line.split()[2].rstrip("/")
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Yield the address of a desk over ten models, one of which fails."""
    folder = tmp_path_factory.mktemp("desk")
    paths = [
        service(folder / f"{index}.sqlite", model=f"model-{index}", fails_from=10_000 if index else 180)
        for index in range(MODELS)
    ]
    with served(*paths) as address:
        yield address


@pytest.fixture(scope="module")
def chromium(require_program):
    """Yield a browser; its console is kept."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed; make test-browser has it")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(require_program("chromium"))
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(str(require_program("chromedriver"))))
    browser.set_page_load_timeout(120)
    try:
        yield browser
    finally:
        browser.quit()


@pytest.fixture(scope="session")
def axe():
    """Return the script of axe-core."""
    package = pytest.importorskip(
        "axe_core_python", reason="axe-core-python is not installed; make test-browser has it"
    )
    return Path(package.__file__).with_name("axe.min.js").read_text("utf-8")
