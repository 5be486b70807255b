"""What ``POST /labels`` answers, from bytes to bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiosonde._join.receipt import Receipt, sign
from radiosonde._join.store import Label
from radiosonde._labels import label_route
from radiosonde._labels.label_route import MOST_BYTES, MOST_LABELS, LabelRoute
from radiosonde._receipt_keys import ReceiptKeys
from radiosonde.errors import ConfigurationError
from radiosonde.model import SeriesKey
from tests.unit.join.recording import RecordingStore

NS = 10**9
BEARER = "Bearer s3cret"
ID = "18a1b2c3d4e5f60718a1b2c3d4e5f607"
KEYS = ReceiptKeys([("k1", b"0123456789abcdef")])


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    """Stop the clock, so that a label without a time has one that a test can name."""
    monkeypatch.setattr(label_route, "wall_ns", lambda: 1_800_000_000 * NS)


@pytest.fixture
def store():
    """Return a store that records its arguments."""
    return RecordingStore()


def post(store, document, authorization=BEARER, **options):
    """Post a document, or bytes as they are; return status and page."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    answer = LabelRoute("s3cret", store.receive, **options).answer(body, authorization)
    return answer.status, json.loads(answer.body)


def test_one_label_and_many(store):
    """202 with the count, after the store has them; a label without a time became known now."""
    assert post(store, {"id": ID, "label": "late"}) == (202, {"received": 1})
    many = [{"id": 7, "label": 1.5, "time": "2013-03-01T00:00Z"}, {"id": "b", "label": True, "time": 1_362_096_000}]
    assert post(store, many) == (202, {"received": 2})
    assert store.chunks == [
        [Label(ID, "late", 1_800_000_000 * NS)],
        [Label("7", 1.5, 1_362_096_000 * NS), Label("b", True, 1_362_096_000 * NS)],
    ]


def test_no_labels_are_received_too(store):
    """An empty list is not a mistake, and no work for the store."""
    assert post(store, []) == (202, {"received": 0})
    assert store.chunks == []


def test_all_is_taken_or_nothing(store):
    """One refused label keeps the others out; the answer says which, why, and how many by reason."""
    items = [
        {"id": "a", "label": "yes"},
        {"id": "", "label": "yes"},
        {"id": "c", "label": None},
        {"id": "d", "label": "yes", "time": "soon"},
        {"id": "e"},
        {"label": "yes"},
        {"id": "f", "receipt": "g", "label": "yes"},
        "rubbish",
        {"receipt": "rs1.k1.", "label": "yes"},
    ]
    counted = []
    status, page = post(store, items, keys=KEYS, refused=counted.append)
    assert status == 400
    assert page["received"] == 0
    assert [(item["index"], item["reason"]) for item in page["labels"]] == [
        (1, "invalid_id"), (2, "invalid_value"), (3, "invalid_time"), (4, "malformed"), (5, "malformed"), (6, "malformed"),
        (7, "malformed"), (8, "receipt_truncated"),
    ]  # fmt: skip
    assert page["refused"] == counted[0]
    assert page["refused"] == {
        "invalid_id": 1, "invalid_value": 1, "invalid_time": 1, "malformed": 4, "receipt_truncated": 1,
    }  # fmt: skip
    assert store.chunks == []


def test_an_answer_lists_a_hundred_refusals_and_counts_all(store):
    """So that a wrong file does not come back whole."""
    status, page = post(store, [{}] * 1_000)
    assert (status, page["refused"], len(page["labels"])) == (400, {"malformed": 1_000}, 100)


def test_receipts_are_verified_with_the_keys(store):
    """A good one is passed on whole; without keys it is refused with what to set."""
    text = sign(Receipt(ID, SeriesKey("delays"), NS, "late"), KEYS, 1_900_000_000 * NS)
    assert post(store, {"receipt": text, "label": "late"}, keys=KEYS) == (202, {"received": 1})
    assert post(store, {"id": text, "label": "late"}, keys=KEYS) == (202, {"received": 1})
    assert store.labels == [Label(text, "late", 1_800_000_000 * NS)] * 2
    status, page = post(store, {"receipt": text, "label": "late"})
    assert (status, page["refused"]) == (400, {"receipt_unknown_key": 1})
    assert "RADIOSONDE_RECEIPT_KEYS" in page["labels"][0]["message"]


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "s3cret",
        "Basic s3cret",
        "Bearer S3cret",
        "Bearer s3cret x",
        "Bearer é\ud800",
    ],
)
def test_a_stranger_is_refused(store, authorization):
    """Before the body is read, with the header that requests a token."""
    route = LabelRoute("s3cret", store.receive)
    for body in (b"{", json.dumps({"id": ID, "label": "x"}).encode()):
        answer = route.answer(body, authorization)
        assert (answer.status, answer.headers) == (401, (("WWW-Authenticate", "Bearer"),))
    assert store.chunks == []


@pytest.mark.parametrize("authorization", ["Bearer s3cret", "bearer s3cret", " BEARER  s3cret "])
def test_the_scheme_is_read_in_any_case(store, authorization):
    """As HTTP has it."""
    assert post(store, {"id": ID, "label": "x"}, authorization)[0] == 202


def test_too_much_is_refused(store):
    """Too many labels, or too many bytes; the most of both passes."""
    item = {"id": "a", "label": "b"}
    assert post(store, [item] * MOST_LABELS) == (202, {"received": MOST_LABELS})
    assert post(store, [item] * (MOST_LABELS + 1))[0] == 413
    body = json.dumps(item).encode()
    assert post(store, body.ljust(MOST_BYTES))[0] == 202
    assert post(store, body.ljust(MOST_BYTES + 1))[0] == 413


def test_a_store_out_of_reach_acknowledges_nothing():
    """503, and come again: the sender keeps its labels."""
    answer = LabelRoute("s3cret", RecordingStore(failing=1).receive).answer(b'{"id": "a", "label": 1}', BEARER)
    assert (answer.status, answer.headers) == (503, (("Retry-After", "10"),))
    assert json.loads(answer.body)["received"] == 0


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'{"id": "a", "label": NaN}', b"[" * 200_000, b"1" * 5_000, b"null", b"7"]
)
def test_what_is_no_label_is_refused(store, body):
    """Whatever it does to a parser."""
    assert post(store, body)[0] == 400
    assert store.chunks == []


@given(st.binary() | st.text().map(str.encode) | st.from_type(type(None)).map(lambda _: b"[]"))
def test_any_body_has_an_answer(body):
    """Nothing raises, and every page is JSON."""
    assert post(RecordingStore(), body)[0] in {202, 400}


@pytest.mark.parametrize("token", ["", "two words", "ümlaut", "new\nline"])
def test_a_token_that_protects_nothing_is_refused(token):
    """With how to make one."""
    with pytest.raises(ConfigurationError, match=r"secrets\.token_urlsafe"):
        LabelRoute(token, lambda _: None)
