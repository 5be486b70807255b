"""What ``radiosonde label`` says about labels that were received: which of them will not count as their file means them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from radiosonde._join.preview import Preview

_SHOWN = 5


def sentences(preview: Preview) -> Iterator[str]:
    """Yield a sentence for everything that a person should know."""
    unknown = preview.labels - preview.met
    if preview.met and unknown:
        yield (
            f"{preview.met:,} of them meet a prediction; {unknown:,} have an id that is not known, or not yet: they wait an hour "
            "for their prediction, then count as unknown"
        )
    if preview.invalid:
        yield invalid_sentence(preview)
    yield from _strays(preview)


def unmet_sentence(file: Path, labels: int, place: str) -> str:
    """Return what to do when no label meets a prediction."""
    return (
        f"radiosonde: none of the {labels:,} ids of {file} is that of a prediction in {place}; they wait an hour for it. Check "
        "that the column holds prediction ids, receipts, or the ids given to observe(..., id=), and that the model server uses "
        "this store"
    )


def invalid_sentence(preview: Preview) -> str:
    """Return which labels cannot be compared with the answers of their predictions, and what to do."""
    parts = []
    for model in sorted({model for model, _ in preview.invalid}):
        counts = Counter({value: count for (name, value), count in preview.invalid.items() if name == model})
        known = preview.classes.get(model)
        answers = f"answers the classes {_list(known)}" if known else "answers numbers"
        parts.append(f"{_list(counts)} where model {model!r} {answers}")
    values = [value for _, value in preview.invalid]
    advice = "leave unlabelled rows out"
    if any("," in value for value in values):
        advice += ", and pass --decimal , if commas are decimal marks"
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
            f"{name!r} ({count:,}{f'; its own is {alike[name]!r}' if name in alike else ''})"
            for name, count in counts.most_common(_SHOWN)
        )
        more = ", ..." if len(counts) > _SHOWN else ""
        verdict = "each counts as a wrong answer"
        if counts.total() == labelled:
            verdict = "so every one of its labelled answers counts as wrong"
        yield (
            f"{counts.total():,} of the {labelled:,} labels of model {model!r} are classes that it never answers: {said}"
            f"{more}; it answers {_list(known)}. {verdict[0].upper()}{verdict[1:]}: write labels as the model does"
            " (docs/labels.md says what equals what)"
        )


def _nearest(name: str, known: dict[str, None]) -> str | None:
    """Return the class that *name* is probably another way of writing."""
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
