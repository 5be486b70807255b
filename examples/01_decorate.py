"""Observe a scikit-learn model with one decorator, and look at what was counted.

Nothing is exported here: no store, no backend. A model without a reference profile makes a provisional one from the
first thousand rows it sees.
"""

from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import radiosonde as rs
from radiosonde.testing import fly

features, target = load_breast_cancer(return_X_y=True)
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(features[:400], target[:400])


@rs.observe("tumours", version="1.0.0", classes=["malignant", "benign"])
def predict(row):
    return model.predict_proba(row)


for row in features[400:]:
    answer = predict(row.reshape(1, -1))
print(f"the model's own answer, untouched: {answer.round(3)}")
print(f"prediction id, for a label later:  {rs.current().id}")

rs.flush()
statistics = rs.statistics()
print(f"recorded {statistics.records}, lost {sum(statistics.losses.values())}")

# The same decorator inside `fly` has a separate pipeline, whose windows can be inspected.
with fly() as flight:
    observed = flight.observe("tumours", classes=["malignant", "benign"])(model.predict_proba)
    observed(features)
    (window,) = flight.windows()

answers = dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True))
print(f"{window.calls} call, {window.rows} rows, {window.latency.sums_s.sum() * 1e3:.1f} ms; answers: {answers}")
