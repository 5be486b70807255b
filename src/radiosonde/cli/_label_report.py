"""Messages of ``radiosonde label`` about received labels that will not count as intended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from radiosonde._join.preview import Preview

_SHOWN = 5


def sentences(preview: Preview) -> Iterator[str]:
    """Yield one sentence per unusual result."""
    unknown = preview.labels - preview.met
    if preview.met and unknown:
        yield (
            f"{preview.met:,} of them match a prediction; {unknown:,} have an unknown id: they wait an hour "
            "for their prediction, then count as unknown"
        )
    if preview.invalid:
        yield invalid_sentence(preview)
    yield from _strays(preview)


def unmet_sentence(file: Path, labels: int, place: str) -> str:
    """Return the message for a file in which no label matches a prediction."""
    return (
        f"radiosonde: none of the {labels:,} ids of {file} matches a prediction in {place}; they wait an hour for it. Check "
        "that the column contains prediction ids, receipts, or the ids passed to observe(..., id=), and that the model server "
        "uses this store"
    )


def invalid_sentence(preview: Preview) -> str:
    """Report labels that cannot be compared with their predictions, and what to do."""
    parts = []
    for model in sorted({model for model, _ in preview.invalid}):
        counts = Counter({value: count for (name, value), count in preview.invalid.items() if name == model})
        known = preview.classes.get(model)
        answers = f"predicts the classes {_list(known)}" if known else "predicts numbers"
        parts.append(f"{_list(counts)} where model {model!r} {answers}")
    values = [value for _, value in preview.invalid]
    advice = "remove unlabelled rows"
    if any("," in value for value in values):
        advice += ", and pass --decimal , if commas are decimal separators"
    total = preview.invalid.total()
    verb = "label is" if total == 1 else "labels are"
    return f"{total:,} {verb} invalid, and {'counts' if total == 1 else 'count'} as such: {'; '.join(parts)}; {advice}"


def _strays(preview: Preview) -> Iterator[str]:
    strays = preview.strays
    for model in sorted({model for model, _ in strays}):
        counts = Counter({name: count for (owner, name), count in strays.items() if owner == model})
        known = preview.classes[model]
        labelled = sum(count for (owner, _), count in preview.named.items() if owner == model)
        alike = {name: nearest for name in counts if (nearest := _nearest(name, known))}
        said = ", ".join(
            f"{name!r} ({count:,}{f'; did you mean {alike[name]!r}?' if name in alike else ''})"
            for name, count in counts.most_common(_SHOWN)
        )
        more = ", ..." if len(counts) > _SHOWN else ""
        verdict = "each counts as incorrect"
        if counts.total() == labelled:
            verdict = "so all of its labelled predictions count as incorrect"
        yield (
            f"{counts.total():,} of the {labelled:,} labels of model {model!r} are classes that it never predicts: {said}"
            f"{more}; it predicts {_list(known)}. {verdict[0].upper()}{verdict[1:]}: write labels as the model does"
            " (docs/labels.md defines how labels are compared)"
        )


def _nearest(name: str, known: dict[str, None]) -> str | None:
    """Return the class that *name* is probably a variant spelling of."""
    folded = {"".join(filter(str.isalnum, other.casefold())): other for other in known}
    plain = "".join(filter(str.isalnum, name.casefold()))
    if plain in folded:
        return folded[plain]
    close = get_close_matches(plain, folded, n=1, cutoff=0.8) if len(plain) > 3 else []
    return folded[close[0]] if close else None


def _list(names: Counter[str] | dict[str, None]) -> str:
    if isinstance(names, Counter):
        shown = [f"{name!r} ({count:,})" for name, count in names.most_common(_SHOWN)]
    else:
        shown = [repr(name) for name in list(names)[:_SHOWN]]
    return ", ".join(shown) + (", ..." if len(names) > _SHOWN else "")
