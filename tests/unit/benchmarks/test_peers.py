"""Benchmarks: Radiosonde beside its peers, from what a process says to a line of the table."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.peers import _environments, _page, _rounds
from benchmarks.peers._catalogue import BARE, OURS, PEERS
from benchmarks.peers._rounds import Run, fly
from benchmarks.peers._sink import sink

ROOT = Path(__file__).parents[3]


def run_of(peer: object, observed: list[tuple[float, float, float]], **told: object) -> Run:
    """Return a run whose own bare call takes 10 us (CPU 11) and whose rounds say (median, p99, CPU)."""
    bare = {"median_us": 10.0, "p99_us": 20.0, "cpu_us": 11.0}
    rounds = [
        {"bare": bare, "observed": {"median_us": median, "p99_us": p99, "cpu_us": cpu}} for median, p99, cpu in observed
    ]
    imports = [{"import_cpu_s": 0.001, "first_cpu_s": 0.002}] * 3
    return Run(**{"peer": peer, "rounds": rounds, "imports": imports, "predictions": 200, **told})  # type: ignore[arg-type]


BARE_RUN = run_of(BARE, [(10.0, 20.0, 11.0)] * 5, ready_kib=1024, grown_kib=512)
OURS_RUN = run_of(
    OURS,
    [(12.0, 30.0, 14.0), (13.0, 31.0, 15.0), (14.0, 32.0, 16.0), (90.0, 900.0, 17.0), (95.0, 950.0, 99.0)],
    imports=[
        {"import_cpu_s": value, "first_cpu_s": 0.102} for value in (0.031, 0.041, 9.0)
    ],
    ready_kib=3 * 1024,
    grown_kib=1536,
    counted=199,
    installed_bytes=5 * 2**20,
    distributions=4,
)  # fmt: skip


def test_neighbours_do_not_move_a_line() -> None:
    """Wall times are first quartiles and CPU times medians, each beside the bare call of the same process."""
    found = _page.line(OURS_RUN, BARE_RUN)
    assert (found.median_us, found.p99_us, found.over_us, found.cpu_us) == (13.0, 31.0, 3.0, 5.0)


def test_memory_is_what_a_bare_process_does_not_have() -> None:
    """The bare process's resident set is taken off; growth is told apart, and so are import and first answer."""
    found = _page.line(OURS_RUN, BARE_RUN)
    assert (found.memory_mib, found.grown_mib) == (3.0, 1.0)
    assert found.import_ms == pytest.approx(41.0)
    assert found.first_ms == pytest.approx(102.0)
    assert found.counted_ratio == 0.995


def test_a_line_tells_every_figure() -> None:
    """The cells as they are printed, the bare call without what is measured against it."""
    bare, ours = _page.rows([BARE_RUN, OURS_RUN])
    assert [cell for cell in bare if cell] == ["bare call", "10 us", "20 us", "2.0 ms", "nothing"]
    assert ours[:-1] == (
        "Radiosonde", "13 us", "31 us", "3.0 us", "5.0 us", "3.0 MiB", "1.0 MiB", "5.0 MiB in 4", "41 ms", "102 ms", "99.50 %",
    )  # fmt: skip


def test_a_peer_that_did_not_run_says_why() -> None:
    """Its line has a reason instead of figures, on the page and, shorter, in the README."""
    absent = Run(PEERS[4], failure="cannot be installed: no wheel for a|b")
    line = _page.rows([BARE_RUN, absent])[1]
    assert line[0] == PEERS[4].name
    assert set(line[1:-1]) == {""}
    assert line[-1] == "did not run: cannot be installed: no wheel for a/b"
    page = _page.readme(f"before\n{_page.BEGIN}old\n{_page.END}\nafter\n", [BARE_RUN, OURS_RUN, absent])
    assert f"| {PEERS[4].name} |  |  |  |  |  |  | did not run here |\n" in page
    assert "| Radiosonde | 3.0 us | 5.0 us | 3.0 MiB | 5.0 MiB | 41 ms | 102 ms | " in page
    assert page.startswith("before\n<!--")
    assert page.endswith("\nafter\n")
    assert "old" not in page


