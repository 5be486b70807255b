"""Every example runs as a newcomer would run it, and says what its first lines promise."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples"
PATIENCE_S = 90

# What an example has to have printed, as patterns: the facts it was written to show, none of the times.
PROMISED = {
    "01_decorate": [r"recorded 169, lost 0", r"1 call, 569 rows"],
    "02_reference": [r"classification on 20000 rows", r"carrier .* below above null unseen \[0, 0, 0, 100\]"],
    "03_stages_and_cohorts": [
        r"visits cannot be negative",
        r"plan=other +calls 1",
        r"plan=pro +calls 2 +errors {'ValueError': 1}",
    ],
    "04_labels": [r"'joined': 3, 'corrected': 0, 'duplicate': 1", r"'expired': 1", r"\('correct', '1h'\): 1"],
    "05_fastapi_server": [r"recorded 3, labels {'joined': 3", r"'label': 'late', 'confidence': 0.8} [0-9a-f]{32}"],
    "06_prometheus": [r"wind +PSI 0\.[5-9]", r"visibility +PSI 0\.0"],
    "07_store_and_diagnose": [r"1 FINDING", r"wind", r"2013-03-08", r"exit code 1"],
    "08_otlp": [r"/v1/metrics: \d+ bytes, \d\d metrics", r"/v1/logs: \d+ bytes, \d+ sketches"],
    "09_backfill": [rf"2013-03-0{day} 24" for day in range(1, 6)],
    "10_test_your_model": [r"3 passed"],
    "11_web_app": [
        r"prediction: 422",
        r"labels joined: 3",
        r"GET /delays/{carrier} +carrier=other,plan=pro +calls 1 errors {} parse predict feature_fetch serialise",
        r"calls 1 errors {'422': 1}",
    ],
}

# Servers, which their frameworks' tests start and ask: tests/e2e/serving, where the framework is installed.
SERVERS = {"21_bentoml", "22_mlserver", "23_litserve", "24_ray", "25_kserve"}


def run(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run an example in an empty folder, with warnings as errors, temporary files inside it, and our variables unset."""
    ours = ("OTEL_", "RADIOSONDE_", "PYTEST_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    return subprocess.run(
        [sys.executable, "-W", "error", str(FOLDER / f"{name}.py")],
        cwd=folder, env={**environment, "TMPDIR": str(folder)}, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip


def test_every_example_has_its_promise() -> None:
    """An example that is added is added here, too, and each has a number of its own."""
    names = sorted(path.stem for path in FOLDER.glob("*.py"))
    assert names == sorted({*PROMISED, *SERVERS})
    assert len({name[:2] for name in names}) == len(names)


@pytest.mark.parametrize("name", sorted(PROMISED))
def test_an_example_ends_well_and_shows_what_it_promises(name: str, tmp_path: Path) -> None:
    """An example exits with 0, warns of nothing, and prints the facts it was written to show."""
    done = run(name, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    missing = [pattern for pattern in PROMISED[name] if not re.search(pattern, done.stdout)]
    assert missing == [], done.stdout
