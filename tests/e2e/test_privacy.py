"""Values of features marked ``pii``, and own ids under a key, are in no byte of any carrier."""

from __future__ import annotations

import dataclasses
import gzip
import logging
import os
import stat
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import prometheus_client
import pyarrow.parquet as pq
import pytest

import radiosonde
from radiosonde.cli import main
from radiosonde.export.prometheus import PrometheusCollector
from radiosonde.model import losses
from radiosonde.model.concealed import conceal
from radiosonde.reference import Reference
from radiosonde.testing import fly
from tests.e2e._receivers import otlp_sink

PII_KEY, ID_KEY = "a key that stays with its owner", "another key of the same owner"
EMAILS = [f"alice{number:03d}@secret.example" for number in range(30)]
NUMBERS = [739_000_000.0 + 1137.0 * number for number in range(200)]
STRANGE = ["bob@secret.example", "eve\udce9@secret.example", "m" * 300 + "@secret.example"]


@dataclasses.dataclass
class Row:
    email: object
    ssn: object
    age: float


class Mallory:
    """An unreadable value whose text is its content."""

    def __float__(self):
        raise ValueError("could not convert mallory@secret.example")

    def __str__(self):
        raise ValueError("could not write mallory@secret.example")


FORMS = {
    "dict": lambda rows: [dict(zip(("email", "ssn", "age"), row, strict=True)) for row in rows],
    "dataclass": lambda rows: [Row(*row) for row in rows],
    "list": lambda rows: [list(row) for row in rows],
    "rows of dicts": lambda rows: [[dict(zip(("email", "ssn", "age"), row, strict=True)) for row in rows]],
    "objects": lambda rows: [np.array(rows, dtype=object)],
    "pandas": lambda rows: [pd.DataFrame(rows, columns=["email", "ssn", "age"])],
    "polars": lambda rows: [pl.DataFrame(rows, schema=["email", "ssn", "age"], orient="row", strict=False)],
}

QUICK = {"dict", "rows of dicts", "pandas"}
"""Forms that the quick part of the suite tries."""


def fitted(key=""):
    """Return a profile with two features that people must not see."""
    rng = np.random.default_rng(3)
    frame = {
        "email": rng.choice(EMAILS, 3000), "ssn": rng.choice(NUMBERS, 3000), "age": rng.normal(40, 9, 3000),
        "y": np.repeat(["n", "p"], 1500),
    }  # fmt: skip
    return Reference.fit(frame, target="y", model="m", pii=["email", "ssn"], pii_key=key)


def planted_in(content):
    """Return the planted values in *content*: text in two encodings, numbers as digits and as bytes."""
    found = {"text"} if b"secret.example" in content or "secret.example".encode("utf-16-le") in content else set()
    found |= {"digits"} & ({"digits"} if any(b"%d" % number in content for number in map(int, NUMBERS)) else set())
    if any(struct.pack(kind, number) in content for number in NUMBERS for kind in ("<d", ">d")):
        found.add("bytes")
    return found


