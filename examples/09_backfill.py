"""Count the past: predictions made now about earlier times belong into the windows of those times.

`rs.at` sets the event time of what is predicted inside. Windows are cut by event time, so a backfill of a month makes
the month's windows, and a replay can be diagnosed as if it had been served.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp

import radiosonde as rs
from radiosonde.sources import open_source

store = Path(mkdtemp()) / "store.db"
rs.start(store=store, window_s=86_400, prometheus=False)


@rs.observe("delays", version="1.0.0")
def predict(row):
    return "late" if row["wind"] > 20 else "on time"


first = datetime(2013, 3, 1, tzinfo=UTC)
for hour in range(5 * 24):
    with rs.at(first + timedelta(hours=hour)):
        predict({"wind": hour % 30})
rs.shutdown()

rows_by_day = Counter()
for window in open_source([store]).windows():
    rows_by_day[datetime.fromtimestamp(window.start_ns / 1e9, UTC).date()] += window.rows
for day, rows in sorted(rows_by_day.items()):
    print(day, rows)
