"""How often does diagnosis cry wolf on real seasons, and how often does it find a planted fault? On a year of real flights.

    python benchmarks/quality/bench_diagnose.py [--quick]

Ids are permanent:

* ``healthy-year``: every three-week stretch of 2013 (one a week), reference = the 59 days before it; findings by name.
* ``unit-*``, ``missing-*``, ...: one planted fault each, in stretches over the year, onset at hour 252 (day 10.5);
  found = a finding of the right kind and place whose onset is within 24 h.
* ``demo-*``: the three incidents of the demo, alone and together, 12 seeds and stretches each.
* ``speed``: seconds for three weeks of hours x 2 versions x 16 carriers x 14 features.

Findings in ``healthy-year`` are not all false: the year has real feed gaps (pressure, 1 and 18 April) and days on which a
third of all flights was cancelled and had no departure delay. They are listed with their dates, to be judged.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from flight_windows import Incident, reference, windows

from radiosonde.diagnose import check

ONSET = 252
FAULTS: dict[str, tuple[tuple[Incident, ...], tuple[str, ...]]] = {
    "unit-wind-kmh": ((Incident("scale", ONSET, 1.609, "wind_speed"),), ("data.unit.wind_speed",)),
    "unit-wind-ms": ((Incident("scale", ONSET, 0.44704, "wind_speed"),), ("data.unit.wind_speed",)),
    "unit-wind-knots": ((Incident("scale", ONSET, 0.869, "wind_speed"),), ("data.unit.wind_speed",)),
    "unit-temp-celsius": (
        (Incident("scale", ONSET, 5 / 9, "temp"), Incident("offset", ONSET, -160 / 9, "temp")),
        ("data.unit.temp",),
    ),
    "unit-distance-km": ((Incident("scale", ONSET, 1.609344, "distance"),), ("data.unit.distance",)),
    "unit-pressure-1000": (
        (Incident("scale", ONSET, 1000.0, "pressure"),),
        ("data.unit.pressure", "data.far.pressure"),
    ),
    "unit-wind-ms-canary": (
        (Incident("scale", ONSET, 0.44704, "wind_speed", version="v2"),),
        ("data.unit.wind_speed@v2",),
    ),
    "missing-visib-30": ((Incident("null", ONSET, 0.3, "visib"),), ("data.missing.visib",)),
    "missing-humid-5": ((Incident("null", ONSET, 0.05, "humid"),), ("data.missing.humid",)),
    "missing-visib-30-canary": ((Incident("null", ONSET, 0.3, "visib", version="v2"),), ("data.missing.visib@v2",)),
    "unseen-carrier-1": ((Incident("category", ONSET, 0.01, "carrier"),), ("data.unseen.carrier",)),
    "stuck-humid": ((Incident("stuck", ONSET, 50.0, "humid"),), ("data.stuck.humid",)),
    "sentinel-temp-5": ((Incident("stuck", ONSET, -999.0, "temp", share=0.05),), ("data.far.temp", "data.unit.temp")),
    "demo-wind": ((Incident("scale", ONSET, 0.44704, "wind_speed"),), ("data.unit.wind_speed",)),
    "demo-carrier": (
        (Incident("errors", ONSET, 1.0, version="v2", carrier="WN"),),
        ("version.errors.v2.carrier=WN@v2",),
    ),
    "demo-fetch": ((Incident("slow", ONSET, 0.08, share=0.02),), ("latency.feature_fetch.all",)),
    "carrier-half": (
        (Incident("errors", ONSET, 0.5, version="v2", carrier="US"),),
        ("version.errors.v2.carrier=US@v2",),
    ),
    "version-all-10": ((Incident("errors", ONSET, 0.1, version="v2"),), ("version.errors.v2.all@v2",)),
    "errors-all-2": ((Incident("errors", ONSET, 0.02),), ("errors.errors.all",)),
    "labels-stopped": ((Incident("labels", ONSET, 1.0),), ("label.feed.all",)),
    "slow-canary": (
        (Incident("slow", ONSET, 0.02, version="v2", phase="predict"),),
        ("latency.predict.v2@v2",),
    ),
}
DEMO = ("demo-wind", "demo-carrier", "demo-fetch")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a fifth of the stretches")
    quick = parser.parse_args().quick
    speed()
    stretches = range(59, 344, 35 if quick else 7)
    healthy(stretches)
    print(f"\n{'fault':26} {'found':>7} {'onset |error| h, median / max':>31}   other findings")
    stretches = range(59, 344, 70 if quick else 24)
    for name, (incidents, wanted) in FAULTS.items():
        planted(name, incidents, [wanted], stretches)
    together = tuple(incident for name in DEMO for incident in FAULTS[name][0])
    planted("demo-all-three", together, [FAULTS[name][1] for name in DEMO], stretches)


def speed() -> None:
    made = windows()
    profile = reference()
    began = time.perf_counter()
    check(made, {("delays", "v1"): profile})
    print(f"speed: {len(made)} windows, 14 features: {time.perf_counter() - began:.2f} s")


def healthy(stretches: range) -> None:
    counts: Counter[str] = Counter()
    alarmed, noted, lines = 0, 0, []
    for first_day in stretches:
        profile = reference(first_day - 59)
        diagnosis = check(windows(first_day, profile=profile), {("delays", "v1"): profile})
        alarmed += bool(diagnosis.findings)
        noted += len(diagnosis.notes)
        for finding in diagnosis.findings:
            counts[finding.name] += 1
            lines.append(f"  {_day(finding.onset.at_ns)} {finding.confidence.ln_e:6.1f} {finding.title}")
    weeks = 3 * len(stretches)
    print(
        f"healthy-year: {alarmed} of {len(stretches)} stretches ({weeks} model-weeks, overlapping) have findings; {noted} notes"
    )
    print("\n".join(sorted(set(lines))))


def planted(name: str, incidents: tuple[Incident, ...], wanted: list[tuple[str, ...]], stretches: range) -> None:
    found, errors, others = 0, [], Counter()
    for first_day in stretches:
        profile = reference(first_day - 59)
        made = windows(first_day, incidents=incidents, profile=profile, seed=first_day)
        diagnosis = check(made, {("delays", "v1"): profile})
        onset_ns = (
            min(window.start_ns for window in made) // (24 * 3_600 * 10**9) * 24 * 3_600 * 10**9 + ONSET * 3_600 * 10**9
        )
        matched = set()
        for alternatives in wanted:
            for finding in diagnosis.findings:
                full = f"{finding.name}@{finding.where.version}" if finding.where.version else finding.name
                late_h = (finding.onset.at_ns - onset_ns) / 3.6e12
                if full in alternatives and abs(late_h) <= 24:
                    found += 1
                    errors.append(abs(late_h))
                    matched.add(finding.name)
                    break
        others.update(finding.name for finding in diagnosis.findings if finding.name not in matched)
    total = len(stretches) * len(wanted)
    errors.sort()
    shown = f"{errors[len(errors) // 2]:.0f} / {errors[-1]:.0f}" if errors else "-"
    print(f"{name:26} {found:3}/{total:<3} {shown:>31}   {dict(others) or ''}", flush=True)


def _day(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%b %d %H:%M")


if __name__ == "__main__":
    main()
