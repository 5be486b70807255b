"""prometheus-client's multiprocess page holds what each process counted; prometheus-client itself is the oracle."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families as parse_text

from radiosonde.export.multiprocess import MultiprocessFiles
from radiosonde.export.prometheus import PrometheusCollector
from tests.factories import (
    make_full_snapshot,
)


@pytest.fixture
def snapshot():
    """Return a snapshot with something of everything."""
    return make_full_snapshot()


def page(folder):
    """Return the samples of the application's page, by name and labels."""
    registry = CollectorRegistry(auto_describe=False)
    MultiProcessCollector(registry, str(folder))
    found = samples(generate_latest(registry).decode())
    # prometheus-client adds a count to histograms whose sum is not known, and which so have none.
    summed = {name.removesuffix("_sum") for name, _ in found if name.endswith("_sum")}
    return {
        key: value
        for key, value in found.items()
        if not key[0].endswith("_count") or key[0].removesuffix("_count") in summed
    }


def samples(text):
    """Return the samples of a page by name and labels, with the types of their families."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): (sample.value, family.type)
        for family in parse_text(text)
        for sample in family.samples
    }


def of_kind(found, kind, *, gauges=True):
    """Return the values of samples of one kind."""
    return {key: value for key, (value, own) in found.items() if (own == kind) == gauges}


def test_one_process_is_on_the_page_as_it_is_on_a_page_of_its_own(tmp_path, snapshot):
    """Every sample that a scrape of one process has, with the same value and type."""
    files = MultiprocessFiles(str(tmp_path), lambda: snapshot, "a")
    files.publish()
    own = samples(PrometheusCollector(lambda: snapshot).render().decode())
    assert len(own) > 50
    assert page(tmp_path) == own
    files.close()


@pytest.mark.parametrize("times", [2, 3])
def test_processes_add_up(tmp_path, snapshot, times):
    """Counters, histograms and non-monotonic sums are summed, in any order; gauges are not; ended ones are kept."""
    all_files = [MultiprocessFiles(str(tmp_path), lambda: snapshot, f"p{place}") for place in range(times)]
    for files in all_files:
        files.publish()
        files.publish()  # again: nothing is added twice
    one = samples(PrometheusCollector(lambda: snapshot).render().decode())
    counted = {key: times * value for key, value in of_kind(one, "gauge", gauges=False).items()}
    assert of_kind(page(tmp_path), "gauge", gauges=False) == pytest.approx(counted)
    for files in all_files:
        files.close()
    assert of_kind(page(tmp_path), "gauge", gauges=False) == pytest.approx(counted)
    live = [path.name for path in tmp_path.glob("gauge_live*")]
    assert live == []


def test_a_name_that_goes_on_keeps_its_totals(tmp_path, snapshot):
    """A restarted agent overwrites its files, and adds nothing."""
    for _ in range(3):
        files = MultiprocessFiles(str(tmp_path), lambda: snapshot, "agent")
        files.publish()
        files.close()
    one = samples(PrometheusCollector(lambda: snapshot).render().decode())
    assert of_kind(page(tmp_path), "counter") == of_kind(one, "counter")


def test_gauges_of_dead_processes_go_and_files_of_others_stay(tmp_path, snapshot):
    """Those of a process that lives, and those of the application, are not touched."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait(60)
    names = [
        f"gauge_livesum_{ended.pid}-radiosonde.db",
        f"gauge_livesum_{os.getppid()}-radiosonde.db",
        f"gauge_livesum_{ended.pid}.db",
    ]
    for name in names:
        (tmp_path / name).touch()
    files = MultiprocessFiles(str(tmp_path), lambda: snapshot, "a")
    files.publish()
    assert [(tmp_path / name).exists() for name in names] == [False, True, True]
    (tmp_path / names[1]).unlink()
    files.close()


def test_a_folder_that_went_away_is_an_error(tmp_path, snapshot):
    """For the caller to tell; nothing else happens."""
    files = MultiprocessFiles(str(tmp_path / "gone"), lambda: snapshot, "a")
    with pytest.raises(FileNotFoundError):
        files.publish()