def test_a_readme_without_marks_for_peers_is_refused() -> None:
    """The summary never guesses where the table belongs."""
    with pytest.raises(ValueError, match=r"README\.md has no table"):
        _page.readme("no marks", [BARE_RUN])


def test_every_peer_has_its_file_and_its_locked_requirements() -> None:
    """A peer is one small file, and installs the same today and in a year: exact versions with hashes."""
    for peer in PEERS:
        source = ROOT / "benchmarks" / "peers" / f"{peer.id}.py"
        assert len(source.read_text().splitlines()) <= 150
        locked = (_environments.REQUIREMENTS / f"{peer.id}.txt").read_text()
        pins = [line for line in locked.splitlines() if re.match(r"[a-z]", line)]
        assert pins
        assert all(re.match(r"[a-z0-9._-]+==\S+ .*\\$", pin) for pin in pins), peer.id


def test_the_weight_is_what_is_installed_beside_numpy(tmp_path: Path) -> None:
    """Numpy, byte code and the environment's own files do not count; distributions do."""
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    for place in ("peer/a.py", "peer-1.2.dist-info/RECORD", "numpy/b.py", "numpy.libs/c.so", "numpy-2.0.dist-info/RECORD",
                  "peer/__pycache__/a.pyc", "_virtualenv.py"):  # fmt: skip
        path = packages / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 100)
    python = tmp_path / "bin" / "python"
    assert _environments.weight(python) == (200, 1)
    assert _environments.version(python, "peer") == "1.2"


def test_the_sink_counts_spans_and_the_last_value_of_a_counter() -> None:
    """Requests of two peers stay apart; spans add up, cumulative counters do not."""
    spans = ExportTraceServiceRequest()
    scope = spans.resource_spans.add().scope_spans.add()
    scope.spans.add()
    scope.spans.add()

    def counter(value: int) -> bytes:
        request = ExportMetricsServiceRequest()
        metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="predictions")
        metric.sum.data_points.add(as_int=value)
        metric.sum.data_points.add(as_int=1)
        return request.SerializeToString()

    with sink() as receiver:
        for path, body in (
            ("a/v1/traces", spans.SerializeToString()), ("a/v1/traces", spans.SerializeToString()),
            ("b/v1/metrics", counter(5)), ("b/v1/metrics", counter(7)),
        ):  # fmt: skip
            address = f"http://127.0.0.1:{receiver.port}/{path}"
            with urllib.request.urlopen(urllib.request.Request(address, data=body), timeout=60) as answer:
                assert answer.status == 200
        assert (receiver.count("a", "spans"), receiver.count("b", "spans")) == (4, 0)
        assert (receiver.count("a", "predictions"), receiver.count("b", "predictions")) == (0, 8)


@pytest.mark.timeout(600)
def test_two_peers_fly_in_this_environment(tmp_path: Path) -> None:
    """The bare call and Radiosonde make 200 predictions; all of Radiosonde's are counted, and each round says every figure."""
    runs = fly([BARE, OURS], rounds=2, burst=100, imports=1, here=True)
    assert [run.failure for run in runs] == ["", ""]
    assert [(run.peer, run.counted) for run in runs] == [(BARE, 0), (OURS, 201)]
    for run in runs:
        assert len(run.rounds) == 2
        assert len(run.imports) == 1
        assert all(told[arm]["median_us"] > 0 for told in run.rounds for arm in ("bare", "observed"))
    assert OURS.name in _page.summary(runs)
    _page.keep(runs, tmp_path)
    assert [kept["counted"] for kept in json.loads((tmp_path / "peers.json").read_text())] == [0, 201]


def test_a_peer_that_cannot_be_imported_says_so() -> None:
    """A peer's own last words are the reason, and the others are measured all the same."""
    strange = _rounds.Peer("no_such_peer", "strange", "strange", ("no_such_module",), "", "")
    runs = fly([BARE, strange], rounds=1, burst=10, imports=0, here=True)
    assert runs[0].failure == ""
    assert runs[1].failure == "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"
