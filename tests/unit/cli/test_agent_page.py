"""Where ``radiosonde agent`` serves its page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("options", "variables", "host"),
    [
        ([], {}, "127.0.0.1"),
        (["--prometheus-host", "127.0.0.2"], {}, "127.0.0.2"),
        ([], {"RADIOSONDE_PROMETHEUS_HOST": "127.0.0.3"}, "127.0.0.3"),
        (["--prometheus-host", "127.0.0.2"], {"RADIOSONDE_PROMETHEUS_HOST": "127.0.0.3"}, "127.0.0.2"),
    ],
)
def test_the_agents_page_is_served_where_it_is_told(tmp_path, options, variables, host):
    """To this machine by default; the option wins over the variable, and the address is in what it says."""
    command = [
        Path(sys.executable).with_name("radiosonde"),
        "agent",
        "--spool",
        tmp_path / "spool",
        "--prometheus-port",
        "0",
        *options,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **variables}) as process:
        try:
            said = process.stdout.readline()
            (url,) = re.findall(r"http://\S+/metrics", said)
            assert url.startswith(f"http://{host}:")
            with urllib.request.urlopen(url, timeout=60) as answer:
                assert b"radiosonde_sdk_" in answer.read()
        finally:
            process.terminate()
            process.wait(30)
