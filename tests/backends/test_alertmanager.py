"""A real Alertmanager with the routing that ships: each planted fault that calls someone is one notification, to the receiver of its severity.

A watch of the lab's service gives its alerts. Each is then sent to Alertmanager under a job of its own, as if it were the only fault of its
service, and again, as a watch does every minute.
"""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from radiosonde.assets import AssetOptions, alertmanager
from tests.backends._lab import FAULTS
from tests.e2e._receivers import _accepts, free_port, running, wait_for
from tests.e2e._watched import Hook, hook

PLACES = {
    "errors in a cohort": ("risk", "carrier=UA"), "slow phase": ("risk", "fetch"), "missing feature": ("risk", "speed"),
    "scaled feature": ("eta", "distance"), "labels stopped": ("risk", "label"),
}  # fmt: skip
"""By fault: the model, and a word of its alert's name or place. Other answers are a note, which nobody is sent."""


@pytest.fixture(scope="module")
def alerts(engines) -> list[dict[str, Any]]:
    """Return the alerts that a watch of the lab's store sends to an Alertmanager."""
    with hook() as receiver:
        state = engines.lab.folder / "alerts.sqlite"
        done = engines.lab.command(
            "watch", engines.lab.store, "--once", "--alertmanager", receiver.url, "--state", state
        )
        assert done.returncode == 1, done.stderr
    found: list[dict[str, Any]] = receiver.taken[-1]
    return found


@pytest.fixture(scope="module")
def manager(engines, require_program) -> Iterator[tuple[str, dict[str, Hook]]]:
    """Yield the address of an Alertmanager with the shipped routing, and its receivers by name."""
    program, port = require_program("prometheus-alertmanager"), free_port()
    document = yaml.safe_load(alertmanager.make(AssetOptions())[0].content)
    for route in (document["route"], *document["route"]["routes"]):
        # Not shorter: Alertmanager applies an inhibition a moment after it has the alert that inhibits, on a busy machine a second.
        route |= {"group_wait": "4s", "group_interval": "1s"}
    with hook() as page, hook() as ticket, hook() as shown:
        receivers = {"radiosonde-page": page, "radiosonde-ticket": ticket, "radiosonde-shown": shown}
        document["receivers"] = [
            {"name": name, "webhook_configs": [{"url": receiver.url}]} for name, receiver in receivers.items()
        ]
        path = engines.lab.folder / "alertmanager.yml"
        path.write_text(yaml.safe_dump(document))
        command = [
            program, f"--config.file={path}", f"--storage.path={engines.lab.folder / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
        ]  # fmt: skip
        with running(command, engines.lab.folder / "alertmanager.log"):
            wait_for(lambda: _accepts(port), "Alertmanager to listen")
            yield f"http://127.0.0.1:{port}/api/v2/alerts", receivers


def post(url: str, alerts: list[dict[str, Any]]) -> None:
    """Send alerts to Alertmanager."""
    request = urllib.request.Request(url, json.dumps(alerts).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200


def told(receivers: dict[str, Hook]) -> Counter[tuple[str, str]]:
    """Return the notifications so far, by receiver and job, but for those of all faults together."""
    return Counter(
        (name, event["groupLabels"]["job"])
        for name, receiver in receivers.items()
        for event in receiver.taken
        if event["groupLabels"]["job"] != "all"
    )


def of(alerts: list[dict[str, Any]], fault: str) -> list[dict[str, Any]]:
    """Return the alerts of a fault."""
    model, word = PLACES[fault]
    return [
        each
        for each in alerts
        if each["labels"]["radiosonde_model_name"] == model
        and word
        in f"{each['labels']['radiosonde_incident_id']} {each['annotations']['place']} {each['annotations']['summary']}"
    ]


def test_each_planted_fault_is_one_notification(alerts, manager):
    """However often its alert is sent; a page goes to those who are paged, a ticket to those who get tickets."""
    url, receivers = manager
    mine = {fault: of(alerts, fault) for fault in PLACES}
    assert {fault: len(found) for fault, found in mine.items()} == dict.fromkeys(PLACES, 1)
    assert mine.keys() == FAULTS.keys() - {"other answers"}
    sent = [{**each, "labels": {**each["labels"], "job": fault}} for fault, (each,) in mine.items()]
    expected = Counter((f"radiosonde-{each['labels']['severity']}", each["labels"]["job"]) for each in sent)
    post(url, sent)
    wait_for(lambda: told(receivers) == expected, f"one notification of each of {expected}")
    for number in range(3):
        post(url, sent)
        # An alert that comes later is notified later: by then a second notification of the others would have come.
        last = {"alertname": "Later", "component": "radiosonde", "severity": "page", "job": f"later {number}"}
        post(url, [{"labels": last, "endsAt": sent[0]["endsAt"]}])
        expected["radiosonde-page", f"later {number}"] = 1
        wait_for(lambda number=number: told(receivers)["radiosonde-page", f"later {number}"], "the later alert")
    assert told(receivers) == expected


def test_all_faults_of_a_service_are_one_page_for_each_model(alerts, manager):
    """Those of one model come together, and what is a ticket is not sent beside a page of the same model."""
    url, receivers = manager
    sent = [{**each, "labels": {**each["labels"], "job": "all"}} for each in alerts]
    paged = {each["labels"]["radiosonde_model_name"] for each in sent if each["labels"]["severity"] == "page"}
    models = {each["labels"]["radiosonde_model_name"] for each in sent}
    assert "risk" in paged
    post(url, sent)

    def groups() -> Counter[tuple[str, str]]:
        return Counter(
            (name, event["groupLabels"].get("radiosonde_model_name", ""))
            for name, receiver in receivers.items()
            for event in receiver.taken
            if event["groupLabels"]["job"] == "all"
        )

    expected = Counter(("radiosonde-page" if model in paged else "radiosonde-ticket", model) for model in models)
    wait_for(lambda: groups().total() >= expected.total(), f"one notification of each of {expected}")
    assert groups() == expected
