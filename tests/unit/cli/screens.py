"""What ``radiosonde doctor`` shows in five set-ups, on a screen of 100 columns; the lines on the machine's CPU left out."""

from __future__ import annotations

SCREENS = {
    "healthy": """
no problems
libraries ok    numpy 2.0.0 (>=1.26)
          off   not installed: no-such-library
          ok    opentelemetry-instrument is installed: it observes libraries without code changes
settings  ok    in force: OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:43210
                RADIOSONDE_STORE=flights.sqlite
server    ok    one process, according to the environment
export    ok    OTLP: http://127.0.0.1:43210/v1/metrics accepts metrics
          off   Prometheus: prometheus-client's default registry; RADIOSONDE_PROMETHEUS_PORT=9464
                serves /metrics without code
          ok    store: flights.sqlite will be created
          ok    labels: predictions wait for them in flights.labels.sqlite
          off   spool: off; RADIOSONDE_SPOOL=DIR keeps the last predictions after a crash, and lets
                an agent drain them
reference note  none set: the first rows of each model serve as its reference, unless the code sets
                one
                $ radiosonde reference build train.parquet --target y --out model.reference.json
next:     $ opentelemetry-instrument uvicorn server:app
""",
    "unreachable": """
1 problem to fix
libraries ok    numpy 2.0.0 (>=1.26)
          off   not installed: no-such-library
          ok    opentelemetry-instrument is installed: it observes libraries without code changes
settings  ok    in force: OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:43210
                RADIOSONDE_STORE=flights.sqlite
server    ok    one process, according to the environment
export    FIX   OTLP: no response from http://127.0.0.1:43210/v1/metrics ([Errno 111] Connection
                refused); until it responds, metrics wait and the oldest sketches are dropped: start
                the collector, or correct OTEL_EXPORTER_OTLP_ENDPOINT
                $ curl -v http://127.0.0.1:43210/v1/metrics
          off   Prometheus: prometheus-client's default registry; RADIOSONDE_PROMETHEUS_PORT=9464
                serves /metrics without code
          ok    store: flights.sqlite will be created
          ok    labels: predictions wait for them in flights.labels.sqlite
          off   spool: off; RADIOSONDE_SPOOL=DIR keeps the last predictions after a crash, and lets
                an agent drain them
reference note  none set: the first rows of each model serve as its reference, unless the code sets
                one
                $ radiosonde reference build train.parquet --target y --out model.reference.json
next:     $ curl -v http://127.0.0.1:43210/v1/metrics
""",
    "unsupported": """
1 problem to fix
libraries FIX   numpy 2.0.0 is not supported (>=99,<100) and not observed
                $ pip install 'numpy>=99,<100'
          ok    opentelemetry-instrument is installed: it observes libraries without code changes
settings  ok    in force: OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:43210
                RADIOSONDE_STORE=flights.sqlite
server    ok    one process, according to the environment
export    ok    OTLP: http://127.0.0.1:43210/v1/metrics accepts metrics
          off   Prometheus: prometheus-client's default registry; RADIOSONDE_PROMETHEUS_PORT=9464
                serves /metrics without code
          ok    store: flights.sqlite will be created
          ok    labels: predictions wait for them in flights.labels.sqlite
          off   spool: off; RADIOSONDE_SPOOL=DIR keeps the last predictions after a crash, and lets
                an agent drain them
reference note  none set: the first rows of each model serve as its reference, unless the code sets
                one
                $ radiosonde reference build train.parquet --target y --out model.reference.json
next:     $ pip install 'numpy>=99,<100'
""",
    "prefork": """
1 problem to fix
libraries ok    numpy 2.0.0 (>=1.26)
          off   not installed: no-such-library
          ok    opentelemetry-instrument is installed: it observes libraries without code changes
settings  ok    in force: OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:43210
                RADIOSONDE_STORE=flights.sqlite
server    FIX   4 worker processes (the command) without an agent: each exports by itself, and a
                scrape reaches only one of them; set RADIOSONDE_SPOOL=/var/lib/radiosonde
                RADIOSONDE_AGENT=true for the server and run the agent beside it
                $ radiosonde agent --spool /var/lib/radiosonde
export    ok    OTLP: http://127.0.0.1:43210/v1/metrics accepts metrics
          off   Prometheus: prometheus-client's default registry; RADIOSONDE_PROMETHEUS_PORT=9464
                serves /metrics without code
          ok    store: flights.sqlite will be created
          ok    labels: predictions wait for them in flights.labels.sqlite
          off   spool: off; RADIOSONDE_SPOOL=DIR keeps the last predictions after a crash, and lets
                an agent drain them
reference note  none set: the first rows of each model serve as its reference, unless the code sets
                one
                $ radiosonde reference build train.parquet --target y --out model.reference.json
next:     $ radiosonde agent --spool /var/lib/radiosonde
""",
    "nothing": """
1 problem to fix
libraries off   not installed: no-such-library
          FIX   no library that can be observed without code is installed in this environment; run
                this command in the server's environment, or decorate your predict function with
                @radiosonde.observe
                $ python -m pip list
          ok    opentelemetry-instrument is installed: it observes libraries without code changes
settings  ok    in force: OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:43210
                RADIOSONDE_STORE=flights.sqlite
server    ok    one process, according to the environment
export    ok    OTLP: http://127.0.0.1:43210/v1/metrics accepts metrics
          off   Prometheus: prometheus-client's default registry; RADIOSONDE_PROMETHEUS_PORT=9464
                serves /metrics without code
          ok    store: flights.sqlite will be created
          ok    labels: predictions wait for them in flights.labels.sqlite
          off   spool: off; RADIOSONDE_SPOOL=DIR keeps the last predictions after a crash, and lets
                an agent drain them
reference note  none set: the first rows of each model serve as its reference, unless the code sets
                one
                $ radiosonde reference build train.parquet --target y --out model.reference.json
next:     $ python -m pip list
""",
}
