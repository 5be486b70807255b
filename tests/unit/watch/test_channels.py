"""Requests of each channel, byte for byte where a receiver specifies them, and the handling of responses."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest

from radiosonde.config import WatchConfig
from radiosonde.errors import ConfigurationError
from radiosonde.model import Exemplar
from radiosonde.model.watched import event_from_text
from radiosonde.watch.channels.alertmanager import AlertmanagerFeed
from radiosonde.watch.channels.channel import Request, masked, post
from radiosonde.watch.channels.making import make_channels, make_feeds, make_links
from radiosonde.watch.channels.pagerduty import PagerDuty
from radiosonde.watch.channels.slack import Slack
from radiosonde.watch.channels.webhook import Webhook, event_fields, read_template
from radiosonde.watch.life import KnownIncident
from tests.factories import HOUR_NS, START_NS, make_event, make_incident
from tests.http_server import Handler, http_server
from tests.unit.watch.findings import finding

HOSTILE = 'a "quoted" <b> & \\ \n \x00 \u2028 é \ud800 {title} ${title}'


def body(request: Request) -> dict:
    """Return the document of a request."""
    return json.loads(request.body)


@pytest.mark.parametrize("kind", ["opened", "changed", "recovered", "verified"])
def test_an_event_survives_its_text(kind):
    """The store holds the pending notifications."""
    event = make_event(kind, contacts=("#a", "b@example.com"), ended_ns=START_NS, title=HOSTILE.replace("\ud800", ""))
    assert event_from_text(event.to_text()) == event


@pytest.mark.parametrize("text", ["{}", "[]", "1", '{"incident": {"id": 1}}'])
def test_a_text_that_is_no_event_is_a_value_error(text):
    """A damaged row is dropped and counted, and ends nothing."""
    with pytest.raises(ValueError, match="no event"):
        event_from_text(text)


@pytest.mark.parametrize(
    ("kind", "severity", "action", "level"),
    [
        ("opened", "page", "trigger", "critical"),
        ("opened", "ticket", "trigger", "warning"),
        ("changed", "page", "trigger", "critical"),
        ("recovered", "page", "resolve", "critical"),
    ],
)
def test_pagerduty_triggers_and_resolves_by_the_incident(kind, severity, action, level):
    """One key over the incident's life; the fields that the Events API requires."""
    incident = make_incident(severity=severity, is_active=kind != "recovered")
    request = PagerDuty("pagerduty", "https://pd.example/enqueue", "KEY").request(
        make_event(kind, 2, incident, title="x" * 5000)
    )
    said = body(request)
    assert (said["routing_key"], said["event_action"], said["dedup_key"]) == (
        "KEY",
        action,
        f"radiosonde-{incident.id}",
    )
    assert (said["payload"]["severity"], said["payload"]["source"]) == (level, "delays")
    assert len(said["payload"]["summary"]) <= 1024
    assert said["payload"]["timestamp"] == "2013-03-01T01:00:00+00:00"
    assert "KEY" not in PagerDuty("pagerduty", "https://pd.example/enqueue", "KEY").show(make_event())


def test_pagerduty_is_not_told_of_verifications():
    """The incident is resolved by then."""
    channel = PagerDuty("pagerduty", "https://pd.example/enqueue", "KEY")
    assert [channel.takes(make_event(kind)) for kind in ("opened", "changed", "recovered", "verified")] == [
        True
    ] * 3 + [False]