@pytest.mark.parametrize(
    ("form", "key"),
    [
        *(pytest.param(form, PII_KEY, marks=() if form in QUICK else pytest.mark.slow) for form in FORMS),
        ("dict", ""),
        *(pytest.param(form, "", marks=pytest.mark.slow) for form in ("list", "objects")),
    ],
)
def test_no_carrier_holds_a_byte_of_what_people_must_not_see(form, key, tmp_path, monkeypatch, caplog):
    """Store, its log, Parquet, labels, spool, profile, OTLP bodies, page, logs, black box and reports."""
    caplog.set_level(logging.DEBUG)
    folder = tmp_path / "carriers"
    folder.mkdir()
    reference = fitted(key)
    reference.save(folder / "m.reference.json")
    rng = np.random.default_rng(4)
    is_free = form not in ("pandas", "polars")  # whose columns hold text that is valid, or numbers
    rows = [
        [
            rng.choice([*EMAILS, *(STRANGE if is_free else STRANGE[:1])]).item(),
            rng.choice(NUMBERS).item(),
            float(rng.normal(40, 9)),
        ]
        for _ in range(200)
    ] + [["eve@secret.example", Mallory() if is_free else 739_000_001.0, 30.0]]
    with otlp_sink() as sink:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        with fly(
            store=folder / "s.sqlite", labels=str(folder / "labels.sqlite"), spool=folder / "spool", otlp=True, pii_key=key,
            id_key=ID_KEY,
        ) as rs:  # fmt: skip
            own_ids = iter(f"{number}@secret.example" for number in range(1000))
            predict = rs.observe("m", version="1", reference=reference, id=lambda x: next(own_ids))(
                lambda x: "p" if np.ndim(x) == 0 else ["p"] * len(x)
            )
            for value in FORMS[form](rows):
                predict(value)
            radiosonde.current().alias("alias@secret.example")
            rs.label("0@secret.example", "p")
            assert rs.flush(60)
            (folder / "live").mkdir(mode=0o700)
            for path in (folder / "spool").iterdir():
                (folder / "live" / path.name).write_bytes(path.read_bytes())
            for suffix in ("", "-wal", "-shm"):
                log = folder / f"s.sqlite{suffix}"
                if log.exists():
                    (folder / f"copy{suffix}").write_bytes(log.read_bytes())
            registry = prometheus_client.CollectorRegistry()
            registry.register(PrometheusCollector(lambda: rs.pipeline().snapshot()))
            (folder / "page.txt").write_bytes(prometheus_client.generate_latest(registry))
            assert sum(window.rows for window in rs.windows()) == len(rows)
    for number, request in enumerate(request for kept in sink.requests.values() for request in kept):
        (folder / f"otlp-{number}").write_bytes(request.SerializeToString())
    assert main(["blackbox", str(folder / "live"), "--json", "--last", "1000"]) == 0
    assert main(["diagnose", str(folder / "s.sqlite"), "--html", str(folder / "report.html")]) in (
        0,
        1,
        3,
    )  # 3: too little to check
    assert main(["store", "seal", str(folder / "s.sqlite"), "--out", str(folder / "sealed"), "--all"]) == 0
    for path in [*folder.rglob("*.parquet")]:
        path.with_suffix(".txt").write_text(str(pq.read_table(path).to_pylist()))
    (folder / "log.txt").write_text(caplog.text, errors="replace")
    carriers = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.relative_to(folder).parts[0].split("-")[0].split(".")[0] for path in carriers} >= {
        "s", "labels", "live", "m", "page", "otlp", "sealed", "report", "log", "copy",
    }  # fmt: skip
    assert {path.name: planted for path in carriers if (planted := planted_in(path.read_bytes()))} == {}


def test_planted_values_would_be_found(tmp_path):
    """The scan sees text, digits and bytes of numbers: without the mark they are in the profile."""
    rng = np.random.default_rng(3)
    frame = {"email": rng.choice(EMAILS, 300), "ssn": rng.choice(NUMBERS, 300)}
    Reference.fit(frame, model="m").save(tmp_path / "plain.json")
    assert planted_in((tmp_path / "plain.json").read_bytes()) == {"text", "digits"}
    assert planted_in(gzip.decompress(gzip.compress(np.array(NUMBERS[:3]).tobytes()))) == {"bytes"}


def test_a_key_keeps_the_cells_of_categories():
    """Under the owner's key, categories are counted as they would be in clear, and unseen ones as unseen."""
    clear = Reference.fit({"email": np.repeat(EMAILS[:4], [40, 30, 20, 10])}, model="m")
    hidden = Reference.fit(
        {"email": np.repeat(EMAILS[:4], [40, 30, 20, 10])}, model="m", pii=["email"], pii_key=PII_KEY
    )
    assert hidden.features[0].counts == clear.features[0].counts == (40, 30, 20, 10, 0, 0)
    assert hidden.features[0].categories == tuple(conceal(email, PII_KEY) for email in EMAILS[:4])
    values = [*EMAILS[:4], EMAILS[0], STRANGE[0], None]
    cells = []
    for reference in (clear, hidden):
        with fly(pii_key=PII_KEY) as rs:
            predict = rs.observe("m", reference=reference)(lambda row: "p")
            for value in values:
                predict({"email": value})
            (window,) = rs.windows()
            cells.append(window.features.cells.tolist())
    assert cells[0] == cells[1] == [[2, 1, 1, 1, 0, 0, 1, 1]]


def test_without_a_key_the_profile_counts_values_and_gaps():
    """Rows with a value, without one, and with what is no number: of numbers and of categories."""
    frame = {
        "ssn": np.array([*NUMBERS[:7], np.nan, np.nan, np.inf]),
        "email": np.array([*EMAILS[:8], None, None], dtype=object),
    }
    ssn, email = Reference.fit(frame, model="m", pii=["ssn", "email"]).features
    assert (ssn.counts, ssn.bounds, ssn.low, ssn.quantiles) == ((0, 7, 2, 1), (), 0.0, ())
    assert (email.counts, email.categories) == ((2, 8), ())
    with fly() as rs:
        predict = rs.observe("m", reference=Reference.fit(frame, model="m", pii=["ssn", "email"]))(lambda row: "p")
        for row in ((NUMBERS[0], "a"), (None, "b"), (np.nan, None), (np.inf, None), ("text", 1), (7, 2)):
            predict(dict(zip(("ssn", "email"), row, strict=True)))
        (window,) = rs.windows()
        assert [row[:4] for row in window.features.cells.tolist()] == [[0, 2, 2, 2], [0, 0, 2, 4]]


