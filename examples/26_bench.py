"""What would observing cost this model? In a shell: ``radiosonde bench examples/26_bench.py:predict``.

The rows are made up from the dataclass; ``--input rows.parquet`` takes your own, ``--json`` prints a document.
"""

from dataclasses import dataclass

from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

import radiosonde as rs
from radiosonde.cli import main

features, target = load_breast_cancer(return_X_y=True)
model = LogisticRegression(max_iter=5000).fit(features[:, :2], target)


@dataclass
class Tumour:
    """One tumour."""

    radius: float
    texture: float


@rs.observe("tumours", classes=["malignant", "benign"])
def predict(tumour: Tumour) -> list[float]:
    return model.predict_proba([[tumour.radius, tumour.texture]])[0].tolist()


if __name__ == "__main__":
    main(["bench", f"{__file__}:predict", "--seconds", "1"])
