"""PyTorch observed by one line: a small network that classifies wines, and a laboratory that changes its unit.

Rows that sum to one are read as probabilities. Of a network that answers with logits only its user knows that they are:
`rs.tag(net, task="classification", classes=[...])`.
"""

import tempfile
from collections import Counter
from pathlib import Path

import torch
from sklearn.datasets import load_wine

import radiosonde as rs
from radiosonde.sources import open_source

wines = load_wine()
rows, kinds = torch.tensor(wines.data, dtype=torch.float32), torch.tensor(wines.target)

folder = Path(tempfile.mkdtemp())
columns = {f"f{place}": column for place, column in enumerate(rows.numpy().T)}
rs.Reference.fit(columns, model="Sequential").save(folder / "wines.reference.json")
rs.start(store=folder / "store.db", references={"*": folder / "wines.reference.json"}, prometheus=False)
rs.instrument("torch")  # the one line; under `opentelemetry-instrument python serve.py` not even that

torch.manual_seed(7)
net = torch.nn.Sequential(torch.nn.BatchNorm1d(13, momentum=None), torch.nn.Linear(13, 3), torch.nn.Softmax(dim=1))
optimiser = torch.optim.Adam(net.parameters(), lr=0.1)
for _ in range(100):  # calls in training mode are no predictions
    optimiser.zero_grad()
    torch.nn.functional.nll_loss(net(rows).log(), kinds).backward()
    optimiser.step()
net.eval()
with torch.no_grad():
    said = torch.cat([net(rows[at : at + 1]) for at in range(100)])
    rows[100:, 0] /= 100  # alcohol as a share, where the network learnt per cent
    said = torch.cat([said, net(rows[100:])])

rs.shutdown()
windows = open_source([folder / "store.db"]).windows()
answers = Counter()
for window in windows:
    answers.update(dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True)))
(key,) = {(window.key.model, window.key.version) for window in windows}
print(f"{key[0]} {key[1]}: {sum(window.calls for window in windows)} calls, answers {dict(answers)}")
cells = sum(window.features.cells for window in windows)
for name, row in zip(("f0", "f1"), cells[:2].tolist(), strict=True):
    print(f"{name} bins {row[:-4]}, below above null unseen {row[-4:]}")

assert answers == Counter(str(kind) for kind in said.argmax(dim=1).tolist())
assert cells[0][-4] == 78
