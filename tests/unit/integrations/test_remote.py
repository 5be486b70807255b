"""A request without a server span is served in the client's trace, which is left afterwards."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext

from radiosonde.testing import fly
from radiosonde_integrations import _requests
from radiosonde_integrations._options import RequestOptions
from radiosonde_integrations._remote import enter_trace, leave_trace
from radiosonde_integrations._requests import ObservedRequest
from tests.unit.integrations.standing_in import stand_in

TRACE_ID, PARENT_ID = 0x0AF7651916CD43DD8448EB211C80319C, 0x00F067AA0BA902B7
HEADERS = {"traceparent": f"00-{TRACE_ID:032x}-{PARENT_ID:016x}-01", "tracestate": "vendor=opaque"}


@pytest.fixture
def traced(monkeypatch):
    """Have Radiosonde in an application with a tracer provider; yield what says which span is in force."""
    in_force = SimpleNamespace(is_traced=True, span=None, look_ns=float("inf"))
    in_force.current = lambda: in_force.span
    monkeypatch.setattr(_requests, "_SPANS", in_force)
    with fly() as rs:
        stand_in(monkeypatch, rs)
        yield in_force


def current():
    """Return trace id and span id in force."""
    context = trace.get_current_span().get_span_context()
    return context.trace_id, context.span_id


def test_the_trace_of_the_headers_is_in_force_until_it_is_left():
    """Ids, flags and state are the client's; afterwards there is no trace again."""
    token = enter_trace(HEADERS)
    context = trace.get_current_span().get_span_context()
    assert (context.trace_id, context.span_id, context.is_remote) == (TRACE_ID, PARENT_ID, True)
    assert (int(context.trace_flags), context.trace_state["vendor"]) == (1, "opaque")
    leave_trace(token)
    assert current() == (0, 0)


@pytest.mark.parametrize("headers", [{}, {"tracestate": "vendor=opaque"}])
def test_headers_without_a_trace_enter_none(headers):
    """Nothing is attached, so nothing has to be left."""
    assert enter_trace(headers) is None


def test_a_request_is_in_the_client_s_trace_and_the_next_is_not(traced):
    """As in a thread that serves one request after another; an unreadable header is no trace."""
    for headers, expected in ((HEADERS, (TRACE_ID, PARENT_ID)), ({}, (0, 0)), ({"traceparent": "garbage"}, (0, 0))):
        request = ObservedRequest(RequestOptions(), headers.copy, "")
        assert current() == expected
        request.leave()
        assert current() == (0, 0)


def test_where_a_server_s_span_is_in_force_it_stays(traced):
    """Whoever made it has read the header already; and without a provider nobody asks for a trace."""
    traced.span = NonRecordingSpan(SpanContext(1, 2, is_remote=False))
    ObservedRequest(RequestOptions(), HEADERS.copy, "").leave()
    request = ObservedRequest(RequestOptions(), HEADERS.copy, "")
    assert current() == (0, 0)  # the fixture's span is in force in word only
    request.leave()
    traced.span, traced.is_traced = None, False
    request = ObservedRequest(RequestOptions(), HEADERS.copy, "")
    assert current() == (0, 0)
    request.leave()


def test_the_client_s_span_is_nobody_s_server_span(monkeypatch):
    """It is not described, and no exemplar of a request points to it."""
    monkeypatch.setattr(trace, "get_tracer_provider", SimpleNamespace)
    spans = _requests._Spans()
    token = enter_trace(HEADERS)
    spans.look(0)
    assert spans.is_traced
    assert spans.current() is None
    leave_trace(token)
