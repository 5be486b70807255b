"""Stores for the desk, and a look at them without a thread."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from html.parser import HTMLParser

import httpx
import numpy as np

from radiosonde._guard import Guard
from radiosonde.cli._stores import filled_in, policy_of
from radiosonde.desk import Looking, make_app
from radiosonde.model import SeriesKey
from radiosonde.store import StoreWriter
from tests.factories import HOUR_NS, START_NS, make_feature, make_latency, make_output, make_reference
from tests.unit.store.strategies import make_part

MINUTE_NS = HOUR_NS // 60


def service(path, *, model="delays", minutes=240, fails_from=180, version="1", classes=("late", "ok"), phase="fetch"):
    """Write a store of one model: 200 calls a minute; from *fails_from* on half of them fail. Return its path."""
    rng = np.random.default_rng(0)
    reference = make_reference([make_feature("wind", (40, 50, 0, 0, 10, 0))], model=model)
    durations = (0.004 + 0.002 * rng.random(200)).tolist()
    latency = make_latency(durations, {phase: [each / 2 for each in durations]})
    output = make_output([(classes[index % 2], 0.8) for index in range(200)])
    part = make_part(200, reference=reference, key=SeriesKey(model, version), latency=latency, output=output)
    windows = [
        replace(
            part,
            start_ns=START_NS + minute * MINUTE_NS,
            end_ns=START_NS + (minute + 1) * MINUTE_NS,
            errors={"ValueError": 100} if minute >= fails_from else {},
        )
        for minute in range(minutes)
    ]
    StoreWriter(path, clock_ns=lambda: START_NS + minutes * MINUTE_NS).write(windows, {(model, version): reference})
    return path


def looked(*stores):
    """Return the state of the desk after one look at *stores*; internal errors are raised."""
    looking = Looking(stores, policy_of, filled_in, guard=Guard(reraise=True))
    looking.turn()
    return looking


class Client:
    """Asks the desk over *looking*, each page in an event loop of its own; errors of pages are raised."""

    def __init__(self, looking):
        self.app = make_app(looking)

    def get(self, address, method="GET", host="127.0.0.1:8766"):
        """Return the answer to a request."""

        async def ask():
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as asking:
                return await asking.request(method, address)

        return asyncio.run(ask())


def client(looking):
    """Return a client of the desk over *looking*."""
    return Client(looking)


class Page(HTMLParser):
    """A page as its elements and its text. Complains about inline scripts, styles and handlers."""

    VOID = ("meta", "link", "input", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.words, self.faults = [], [], [], []
        self.feed(text)
        self.close()
        if self.open:
            self.faults.append(f"not closed: {self.open}")

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)
        given = dict(attributes)
        self.links += [given["href"]] if tag == "a" else []
        self.faults += [f"{tag} {name}" for name in given if name == "style" or name.startswith("on")]
        if (tag == "script" and "src" not in given) or tag in ("style", "img", "iframe", "object", "embed", "base"):
            self.faults.append(f"element {tag}")
        for name in ("href", "src", "action"):
            address = given.get(name) or "/"
            if not address.startswith(("/", "#")) or address.startswith("//"):
                self.faults.append(f"{name} {address}")

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"closes {tag}")

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        """All text with single blanks."""
        return " ".join(" ".join(self.words).split())
