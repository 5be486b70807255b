"""``radiosonde agent --spool DIR``: drain the rings of all model-server processes on this host."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from radiosonde._agent.agent import Agent
from radiosonde._agent.agent_exports import AgentExports
from radiosonde._guard import Guard
from radiosonde._labels.joiner import label_queue_for
from radiosonde._pipeline._worker import told_to_end
from radiosonde._pipeline.forgiving import report_problems
from radiosonde._ring.descriptors import raise_limit
from radiosonde._ring.spool import Spool
from radiosonde._settings import Settings
from radiosonde.cli._agent_watch import AgentWatch

TURN_EVERY_S = 0.05

FAILED_TURNS = 100
"""Consecutive failed cycles after which the agent exits, so that a supervisor restarts it."""

HURRIED_S = 0.002
"""Seconds between cycles while a ring is filling: at full rate, one of 8192 slots wraps around in 90 ms."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "agent",
        help="drain the rings of all processes in a spool, and store and export their counts",
        description="Drain the rings of all worker processes in a spool (workers set RADIOSONDE_SPOOL=DIR RADIOSONDE_AGENT=1), "
        "and store, serve and export their counts as one process. Exits on SIGTERM or Ctrl-C once everything is durable. "
        "It can be killed and restarted at any time.",
    )
    parser.add_argument("--spool", metavar="DIR", required=True, help="the spool folder")
    parser.add_argument(
        "--store", metavar="FILE", help="store to write (default: RADIOSONDE_STORE, else agent.sqlite in the spool)"
    )
    parser.add_argument(
        "--window-s", type=float, metavar="S", help="length of a window (default: RADIOSONDE_WINDOW_S, else 60)"
    )
    parser.add_argument(
        "--prometheus-port", type=int, metavar="PORT",
        help="serve /metrics at PORT, 0 for a free one (default: RADIOSONDE_PROMETHEUS_PORT)",
    )  # fmt: skip
    parser.add_argument(
        "--prometheus-host", metavar="ADDRESS",
        help="address to serve it on, 0.0.0.0 for all (default: RADIOSONDE_PROMETHEUS_HOST, else 127.0.0.1)",
    )  # fmt: skip
    parser.add_argument(
        "--otlp", action="store_true", help="export over OTLP (OTEL_EXPORTER_OTLP_* configure the endpoint)"
    )
    parser.add_argument(
        "--linger-s", type=float, metavar="S",
        help="exit if no process has written to the spool for this long and everything is durable (default: never)",
    )  # fmt: skip
    parser.add_argument(
        "--watch", action="store_true",
        help="run `radiosonde watch` on the store beside it, and start it again when it ends ([watch] of radiosonde.toml configures it)",
    )  # fmt: skip
    parser.add_argument("--nice", type=int, default=0, metavar="N", help="niceness (0 to 19; default: 0)")


def run(args: argparse.Namespace) -> int:
    """Drain until SIGTERM or SIGINT.

    Raises:
        SpoolError: the folder cannot be used, or another agent drains it.
        StoreError: the store cannot be opened.
        ConfigurationError: an option or a variable cannot be used, or the port is taken.
    """
    os.nice(max(0, args.nice))
    raise_limit()
    settings = Settings.resolve(
        store=args.store,
        window_s=args.window_s,
        prometheus_port=args.prometheus_port,
        prometheus_host=args.prometheus_host,
        otlp=args.otlp or None,
    )
    settings = replace(settings, spool=args.spool, agent=True)
    guard = Guard()
    report_problems(settings, guard)
    store = Path(settings.store) if settings.store else None
    label_queue = label_queue_for(settings, guard)
    agent = Agent(
        Spool(args.spool), guard, store=store, window_s=settings.window_s, label_queue=label_queue,
        make_exports=partial(AgentExports, settings, guard), settings=settings,
    )  # fmt: skip
    agent.exports.open()
    watch = AgentWatch(agent.store, is_wanted=args.watch, otlp=args.otlp)
    try:
        is_able = _drain(agent, args, guard, watch)
    finally:
        watch.close()
    if not is_able:
        agent.exports.close()
        return 2
    done = agent.close()
    if not done:
        print("radiosonde: the last counts could not be stored; they are still in the rings", file=sys.stderr)
    return 0 if done else 2


def _drain(agent: Agent, args: argparse.Namespace, guard: Guard, watch: AgentWatch) -> bool:
    """Drain until it is time to end; return False where every cycle fails."""
    ending = told_to_end()
    print(f"draining {args.spool} into {agent.store}{agent.exports.said}", flush=True)
    while not ending.wait(HURRIED_S if agent.is_filling else TURN_EVERY_S):
        with guard("agent_turn"):
            agent.turn()
        watch.turn()
        if guard.failures_in_a_row("agent_turn") >= FAILED_TURNS:
            print(
                "radiosonde: every cycle fails (see the log above); exiting, so that a supervisor can restart it",
                file=sys.stderr,
            )
            return False
        if agent.is_superseded:
            print(f"{args.spool} was removed, and another agent drains it now; ending", flush=True)
            break
        if args.linger_s is not None and agent.idle_s >= args.linger_s:
            print(f"no process has written to {args.spool} for {args.linger_s:g} s; exiting", flush=True)
            break
    return True
