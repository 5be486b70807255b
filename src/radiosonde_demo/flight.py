"""Runs the demo: train, serve, replay, diagnose.

Everything it makes is in one folder: the two models, the reference profile, the scenario, the server's log, the store
with the telemetry, and in the end the report. Nothing but the store and the reference inside it reaches the diagnosis.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import radiosonde as rs
from radiosonde.errors import ConfigurationError, RadiosondeError
from radiosonde_demo._server_process import ServerProcess
from radiosonde_demo.flights import NEW_YORK, departures, training_flights
from radiosonde_demo.incidents import Incidents
from radiosonde_demo.model import FEATURES, train
from radiosonde_demo.replay import ReplayTally, replay

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from radiosonde_demo.flights import Departure
    from radiosonde_demo.progress_reporter import ProgressReporter

MARK = ".radiosonde-demo"
STORE = "store.db"
REPORT = "report.html"
LEFT_BEHIND = ("v1.pickle", "v2.pickle", "delays.reference.json", "incidents.json", "server.log", f"{STORE}*", REPORT)
FIRST_DAY = datetime(2013, 3, 1, tzinfo=NEW_YORK)
LAST_DAY = datetime(2013, 3, 31, tzinfo=NEW_YORK)
FEWEST_DAYS = 14
"""A change is detected against the past, and needs events: in nine days the canary fails 18 times and 80 calls are slow,
which is as little as a diagnosis that cries no wolf can go by; in fourteen there is enough of both."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to fly.

    Attributes:
        folder: where everything goes.
        start: first day, midnight in New York.
        days: number of days.
        healthy: leave the incidents out.
        stop_labels: stop reporting landings when three quarters of the days have passed.

    Raises:
        ConfigurationError: the days are not in March 2013, or too few.
    """

    folder: Path
    start: datetime = FIRST_DAY
    days: int = 21
    healthy: bool = False
    stop_labels: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be flown."""
        last = self.start + timedelta(days=self.days - 1)
        if not FIRST_DAY <= self.start <= last <= LAST_DAY:
            raise ConfigurationError(f"{self.start:%Y-%m-%d} and {self.days} days: choose days of March 2013")
        if self.days < FEWEST_DAYS:
            raise ConfigurationError(
                f"{self.days} days are too few to detect an incident: choose at least {FEWEST_DAYS}"
            )

    @property
    def end(self) -> datetime:
        """End of the last day, exclusive."""
        return self.start + timedelta(days=self.days)

    @property
    def store(self) -> Path:
        """Where the server leaves its telemetry."""
        return self.folder / STORE

    @property
    def report(self) -> Path:
        """Where the diagnosis leaves its page."""
        return self.folder / REPORT

    @property
    def labels_until_s(self) -> float:
        """When the label feed stops, on a full hour; seconds since the Unix epoch."""
        hours = 24 * self.days
        return self.start.timestamp() + 3600 * (3 * hours // 4) if self.stop_labels else math.inf

    @property
    def incidents(self) -> Incidents:
        """What goes wrong, and when."""
        if self.healthy:
            return Incidents()
        return Incidents.spread_over(int(self.start.timestamp()), int(self.end.timestamp()))


def fly(plan: Plan, reporter: ProgressReporter) -> ReplayTally:
    """Train the models, start the server, replay the flights and land; afterwards the store is ready for diagnosis.

    Raises:
        RadiosondeError: the folder is someone else's, or the server did not come up or did not last.
    """
    flights = departures(plan.start, plan.end)
    clear(plan.folder)
    reporter.say("Training two versions of the model on the flights of January and February 2013 ...")
    prepare(plan.folder, plan.incidents)
    reporter.say("Starting the model server (FastAPI, its own process) ...")
    with ServerProcess(plan.folder) as server:
        reporter.say(
            f"Replaying {len(flights)} flights of {plan.days} days over HTTP to http://127.0.0.1:{server.port} ..."
        )
        return fly_against(server, flights, reporter, plan.labels_until_s)


def fly_against(
    server: ServerProcess, flights: Sequence[Departure], reporter: ProgressReporter, labels_until_s: float = math.inf
) -> ReplayTally:
    """Replay *flights* against a running server.

    Raises:
        RadiosondeError: the server stopped answering; the message holds the end of its log.
    """
    try:
        return asyncio.run(
            replay(server.port, flights, lambda tally: reporter.progress(tally, len(flights)), labels_until_s)
        )
    except ExceptionGroup as failures:
        lost, ours = failures.split(OSError)
        if lost is None or ours is not None:
            raise
        raise server.failure(f"the model server stopped answering ({lost.exceptions[0]})") from lost


def prepare(folder: Path, incidents: Incidents) -> None:
    """Put into *folder* what the server starts from: the models, their reference profile, the scenario."""
    flights = training_flights()
    for name, version, with_dest in (("v1", "1.0.0", False), ("v2", "2.0.0", True)):
        train(version, flights, with_dest=with_dest).save(folder / f"{name}.pickle")
    rs.Reference.fit(flights[[*FEATURES, "late"]], target="late", model="delays").save(folder / "delays.reference.json")
    incidents.save(folder / "incidents.json")


def clear(folder: Path) -> None:
    """Make *folder* ready for a flight: remove what an earlier one left there, and nothing else.

    Raises:
        RadiosondeError: it is not a folder, or holds files and none of an earlier flight.
    """
    if folder.exists() and not folder.is_dir():
        raise RadiosondeError(f"{folder} is not a folder; choose another with --out")
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()) and not (folder / MARK).is_file():
        raise RadiosondeError(f"{folder} holds files that are not the demo's; choose another folder with --out")
    for pattern in LEFT_BEHIND:
        for leftover in folder.glob(pattern):
            leftover.unlink()
    (folder / MARK).write_text("A folder of `radiosonde demo`, which replaces its files at each flight.\n", "utf-8")