def test_another_key_is_told(caplog):
    """Categories hashed under a key that this process has not are all unseen, which the log explains."""
    reference = Reference.fit({"email": np.repeat(EMAILS[:4], 10)}, model="m", pii=["email"], pii_key=PII_KEY)
    with fly(pii_key="quite another one") as rs:
        rs.observe("m", reference=reference)(lambda row: "p")({"email": EMAILS[0]})
        (window,) = rs.windows()
        assert window.features.cells.tolist() == [[0, 0, 0, 0, 0, 0, 0, 1]]
    assert "RADIOSONDE_PII_KEY" in caplog.text


def test_a_profile_of_an_earlier_version_loses_its_values_when_it_is_read(tmp_path):
    """Bounds, quantiles and categories in clear go no further than the file."""
    from radiosonde.reference.codec import from_text, to_text

    plain = Reference.fit({"email": np.repeat(EMAILS[:4], 50), "ssn": np.array(NUMBERS)}, model="m")
    text = to_text(plain).replace('"pii": false', '"pii": true')
    content = text[text.index('"reference": ') + len('"reference": ') : text.rindex("}")]
    import hashlib
    import json

    canonical = json.dumps(json.loads(content), sort_keys=True, separators=(",", ":"))
    old = text.replace(
        text.split('"checksum": "')[1].split('"')[0], f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"
    )
    loaded = from_text(old, origin="old")
    assert [feature.counts for feature in loaded.features] == [(0, 200), (0, 200, 0, 0)]
    assert planted_in(to_text(loaded).encode()) == set()


@pytest.mark.parametrize("own_id", ["order@secret.example", 17, "ünï@secret.example"])
def test_a_hashed_id_meets_its_label_from_another_process(own_id, tmp_path):
    """Where both have the key; and the id is not in the file."""
    target = str(tmp_path / "labels.sqlite")
    with fly(labels=target, id_key=ID_KEY) as rs:
        rs.observe("m", id=lambda row: own_id)(lambda row: "yes")([1.0])
        assert rs.flush(60)
        with fly(labels=target, id_key=ID_KEY) as other:
            other.label(own_id, "yes")
            other.label(radiosonde.current().id, "yes")
            assert other.flush(60)
        assert rs.flush(60)
        labels = {name: count for each in (rs, other) for name, count in each.statistics().labels.items() if count}
        assert labels == {"joined": 1, "duplicate": 1}
    assert b"secret" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize(("is_public", "mode"), [(None, 0o600), ("true", 0o644), ("nonsense", 0o600)])
def test_files_are_the_owners_unless_the_umask_is_asked_for(is_public, mode, tmp_path, monkeypatch):
    """Store, its log, labels, rings, names, profile, Parquet, lock: under the usual umask of a server."""
    if is_public is not None:
        monkeypatch.setenv("RADIOSONDE_PUBLIC_FILES", is_public)
    former = os.umask(0o022)
    try:
        reference = fitted()
        reference.save(tmp_path / "m.reference.json")
        with fly(store=tmp_path / "s.sqlite", spool=tmp_path / "spool") as rs:
            predict = rs.observe("m", reference=reference)(lambda row: "p")  # held: its ring goes with it
            predict({"email": "a", "ssn": 1.0, "age": 1.0})
            rs.label(radiosonde.current().id, "p")
            assert rs.flush(60)
            modes = {path: path.stat() for path in tmp_path.rglob("*") if path.is_file()}
        assert main(["store", "seal", str(tmp_path / "s.sqlite"), "--out", str(tmp_path / "sealed"), "--all"]) == 0
        modes |= {path: path.stat() for path in tmp_path.rglob("*") if path.is_file()}
    finally:
        os.umask(former)
    assert {path.suffix for path in modes} >= {".sqlite", ".parquet", ".lock", ".json", ".ring", ".names"}
    found = {path.name: stat.S_IMODE(each.st_mode) for path, each in modes.items()}
    assert found == {path.name: 0o600 if path.suffix in (".ring", ".names") else mode for path in modes}
    assert losses.STORE_FAILED not in rs.losses()


def test_a_file_that_is_there_keeps_its_mode(tmp_path):
    """Who has opened a store to others did it on purpose."""
    path = tmp_path / "s.sqlite"
    path.touch(mode=0o640)
    path.chmod(0o640)
    with fly(store=path) as rs:
        rs.observe("m")(lambda row: "p")([1.0])
    assert Path(path).stat().st_mode & 0o777 == 0o640
