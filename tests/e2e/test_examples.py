"""Every example runs as a newcomer would run it, and says what its first lines promise.

Examples of libraries that the development environment lacks run in the rows of `tests/matrix`, and are skipped elsewhere.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.matrix.run import ENVIRONMENTS
from tests.slow import mostly_slow

FOLDER = Path(__file__).parents[2] / "examples"
IS_ROW = Path(sys.prefix).is_relative_to(ENVIRONMENTS)
CELLS = r"below above null unseen \[{}\]"

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
    "12_sklearn": [
        r"LogisticRegression params-[0-9a-f]{12}: 169 calls",
        r"mean radius .* " + CELLS.format("0, 0, 0, 0"),
        r"mean area +bins \[0, .* " + CELLS.format("169, 0, 0, 0"),
    ],
    "13_xgboost": [r"XGBClassifier file-[0-9a-f]{12}: answers", r"worst texture .* " + CELLS.format("0, 0, 69, 0")],
    "14_lightgbm": [r"LGBMRegressor params-[0-9a-f]{12}: 1 call, 142 rows", r"bmi .* " + CELLS.format("72, 1, 0, 0")],
    "15_catboost": [r"CatBoostClassifier params-[0-9a-f]{12}: 142 rows", r"sex .* " + CELLS.format("0, 0, 0, 71")],
    "16_onnxruntime": [r"irises 7: 2 calls, answers {'setosa': ", r"petal_width .* " + CELLS.format("0, 50, 0, 0")],
    "17_torch": [r"Sequential params-[0-9a-f]{12}: 101 calls", r"f0 .* " + CELLS.format("78, 0, 0, 0")],
    "18_mlflow": [
        r"irises 1: answers",
        r"irises 2: answers {'setosa': \d",
        r"sepal width .* " + CELLS.format("100, 0, 0, 0"),
    ],
    "19_fastapi": [r"is prediction [0-9a-f]{32}", r"'POST /irises/{garden}': 17}, .* errors {'422': 2}"],
    "20_flask": [r"is prediction [0-9a-f]{32}", r"POST /irises +plan=pro: 5 calls", r"phases .* predict serialise"],
    "26_bench": [r"calls made, and counted +([\d,]+) +\1\n", r"Observing adds .* a call .* Every call was counted\."],
}

# What an example needs that the development environment may lack.
NEEDS = {
    "13_xgboost": ("xgboost", "sklearn", "pandas"),
    "14_lightgbm": ("lightgbm", "sklearn", "pandas"),
    "15_catboost": ("catboost", "sklearn", "pandas"),
    "16_onnxruntime": ("onnxruntime", "onnx", "skl2onnx", "sklearn"),
    "17_torch": ("torch", "sklearn"),
    "18_mlflow": ("mlflow", "sklearn", "pandas"),
}

# Servers, which their frameworks' tests start and ask: tests/e2e/serving, where the framework is installed.
SERVERS = {"21_bentoml", "22_mlserver", "23_litserve", "24_ray", "25_kserve"}


QUICK = {"01_decorate", "02_reference", "04_labels", "05_fastapi_server", "07_store_and_diagnose", "09_backfill"}
"""Examples that the quick part of the suite runs."""


def run(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run an example in an empty folder, with warnings as errors, temporary files inside it, and our variables unset.

    In a row of the matrix the library may be old, and what it warns of is its own affair. No time limit: the test has one.
    """
    ours = ("MLFLOW_", "OTEL_", "RADIOSONDE_", "PYTEST_")  # MLflow writes what a test has set into the environment
    environment = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    return subprocess.run(
        [sys.executable, "-W", "ignore" if IS_ROW else "error", str(FOLDER / f"{name}.py")],
        cwd=folder, env={**environment, "TMPDIR": str(folder)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_every_example_has_its_promise() -> None:
    """An example that is added is added here, too, and they are numbered without a gap."""
    names = sorted(path.stem for path in FOLDER.glob("*.py"))
    assert names == sorted({*PROMISED, *SERVERS})
    assert [int(name[:2]) for name in names] == list(range(1, len(names) + 1))


@pytest.mark.parametrize("name", mostly_slow(sorted(PROMISED), quick=QUICK))
def test_an_example_ends_well_and_shows_what_it_promises(name: str, tmp_path: Path) -> None:
    """An example exits with 0, warns of nothing, and prints the facts it was written to show."""
    lacking = [module for module in NEEDS.get(name, ()) if importlib.util.find_spec(module) is None]
    if lacking and IS_ROW:
        pytest.fail(f"add {', '.join(lacking)} to this row's requirements in tests/matrix/libraries.toml")
    if lacking:
        pytest.skip(f"needs {', '.join(lacking)}; `make test-matrix` has it")
    done = run(name, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    missing = [pattern for pattern in PROMISED[name] if not re.search(pattern, done.stdout)]
    assert missing == [], done.stdout
