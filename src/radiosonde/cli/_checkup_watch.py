"""Checks of the watch: whether one runs on the store, and whether its channels can be reached. Nothing is sent."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from radiosonde._clock import wall_ns
from radiosonde._settings import Settings
from radiosonde.cli._checkup import CheckupLine
from radiosonde.config import WatchConfig, locate, read
from radiosonde.errors import RadiosondeError
from radiosonde.watch.channels.channel import masked
from radiosonde.watch.channels.making import make_channels, make_feeds, make_links
from radiosonde.watch.state import Owner, WatchState, owner

TIMEOUT_S = 1.0


def watch_lines(settings: Settings, variables: Mapping[str, str]) -> Iterator[CheckupLine]:
    """Yield the lines about a watch on the store of *settings*; none without a store, or if no watch was configured."""
    if settings.store is None:
        return
    store = Path(settings.store)
    try:
        path = locate([store], variables)
        config = WatchConfig() if path is None else read(path)[0].watch
        held = WatchState(store, owner("doctor")).lease() if store.is_file() else None
        if held is None and config == WatchConfig():
            return  # no watch was configured
        make_channels(config, Path() if path is None else path.absolute().parent, variables, None)
        make_feeds(config, variables)
        make_links(config, lambda finding: None)
        yield _running(store, held)
    except RadiosondeError as error:
        yield CheckupLine("watch", "fix", str(error), "radiosonde config check")
        return
    declared = [*config.alertmanagers, *config.webhooks, *config.slack]
    addresses = [variables.get(each.removeprefix("env:"), "") if each.startswith("env:") else each for each in declared]
    addresses += [config.pagerduty_url] * bool(config.pagerduty)
    if not addresses:
        yield CheckupLine(
            "watch", "off", "no channel is declared under [watch] of radiosonde.toml: a watch notifies nobody"
        )
    for address in addresses:
        yield _reached(address)


def _running(store: Path, held: tuple[Owner, int] | None) -> CheckupLine:
    if held is not None and held[1] > wall_ns():
        return CheckupLine("watch", "ok", f"process {held[0].pid} watches {store}")
    said = f"no watch runs on {store}: incidents are found when somebody runs radiosonde diagnose"
    return CheckupLine("watch", "off", said, f"radiosonde watch {shlex.quote(str(store))}")


def _reached(address: str) -> CheckupLine:
    parts = urlsplit(address)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        with socket.create_connection((parts.hostname or "", port), TIMEOUT_S):
            return CheckupLine("watch", "ok", f"{masked(address)} can be reached")
    except (OSError, ValueError) as error:
        said = f"{masked(address)} cannot be reached ({error}); notifications wait until it can"
        return CheckupLine("watch", "fix", said)
