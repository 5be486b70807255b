"""The lab's service, run once for all tests of back ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.backends._readers import Lab, Prometheus, create_views, open_sealed, prometheus_of, run_lab
from tests.e2e._receivers import wait_for


class Engines(NamedTuple):
    """The service, and what reads it.

    Attributes:
        lab: the service and its store.
        clickhouse: over what a collector wrote.
        duckdb: over what the store sealed.
    """

    lab: Lab
    clickhouse: Any
    duckdb: Any

    def view(self, engine: str, name: str, since_ns: int = 0, until_ns: int | None = None) -> list[dict[str, Any]]:
        """Return the rows of a view of ours from an instant to another, by default the end of the lab."""
        bounds = (since_ns, self.lab.end_ns if until_ns is None else until_ns)
        if engine == "clickhouse":
            return self.clickhouse.between(name, *bounds)
        t0, t1 = (f"make_timestamptz({bound // 1000}::BIGINT)" for bound in bounds)
        relation = self.duckdb.execute(f"FROM radiosonde_{name}({t0}, {t1})")
        columns = [column[0] for column in relation.description]
        return [dict(zip(columns, row, strict=True)) for row in relation.fetchall()]


@pytest.fixture(scope="session")
def clickhouse_engine(tmp_path_factory) -> Iterator[Any]:
    """Run ClickHouse's engine, of which there is one per process, with an empty database ``otel``."""
    pytest.importorskip("chdb", reason="needs chdb; `make test-backends` has it")
    from tests.backends._clickhouse import clickhouse

    with clickhouse(tmp_path_factory.mktemp("clickhouse")) as engine:
        yield engine


@pytest.fixture(scope="session")
def engines(clickhouse_engine, tmp_path_factory) -> Iterator[Engines]:
    """Run the service, and read it by ClickHouse and DuckDB."""
    pytest.importorskip("duckdb")
    from tests.backends._clickhouse import collecting

    folder, engine = tmp_path_factory.mktemp("lab"), clickhouse_engine
    with collecting(engine, folder) as endpoint:
        lab = run_lab(folder, endpoint)
        create_views(engine)
        duckdb = open_sealed(lab)
        wait_for(
            lambda: all(ends == lab.ends_ns for ends in engine.ends_ns()),
            "the last export of every replica to be in every table",
            patience_s=400.0,
        )
        assert engine.errors == []
        yield Engines(lab, engine, duckdb)


@pytest.fixture(scope="session")
def prometheus(engines, require_program) -> Iterator[Prometheus]:
    """Yield Prometheus over what was scraped."""
    with prometheus_of(engines.lab, require_program("prometheus"), require_program("promtool")) as server:
        yield server
