"""prometheus-client is the host's to import: before it or after it, its default registry has our metrics."""

from __future__ import annotations

import pytest

from tests.stress._scripts import run

ORDERS = {
    "imported before": ("import prometheus_client", "", ""),
    "imported after the start": ("", "import prometheus_client", ""),
    "imported after a prediction": ("", "", "import prometheus_client"),
    "a part of it": ("", "from prometheus_client.exposition import generate_latest", "import prometheus_client"),
}
CALLS = """
        def calls():
            text = prometheus_client.generate_latest().decode()
            return [line.split()[-1] for line in text.splitlines() if line.startswith("radiosonde_prediction_calls_total")]
"""


@pytest.mark.parametrize("order", ORDERS)
def test_the_registry_has_our_metrics(order, tmp_path):
    """At once, whenever the host imports the library; and no more after the shutdown."""
    before, after, late = ORDERS[order]
    ended = run(
        f"""
        {before}
        rs.start()
        {after}
        predict(ROW)
        {late}
        {CALLS.strip()}
        assert calls() == ["1.0"], calls()
        rs.shutdown()
        assert calls() == [], calls()
        """,
        tmp_path / "store.db",
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_page_of_our_own_imports_it(tmp_path, free_port):
    """The page on a port is what imports the library: it and the registry both have the metrics, and nothing is printed."""
    ended = run(
        f"""
        import urllib.request
        rs.start(prometheus_port={free_port})
        predict(ROW)
        import prometheus_client
        {CALLS.strip()}
        assert calls() == ["1.0"], calls()
        page = urllib.request.urlopen(f"http://127.0.0.1:{free_port}/metrics", timeout=60).read()
        assert b"radiosonde_prediction_calls_total" in page
        """,
        tmp_path / "store.db",
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_who_does_not_import_it_does_not_pay_for_it(tmp_path):
    """A process without a scrape has neither the library nor an HTTP server in memory, and nothing is left behind."""
    ended = run(
        """
        paths = list(sys.meta_path)
        rs.start()
        predict(ROW)
        rs.flush()
        assert not {"prometheus_client", "http.server"} & sys.modules.keys()
        rs.shutdown()
        assert sys.meta_path == paths
        """,
        tmp_path / "store.db",
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_forked_child_registers_its_own(tmp_path):
    """Parent and child each import the library after the fork, and see their own counts."""
    ended = run(
        f"""
        rs.start()
        for _ in range(3): predict(ROW)
        child = os.fork()
        if not child:
            predict(ROW)
            rs.flush()
        import prometheus_client
        {CALLS.strip()}
        assert calls() == (["3.0"] if child else ["1.0"]), calls()
        if child:
            assert os.waitpid(child, 0)[1] == 0
        """,
        tmp_path / "store.db",
    )
    assert (ended.returncode, ended.stderr) == (0, "")
