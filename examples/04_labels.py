"""Tell what really happened, whenever it becomes known: labels are counted in the window of their prediction.

A label needs the prediction's id and nothing else. What becomes of it is counted: joined, corrected, duplicate, expired, ...
"""

from datetime import UTC, datetime, timedelta

import radiosonde
from radiosonde.testing import fly

DAY = datetime(2013, 3, 1, 12, tzinfo=UTC)

with fly() as rs:

    @rs.observe("delays", classes=["on time", "late"])
    def predict(row):
        return [0.2, 0.8] if row["wind"] > 20 else [0.9, 0.1]

    ids = []
    with rs.at(DAY):
        for wind in (5.0, 12.0, 25.0, 31.0):
            predict({"wind": wind})
            ids.append(radiosonde.current().id)

    rs.label(ids[0], "on time", time=DAY + timedelta(minutes=50))
    rs.label(ids[1], "late", time=DAY + timedelta(hours=3))
    rs.label(ids[2], "late", time=DAY + timedelta(hours=4))
    rs.label(ids[2], "late", time=DAY + timedelta(hours=5))  # sent twice, counted once
    rs.label("0" * 32, "late")  # an id contains its time, and this one is of 1970
    # ids[3] never gets one.

    (window,) = rs.windows()
    print(f"{window.rows} predictions, outcomes by lag: {dict(window.labels.outcomes)}")
    print(f"labels: {dict(rs.statistics().labels)}")