def test_slack_gets_text_that_it_cannot_take_for_markup():
    """Its three characters are escaped, sections are short enough, and links are there where they are known."""
    event = make_event(title=HOSTILE, verdict="<!channel> " * 1000, runbook_url="https://wiki.example/r")
    said = body(Slack("slack", "https://hooks.slack.example/T/B/secret").request(event))
    texts = [block["text"]["text"] for block in said["blocks"]]
    assert all(len(text) <= 3000 for text in texts)
    assert "<!channel>" not in texts[0]
    assert "&lt;!channel&gt;" in texts[0]
    assert texts[-1] == "<https://wiki.example/r|runbook>"
    assert "secret" not in Slack("slack", "https://hooks.slack.example/T/B/secret").show(event)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ({"text": "${severity}: ${title}"}, {"text": f"page: {HOSTILE}"}),
        ({"a": ["${contacts}", "${evidence}", "${is_over}"], "b": 3}, {"a": [["#a"], 27.5, False], "b": 3}),
        ("${title}", HOSTILE),
        (
            {"n": {"m": "evidence ${evidence}, ${contacts}"}, "${title}": None},
            {"n": {"m": "evidence 27.5, #a"}, "${title}": None},
        ),
        ("$title {title} %(title)s", "$title {title} %(title)s"),
    ],
)
def test_a_template_is_filled_in_without_breaking_its_json(tmp_path, template, expected):
    """For any title, including variables in it."""
    path = tmp_path / "template.json"
    path.write_text(json.dumps(template))
    event = make_event(title=HOSTILE, contacts=("#a",))
    request = Webhook("webhook", "http://x/", read_template(path)).request(event)
    assert body(request) == json.loads(json.dumps(expected).replace("\\ud800", "?"))
    assert request.headers == {"Idempotency-Key": event.event_id}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": "${titel}"}', r"names \$\{titel\}, which events do not have; they have schema"),
        (b"{", "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b'"' + b"x" * 70_000 + b'"', "larger than 64 KiB"),
        (None, "cannot be read"),
    ],
)
def test_a_template_that_cannot_be_used_is_said_at_the_start(tmp_path, content, said):
    """With what to write instead."""
    path = tmp_path / "template.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=said):
        read_template(path)


def known(*severities: str, changed_ns: int = START_NS, **incident) -> KnownIncident:
    """Return an incident that was reported with these severities."""
    shown = make_incident(severity=severities[-1], **incident)
    event = make_event(incident=shown).to_text()
    return KnownIncident(
        shown, "open" if shown.is_active else "recovered", "{}", 1, 0, changed_ns, 0, severities, event
    )


def test_an_alert_fires_for_a_while_and_ends_with_the_incident():
    """Its labels are those that stay; an end is said again for a quarter of an hour, then no more."""
    feed = AlertmanagerFeed("alertmanager", "http://am/prefix/", {"job": "delays"}, frozenset({"page", "ticket"}))
    (alert,) = body(feed.request([known("page")], START_NS + HOUR_NS))
    assert feed.request([known("page")], START_NS).url == "http://am/prefix/api/v2/alerts"
    assert alert["labels"] == {
        "job": "delays", "alertname": "RadiosondeIncidentPage", "severity": "page", "component": "radiosonde",
        "radiosonde_model_name": "delays", "radiosonde_incident_id": "20130301-000001",
    }  # fmt: skip
    assert alert["endsAt"] == "2013-03-01T01:15:00+00:00"
    over = known("page", is_active=False)
    (ended,) = body(feed.request([over], START_NS + 60 * 10**9))
    assert ended["labels"] == alert["labels"]
    assert ended["startsAt"] <= ended["endsAt"] == "2013-03-01T00:00:00+00:00"
    assert feed.request([over], START_NS + HOUR_NS) is None


def test_a_severity_that_changed_ends_the_alert_with_the_former_one():
    """Else the ticket would stay when it became a page."""
    feed = AlertmanagerFeed("alertmanager", "http://am", {}, frozenset({"page", "ticket"}))
    alerts = body(feed.request([known("ticket", "page")], START_NS + 10**9))
    assert [(each["labels"]["severity"], each["endsAt"] > "2013-03-01T00:00:01") for each in alerts] == [
        ("ticket", False), ("page", True),
    ]  # fmt: skip


def test_severities_that_nobody_wants_are_not_said():
    """``notify = "page"``."""
    assert AlertmanagerFeed("a", "http://am", {}, frozenset({"page"})).request([known("ticket")], START_NS) is None


@contextmanager
def server(status: int, headers: dict[str, str], text: bytes = b""):
    """Run a server that answers every request alike."""

    class Alike(Handler):
        def respond(self):
            self.body()
            self.answer(status, text, **headers)

    with http_server(Alike) as made:
        yield f"{made.url}/secret"


