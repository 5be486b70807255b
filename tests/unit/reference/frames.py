"""One small table of flights in every form a reference can be fitted from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl

ROWS = 1000
OUTCOME = {"target": "late", "prediction": "guess", "score": "confidence"}


def flights() -> pd.DataFrame:
    """Return 1 000 flights whose cells and shares are known by construction."""
    order = np.arange(ROWS)
    wind = (order + 1).astype(float)
    wind[:50] = np.nan
    wind[50:53] = [np.inf, -np.inf, np.inf]
    return pd.DataFrame(
        {
            "wind": wind,
            "rain": np.where(order < 900, 0.0, order - 899.0),
            "carrier": np.array(["UA"] * 500 + ["AA"] * 300 + ["B6"] * 190 + [None] * 10, dtype=object),
            "night": order % 4 == 0,
            "late": order % 5 == 0,
            "guess": order % 10 == 0,
            "confidence": np.where(order % 5 == 0, 1.0, 0.52),
        }
    )


def forms(tmp_path) -> dict[str, object]:
    """Return the same flights as each form that `Reference.fit` takes."""
    frame = flights()
    parquet = tmp_path / "flights.parquet"
    frame.to_parquet(parquet)
    dictionary = tmp_path / "dictionary.parquet"
    frame.assign(carrier=frame["carrier"].astype("category")).to_parquet(dictionary)
    return {
        "pandas": frame,
        "pandas nullable": frame.astype({"wind": "Float64", "night": "boolean", "carrier": "string"}),
        "pandas category": frame.assign(carrier=frame["carrier"].astype("category")),
        "polars": pl.from_pandas(frame),
        "polars categorical": pl.from_pandas(frame).with_columns(pl.col("carrier").cast(pl.Categorical)),
        "arrays": {name: frame[name].to_numpy() for name in frame},
        "lists": {name: frame[name].tolist() for name in frame},
        "parquet": parquet,
        "parquet dictionary": str(dictionary),
    }
