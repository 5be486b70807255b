"""``radiosonde watch``: diagnose stores as they grow, keep incidents, and notify."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from radiosonde._clock import NS, wall_ns
from radiosonde._guard import Guard
from radiosonde._pipeline._worker import told_to_end
from radiosonde._settings import Settings
from radiosonde._settings.environment import in_force
from radiosonde.cli._stores import add_stores, local, model_name, policy_of, stores_of
from radiosonde.cli.diagnose import subjects
from radiosonde.config import Configuration, WatchConfig, locate, read
from radiosonde.config.keys import CPU
from radiosonde.config.values import parse_duration
from radiosonde.diagnose import EXIT_CODES, SUBJECTS
from radiosonde.diagnose.finding import iso
from radiosonde.errors import ConfigurationError
from radiosonde.model import printable
from radiosonde.model.watched import event_from_text
from radiosonde.sources import Address, open_source
from radiosonde.sources.database_copy import LATE_NS, DatabaseCopy
from radiosonde.watch.channels.making import SEVERITIES, make_channels, make_feeds, make_links
from radiosonde.watch.copying import CopyingLooker, databases_of, default_copy, local_paths
from radiosonde.watch.delivery import DeliveryCounts, FeedSender, QueueSender, Sending, SendingThread
from radiosonde.watch.looking import StoreLooker
from radiosonde.watch.metrics import OtlpMetrics
from radiosonde.watch.state import WatchState, owner
from radiosonde.watch.watcher import Lease, Watcher, WatchOptions

if TYPE_CHECKING:
    from radiosonde.export.otlp import OtlpExporter
    from radiosonde.model.watched import IncidentEvent
    from radiosonde.watch.channels.channel import Channel
    from radiosonde.watch.looking import Looker

POLL_S = 2.0
"""Seconds between two questions whether the source has grown."""
ENDING_S = 5.0
NOT_MINE = 3
SERVICE = "radiosonde-watch"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "watch",
        help="diagnose a store as it grows, keep incidents, and notify",
        description="Diagnose stores at each new window, keep incidents over restarts, serve them as metrics, and send events to what "
        "[watch] of radiosonde.toml declares. Of several watches of one store one is active, and another takes over when it ends. "
        "Exits on SIGTERM or Ctrl-C; it can be killed and restarted at any time.",
        epilog="Exit code: 0 ended, 2 could not run; with --once that of diagnose, or 3 where another watch holds the lease.",
    )
    add_stores(parser)
    parser.add_argument("--once", action="store_true", help="diagnose once, send notifications, and exit")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="write and send nothing; print the notifications for open incidents",
    )
    parser.add_argument(
        "--every",
        type=_seconds,
        metavar="TIME",
        help="shortest time between two diagnoses (default: watch.every, else 60s)",
    )
    parser.add_argument(
        "--cpu",
        type=_share,
        metavar="SHARE",
        help="share of a core for diagnoses without an occasion (default: watch.cpu, else 0.01)",
    )
    parser.add_argument(
        "--late",
        type=_lateness,
        default=LATE_NS / NS,
        metavar="TIME",
        help="how long after its window a part may arrive in a database, labels above all (default: 7d)",
    )
    parser.add_argument("--model", type=model_name, help="restrict to this model (default: all)")
    parser.add_argument(
        "--require",
        type=subjects,
        metavar="LIST",
        help=f"checks that a healthy model must have passed, of {', '.join(SUBJECTS)}",
    )
    _add_outputs(parser)


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    """Add the options for output and state."""
    parser.add_argument(
        "--alertmanager", action="append", default=[], metavar="URL", help="send alerts there too; may be repeated"
    )
    parser.add_argument(
        "--webhook", action="append", default=[], metavar="URL", help="send events there too; may be repeated"
    )
    parser.add_argument(
        "--port",
        type=int,
        metavar="PORT",
        help="serve /metrics at PORT, 0 for a free one (default: watch.port, else 9465)",
    )
    parser.add_argument(
        "--host", metavar="ADDRESS", help="address to serve it on (default: watch.host, else 127.0.0.1)"
    )
    parser.add_argument(
        "--otlp",
        action="store_true",
        help="send metrics and events over OTLP (default: according to OTEL_EXPORTER_OTLP_*)",
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="SQLite file for incidents, lease, notifications and the copy of a database (default: the first store itself; "
        "for a database one of your account)",
    )
    parser.add_argument("--beside", type=int, help=argparse.SUPPRESS)  # process id of the agent that runs it


def run(args: argparse.Namespace) -> int:
    """Watch until SIGTERM or SIGINT.

    Raises:
        StoreError: the store cannot be read, or the state not be written.
        ConfigurationError: an option, a variable or the configuration cannot be used, or the port is taken.
    """
    stores = stores_of(args.store)
    configuration = _configuration(stores)
    config, guard = _with_options(configuration.watch, args), Guard()
    with _state_path(args, stores) as path:
        parts = _Parts(args, stores, config, configuration.path, path, guard)
        if args.once or args.dry_run:
            return _once(parts, is_dry=args.dry_run)
        return _go_on(parts, config, args.beside)


class _Parts:
    """The parts of a watch, put together."""

    def __init__(
        self, args: argparse.Namespace, stores: Sequence[Address], config: WatchConfig, declared: Path | None, path: Path, guard: Guard
    ) -> None:  # fmt: skip
        self.stores, self.guard, self.counts = stores, guard, DeliveryCounts()
        settings = Settings.resolve(otlp=args.otlp or None)
        self.me = uuid.uuid4().hex
        self.state = WatchState(path, owner(self.me))
        self.lease = Lease(self.state, guard)
        variables = in_force(None)
        otlp = partial(_exporter, settings, self.me) if settings.otlp else None
        folder = Path() if declared is None else declared.absolute().parent
        self.channels: list[Channel] = make_channels(config, folder, variables, otlp)
        feeds = make_feeds(config, variables)
        make_links(config, lambda finding: None)  # now, so that the user sees errors
        options = WatchOptions(
            config.every, SEVERITIES[config.notify], lambda look: make_links(config, look.example), _tell
        )
        is_whole = args.once or args.dry_run
        self.copies = [DatabaseCopy(each, path, round(args.late * NS)) for each in databases_of(stores)]
        _check_sources(stores, self.copies)
        looker: Looker = StoreLooker(
            [*local_paths(stores), path] if self.copies else stores,
            lambda _, source: policy_of(stores, source),
            model=args.model,
            require=args.require,
            share=None if is_whole else config.cpu,
        )
        if self.copies:
            looker = CopyingLooker(looker, self.copies, config.every)
        self.watcher = Watcher(looker, self.state, self.lease, self.channels, self.counts, options, guard)
        self.watcher.feeds = [feed.name for feed in feeds]
        self.queues = [QueueSender(each, self.state, guard, self.counts, config.per_hour) for each in self.channels]
        self.feeds = [FeedSender(feed, self.watcher.known, guard, self.counts) for feed in feeds]
        self.senders: list[Sending] = [*self.queues, *self.feeds]
        self.metrics: list[Sending] = []
        if otlp is not None:
            self.metrics.append(OtlpMetrics(otlp, self.watcher.snapshot, settings.export_interval_s, guard))


def _once(parts: _Parts, *, is_dry: bool) -> int:
    parts.lease.turn()
    if not parts.lease.is_held:
        print("another watch holds the lease of this store", file=sys.stderr)
        return NOT_MINE
    try:
        diagnosis = parts.watcher.look()
        if diagnosis is None:
            return NOT_MINE
        if is_dry:
            _show(parts)
        else:
            for queue in parts.queues:
                while queue.turn() == 0.0:
                    pass
            for sender in [*parts.feeds, *parts.metrics]:
                sender.turn()
        return EXIT_CODES[diagnosis.status]
    finally:
        for sender in (*parts.senders, *parts.metrics, parts.lease):
            sender.close()


def _show(parts: _Parts) -> None:
    """Print the notifications, by channel."""
    known = list(parts.watcher.known() or ())
    for each in known:
        event = event_from_text(each.event)
        for channel in parts.channels:
            if channel.takes(event):
                print(f"--- {channel.name}\n{printable(channel.show(event))}")
    for feed in parts.feeds:
        print(f"--- {feed.name}\n{feed.show(known, wall_ns())}")


def _go_on(parts: _Parts, config: WatchConfig, parent: int | None) -> int:
    from radiosonde.export.metrics_page import MetricsPage
    from radiosonde.export.prometheus import PrometheusCollector

    ending = told_to_end()
    for copy in parts.copies:
        copy.is_ending = lambda: ending.wait(0.0)
    page = MetricsPage(PrometheusCollector(parts.watcher.snapshot), config.port, config.host)
    parts.lease.turn()
    threads = [SendingThread(each, parts.guard) for each in (parts.lease, *parts.senders, *parts.metrics)]
    names = (
        ", ".join(each.name for each in parts.senders) or "nobody; declare channels under [watch] of radiosonde.toml"
    )
    role = "" if parts.lease.is_held else " (standing by: another watch holds the lease)"
    print(f"watching {', '.join(map(str, parts.stores))}{role}; metrics at {page.url}; notifying {names}", flush=True)
    for thread in threads:
        thread.start()
    try:
        while not ending.wait(min(POLL_S, config.every)) and parent in (None, os.getppid()):
            with parts.guard("watch_turn"):
                if parts.watcher.turn():
                    for thread in threads[1:]:
                        thread.wake()
    finally:
        for thread in threads:
            thread.stop()
        for thread in threads[::-1]:  # the lease last: it covers all sending
            thread.join(ENDING_S)
        page.close(ENDING_S)
    return 0


def _tell(event: IncidentEvent) -> None:
    incident = event.incident
    text = f"{iso(event.at_ns)} {event.kind} {incident.severity} {incident.id} {incident.model}: {event.title}"
    print(printable(text), flush=True)


def _configuration(stores: Sequence[Address]) -> Configuration:
    path = locate(local(stores))
    if path is None:
        return Configuration()
    configuration, problems = read(path)
    mine = [each for each in problems if each.key.startswith("watch") or not each.key]
    if mine:  # a missing channel would silently drop notifications
        raise ConfigurationError(f"{mine[0].words(path)}; radiosonde config check lists all mistakes")
    return configuration


def _with_options(config: WatchConfig, args: argparse.Namespace) -> WatchConfig:
    given = {"every": args.every, "port": args.port, "host": args.host, "cpu": args.cpu}
    return replace(
        config,
        alertmanagers=(*config.alertmanagers, *args.alertmanager),
        webhooks=(*config.webhooks, *args.webhook),
        **{name: value for name, value in given.items() if value is not None},
    )


@contextmanager
def _state_path(args: argparse.Namespace, stores: Sequence[Address]) -> Iterator[Path]:
    """Yield the file of the state; for a dry run one that is gone afterwards.

    Raises:
        ConfigurationError: it is one of the stores, and would hold the copy of a database too; or it cannot be made.
        StoreError: a store is missing, or is none.
    """
    if args.dry_run:
        with tempfile.TemporaryDirectory(prefix="radiosonde-watch-") as folder:
            yield Path(folder) / "state.sqlite"
        return
    databases, paths = databases_of(stores), local_paths(stores)
    if not databases:
        yield args.state or open_source(stores, sketches=False, label_cells=False).annotations_path
        return
    path = args.state or default_copy(databases[0], in_force(None))
    if any(path.absolute() == each.absolute() for each in paths):
        raise ConfigurationError(
            f"{path} is a store itself, and the state of a watch holds a copy of {databases[0]}; pass another --state FILE"
        )
    yield path


def _check_sources(stores: Sequence[Address], copies: Sequence[DatabaseCopy]) -> None:
    """Open each source once, so that the user sees errors now; a database that was copied before need not be reachable.

    Raises:
        StoreError: a source cannot be read.
    """
    paths = local_paths(stores)
    unread = [each for each, copy in zip(databases_of(stores), copies, strict=True) if copy.is_empty]
    if paths or unread:
        open_source([*paths, *unread], sketches=False, label_cells=False)


def _exporter(settings: Settings, me: str) -> OtlpExporter:
    from radiosonde.export.otlp import OtlpExporter
    from radiosonde.semconv import attributes

    return OtlpExporter(
        resource_attributes={
            attributes.SERVICE_NAME: settings.service_name or SERVICE,
            attributes.SERVICE_INSTANCE_ID: me,
        }
    )


def _share(text: str) -> float:
    try:
        share: float = CPU.check(float(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return share


def _seconds(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not 1.0 <= seconds <= 86_400.0:
        raise argparse.ArgumentTypeError(f"{text!r} is out of bounds; give a time from 1s to 1d")
    return seconds


def _lateness(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not 3600.0 <= seconds <= 730 * 86_400.0:
        raise argparse.ArgumentTypeError(f"{text!r} is out of bounds; give a time from 1h to 730d")
    return seconds