@pytest.mark.parametrize(
    ("status", "headers", "outcome", "wait_s"),
    [
        (200, {}, "delivered", None), (202, {}, "delivered", None), (204, {}, "delivered", None),
        (400, {}, "refused", None), (413, {}, "refused", None), (422, {}, "refused", None),
        (401, {}, "retry", None), (404, {}, "retry", None), (408, {}, "retry", None),
        (429, {"Retry-After": "17"}, "retry", 17.0), (503, {"Retry-After": "Fri, 31 Dec 1999"}, "retry", None),
        (429, {"Retry-After": "999999"}, "retry", 3600.0), (500, {}, "retry", None),
        (302, {"Location": "http://127.0.0.1:1/"}, "retry", None), (307, {"Location": "/other"}, "retry", None),
    ],
)  # fmt: skip
def test_every_answer_has_a_meaning(status, headers, outcome, wait_s):
    """A redirect is not a delivery: a redirected POST loses its body. The address is not shown, because it may be secret."""
    with server(status, headers, b"because") as url:
        answer = post(Request(url, b"{}"))
    assert (answer.outcome, answer.wait_s) == (outcome, wait_s)
    assert "secret" not in answer.said
    assert ("because" in answer.said) is (outcome != "delivered")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/secret", "http://nobody.invalid/secret", "http://[::1/secret", "http://a b/secret"]
)
def test_no_answer_is_tried_again(url):
    """Connection refused, unknown host, and an invalid address."""
    answer = post(Request(url, b"{}"))
    assert answer.outcome == "retry"
    assert "secret" not in answer.said.replace(url, "")
    assert "secret" not in masked(url)


def test_secrets_are_read_from_variables():
    """A key, an address; one that is not set is an error that names it."""
    config = WatchConfig(
        slack=("env:S",), pagerduty=("env:P", "own"), webhooks=("http://x/",), alertmanagers=("env:A",)
    )
    variables = {"S": "https://hooks.example/1", "P": "key", "A": "http://am"}
    channels = make_channels(config, None, variables, None)
    assert [each.name for each in channels] == ["webhook", "slack", "pagerduty", "pagerduty-2"]
    assert body(channels[2].request(make_event()))["routing_key"] == "key"
    assert [feed.name for feed in make_feeds(config, variables)] == ["alertmanager"]
    with pytest.raises(ConfigurationError, match="reads S from the environment"):
        make_channels(config, None, {}, None)
    with pytest.raises(ConfigurationError, match="does not begin with http"):
        make_channels(config, None, {**variables, "S": "ftp://x"}, None)


@pytest.mark.parametrize("text", ["job", "=x", "a b=c", "9=x"])
def test_a_label_that_is_none_is_said(text):
    """Alertmanager would refuse every alert."""
    with pytest.raises(ConfigurationError, match="is not a label"):
        make_feeds(WatchConfig(labels=(text,)), {})


def test_links_are_filled_in_and_encoded():
    """Dashboard from an hour before the onset, trace of the affected call; without an address there is no link."""
    config = WatchConfig(
        runbooks="https://wiki.example/r/",
        dashboards="https://g/d?m={model}&from={from_ms}&to={to_ms}",
        traces="https://t/{trace_id}",
    )
    call = Exemplar(3.0, START_NS, 0xABC, 0xDEF)
    links = make_links(config, lambda _: call)
    incident = make_incident(model="a b/ü")
    assert links.runbook(incident) == "https://wiki.example/r/RadiosondeIncidentPage"
    assert (
        links.dashboard(incident, START_NS, None)
        == f"https://g/d?m=a%20b%2F%C3%BC&from={START_NS // 10**6 - 3_600_000}&to=now"
    )
    assert links.trace(finding()) == (f"https://t/{0xABC:032x}", f"{0xABC:032x}", f"{0xDEF:016x}")
    none = make_links(WatchConfig(), lambda _: None)
    assert (none.runbook(incident), none.dashboard(incident, 0, 0), none.trace(finding())) == ("", "", ("", "", ""))


@pytest.mark.parametrize(("key", "address"), [("dashboards", "https://g/{modell}"), ("traces", "https://t/{"), ("dashboards", "{0}"), ("traces", "{trace_id.x}")])  # fmt: skip
def test_an_address_that_cannot_be_filled_in_is_said_at_the_start(key, address):
    """Not at the first incident."""
    with pytest.raises(ConfigurationError, match=f"watch.{key} is"):
        make_links(WatchConfig(**{key: address}), lambda _: None)


def test_the_fields_of_a_webhook_are_documented_by_an_example():
    """All of them are plain JSON."""
    assert json.loads(json.dumps(event_fields(make_event())))["schema"] == "radiosonde.incident-event/1"
