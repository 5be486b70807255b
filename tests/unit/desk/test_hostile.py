"""Names from telemetry and texts from addresses are shown as text on every page, whatever they hold, and cost no more than they should."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

import pytest

from radiosonde.desk.app import POLICY
from radiosonde.model.names import name_of
from radiosonde.store.connection import writing
from tests.unit.desk.stores import Page, client, looked, service

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "closing": "</title></code></pre><svg onload=alert(1)>",
    "attribute": "\" autofocus onfocus='alert(1)' x=\"",
    "template": "{{ 7 * 7 }}{% raw %}${7*7}",
    "javascript": "javascript:alert(1)//",
    "ansi": "\x1b[31mred\x1b]0;title\x07",
    "rtl": "abc\u202egpj.exe\u2066",
    "path": "../../etc/passwd?a=b&c=d#e/%2e%2e%00",
    "dots": "..",
    "request": "GET /predict/{id}",
    "unicode": "modèle \U0001f4a9 日本",
    "ampersand": "a&amp;b;c=d%20e+f",
    "long": "x" * 10_000,
    "empty": "",
}
FORBIDDEN = set("\x1b\x07\x00\u202e\u2066")
PAGE_BYTES = 300_000


def renamed(path, name):
    """Write *name* as model, version, cohort, class, phase, type of error and feature into a store, past the door that makes names safe."""
    with writing(path) as connection:
        text = json.dumps(name)[1:-1]
        connection.execute("UPDATE windows SET model = ?, version = ?, cohort = ?", (name, name, f"a={name}"))
        connection.execute("UPDATE windows SET errors = replace(errors, 'ValueError', ?)", (text,))
        connection.execute("UPDATE windows SET output = replace(output, '\"late\"', ?)", (f'"{text}"',))
        connection.execute("UPDATE windows SET latency = replace(latency, '\"fetch\"', ?)", (f'"{text}"',))
        connection.execute("UPDATE features SET feature = ? WHERE feature = 'wind'", (name,))
        connection.execute("UPDATE reference_profiles SET model = ?, version = ?", (name, name))


@pytest.fixture(scope="module", params=list(HOSTILE.values()), ids=list(HOSTILE))
def hostile(request, tmp_path_factory):
    """Return a name, and the desk over a failing service in which everything has this name."""
    path = service(tmp_path_factory.mktemp("desk") / "s.sqlite", minutes=90, fails_from=60)
    renamed(path, request.param)
    return request.param, looked(path)


def test_any_name_is_text_on_every_page(hostile):
    """Every page is well formed, has nothing inline, no character that a terminal or a reader obeys, and a bounded size; links lead back."""
    name, looking = hostile
    page = client(looking)
    assert list(looking.board.models) == [name]
    assert looking.board.incidents
    seen = {"/", "/stores"}
    queue = ["/", "/stores"]
    while queue:
        address = queue.pop()
        answer = page.get(address)
        assert answer.status_code == 200, address[:200]
        assert answer.headers["content-security-policy"] == POLICY
        assert len(answer.content) <= PAGE_BYTES
        assert not FORBIDDEN & set(answer.text)
        parsed = Page(answer.text)
        assert parsed.faults == []
        assert "49" not in parsed.text.split() or name != HOSTILE["template"]
        for link in parsed.links:
            # Every page links to itself at other times: one of them is enough.
            bare = re.sub(r"(?<=[?&])(?:from|to|last|split)=[^&]*&?", "", link.partition("#")[0]).rstrip("?&")
            if bare and bare not in seen:
                seen.add(bare)
                queue.append(bare)
    assert {address.partition("?")[0] for address in seen} == {"/", "/stores", "/model", "/incident", "/feature"}


def test_any_name_is_found_by_its_address(hostile):
    """The charts of a model with any name are found by its safe name, which an address holds, and are valid JSON."""
    name, looking = hostile
    answer = client(looking).get(f"/series?name={quote(name_of(name), safe='')}&last=all")
    record = json.loads(answer.text, parse_constant=pytest.fail)
    assert {chart["id"] for chart in record["charts"]} >= {"traffic", "failures", "p99", "phases"}


@pytest.mark.parametrize(
    "path",
    [
        "/model?name=",
        "/incident?id=",
        "/series?name=",
        "/feature?model=",
        "/feature?model=delays&name=",
        "/feature?model=delays&name=wind&split=",
        "/model?name=delays&from=",
        "/model?name=delays&last=",
        "/",
    ],
)
@pytest.mark.parametrize("text", list(HOSTILE.values()), ids=list(HOSTILE))
def test_any_address_is_answered(desk, path, text):
    """An address with any text is answered with a page that shows it as text, or is refused for its length."""
    answer = desk.get(path + quote(text, safe=""))
    assert answer.status_code in ((414,) if len(text) > 1000 and "?" in path else (200, 400, 404)), answer.text[:500]
    assert answer.headers["content-security-policy"] == POLICY
    if answer.headers["content-type"].startswith("text/html"):
        assert Page(answer.text).faults == []
        assert not FORBIDDEN & set(answer.text)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Return a client of the desk over a small service."""
    return client(looked(service(tmp_path_factory.mktemp("desk") / "s.sqlite", minutes=30, fails_from=10_000)))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/model?name=delays", "/events", "/static/desk.css", "/nothing"])
def test_the_desk_only_reads(desk, method, path):
    """Other methods are refused everywhere, with the headers of every answer."""
    answer = desk.get(path, method)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert answer.headers["content-security-policy"] == POLICY


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:8766", "localhost.evil:80"])
def test_a_page_of_another_site_cannot_read_the_desk(desk, host):
    """A name that was rebound to this machine is refused; no header allows another origin."""
    answer = desk.get("/", host=host)
    assert answer.status_code == 400
    assert "delays" not in answer.text
    assert "access-control-allow-origin" not in desk.get("/").headers


@pytest.mark.parametrize("host", ["127.0.0.1:8766", "localhost:1", "localhost"])
def test_this_machine_is_answered(desk, host):
    """The names of this machine are answered with any port."""
    assert desk.get("/", host=host).status_code == 200


@pytest.mark.parametrize("path", ["/static/desk.css", "/static/desk.js", "/static/charts.js", "/static/vendor/uplot.js", "/static/vendor/htmx.js", "/static/icon.svg", "/figures.css"])  # fmt: skip
def test_every_file_is_served_from_the_package(desk, path):
    """Styles, scripts and pictures come from the package, with the headers of pages."""
    answer = desk.get(path)
    assert answer.status_code == 200
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/vendor/../../app.py", "/static//etc/passwd"]
)
def test_no_other_file_is_served(desk, path):
    """A path out of the folder of static files finds nothing."""
    assert desk.get(path).status_code == 404
