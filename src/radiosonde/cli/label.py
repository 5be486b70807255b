"""``radiosonde label FILE``: load labels from a CSV or Parquet file into the join store.

Unreadable rows are counted by reason and skipped; the rest is received in chunks, each durable when the next begins. An interrupted run can
simply be repeated: labels received already count once.

Each chunk is looked up before it is received, so that systematic mistakes of a file are reported at once: ids without a prediction, values
that cannot be compared with their model's, classes with another spelling. A file without any known id ends with a separate exit code,
`UNMET`: its labels wait like all others, and the file, column or store is most likely wrong.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from radiosonde._clock import wall_ns
from radiosonde._guard import Guard
from radiosonde._join.incoming import LabelReader, Refusal
from radiosonde._join.opening import open_join_store
from radiosonde._join.preview import Preview
from radiosonde._labels.label_queue import LabelQueue
from radiosonde._pipeline.forgiving import report_problems
from radiosonde._receipt_keys import ReceiptKeys
from radiosonde._settings import Settings
from radiosonde.cli._label_report import invalid_sentence, sentences, unmet_sentence
from radiosonde.cli._label_rows import BATCH_ROWS, ColumnChoice, FileFormat, Progress, Row, read_rows
from radiosonde.cli._terminal import progress_bar, require_rich
from radiosonde.errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    import argparse

    from radiosonde._join.store import Label
    from radiosonde.cli import Subparsers

UNMET: Final = 3
"""The exit code if no label will count: the file has no rows, no id is known to the join store, or no value is valid."""

UNREADABLE = "unreadable"
"""Reason for a row that the file's reader could not parse."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command ``label``."""
    summary = "load labels from a CSV or Parquet file"
    parser = subparsers.add_parser(
        "label",
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}: a column of prediction ids, of your own ids or of receipts, a column "
        "of labels, and, if there is one, a column of the times when they became known (ISO 8601, or seconds since the epoch).",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="CSV with a header (plain, .gz, .bz2, .xz), or Parquet")
    parser.add_argument("--id-column", metavar="NAME", help="default: the first of id, receipt, prediction_id")
    parser.add_argument("--label-column", default="label", metavar="NAME", help="default: %(default)s")
    parser.add_argument("--time-column", metavar="NAME", help="default: time, if there is one; else now")
    parser.add_argument(
        "--label-type", choices=("auto", "text", "number"), default="auto",
        help="auto, text: compare labels with the classes of the model; number: reject other values (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--decimal", choices=(".", ","), default=".", help="decimal separator of a CSV file (default: %(default)s)"
    )
    parser.add_argument(
        "--delimiter", metavar="CHAR", help="field delimiter of a CSV file (default: detected from its header)"
    )
    parser.add_argument(
        "--encoding", metavar="NAME", help="encoding of a CSV file (default: from its byte order mark, else utf-8)"
    )
    parser.add_argument(
        "--utc", action="store_true", help="read times without a time zone as UTC instead of rejecting them"
    )
    parser.add_argument(
        "--to", metavar="PATH|redis://...",
        help="join store (default: RADIOSONDE_LABELS, else the file beside RADIOSONDE_STORE)",
    )  # fmt: skip
    parser.add_argument(
        "--create",
        action="store_true",
        help="create the join store if it does not exist, to load labels before predictions",
    )
    parser.add_argument("--strict", action="store_true", help="stop at the first row that cannot be read")


class Intake(Protocol):
    """Accepts labels."""

    def preview(self, labels: Sequence[Label], into: Preview, /) -> None:
        """Add the expected results of labels to *into*. Raises `StoreError` if they cannot be determined."""

    def receive(self, labels: Sequence[Label], /) -> object:
        """Store labels durably. Raises `StoreError` on failure."""

    def close(self) -> None:
        """Do nothing."""


def run(args: argparse.Namespace) -> int:
    """Load the file into the join store that the arguments or the environment name, and return the exit code.

    Raises:
        ConfigurationError: the file cannot be read, no store is named, a row is refused with ``--strict``, or all are.
        StoreError: the store cannot be opened, or not take the labels.
    """
    settings = Settings.resolve()
    report_problems(settings, Guard())
    keys = ReceiptKeys.parse(settings.receipt_keys) if settings.receipt_keys else None

    def open_label_queue(target: str) -> LabelQueue:
        if "://" not in target and not args.create and not Path(target).exists():
            raise ConfigurationError(
                f"the join store {target} does not exist; pass the path that the model server has in RADIOSONDE_LABELS "
                "(or beside its RADIOSONDE_STORE) as --to, or pass --create if it has not started yet"
            )
        if "://" not in target and Path(target).is_dir():
            raise ConfigurationError(
                f"{target} is a folder; pass the file of the join store in it as --to, such as "
                f"{Path(target) / 'radiosonde.labels.sqlite'}"
            )
        label_queue = LabelQueue(
            Guard(), lambda: open_join_store(target), keys, is_durable=True, id_key=settings.id_key
        )
        try:
            label_queue.open()
        except StoreError as error:
            beside = Path(target).with_name(f"{Path(target).stem}.labels{Path(target).suffix}")
            if "://" in target or not beside.exists():
                raise
            raise StoreError(f"{error}; the join store is a file beside the store: --to {beside}") from error
        return label_queue

    return load(args, open_label_queue, settings)


def load(args: argparse.Namespace, open_store: Callable[[str], Intake], settings: Settings) -> int:
    """Load the file that *args* names and return the exit code.

    Args:
        args: of this command's parser.
        open_store: opens the join store at a path or address.
        settings: path of the store, and the keys of receipts.

    Raises:
        ConfigurationError: the file cannot be read, no store is named, a row is refused with ``--strict``, or all are.
        StoreError: the store cannot be opened, or not take the labels.
    """
    target = args.to or settings.join_target
    if target is None:
        raise ConfigurationError(
            "no join store is configured; pass --to PATH, or set RADIOSONDE_LABELS or RADIOSONDE_STORE to the values of the "
            "model server"
        )
    keys = ReceiptKeys.parse(settings.receipt_keys) if settings.receipt_keys else None
    reader = LabelReader(keys, naive_utc=args.utc)
    columns = ColumnChoice(args.id_column, args.label_column, args.time_column)
    loading = _Loading(reader, is_strict=args.strict)
    with ExitStack() as ends:
        progress = ends.enter_context(_progress(f"reading {args.file.name}"))
        reading = FileFormat(args.encoding, args.delimiter, args.decimal, args.label_type == "number")
        rows = ends.enter_context(closing(read_rows(args.file, columns, progress, reading)))
        first = next(rows, None)  # an unreadable file is reported before a store is created for it
        store = ends.enter_context(closing(open_store(target)))
        loading.run(first, rows, store)
    return loading.conclude(args.file, target)


def _progress(title: str) -> AbstractContextManager[Progress | None]:
    try:
        require_rich()
    except ConfigurationError:
        return nullcontext()  # a server that only loads labels need not have it
    return progress_bar(title)


class _Loading:
    """One run, with the numbers of received and rejected labels."""

    def __init__(self, reader: LabelReader, *, is_strict: bool) -> None:
        self._reader = reader
        self._is_strict = is_strict
        self._received = 0
        self._last_ns = 0
        self._preview = Preview()
        self._refused: Counter[str] = Counter()
        self._examples: dict[str, str] = {}

    def run(self, first: Row | None, rows: Iterator[Row], store: Intake) -> None:
        """Receive all rows, in chunks."""
        chunk: list[Label] = []
        row = first
        while row is not None:
            # Without times of their own, of two rows for one prediction the later wins.
            self._last_ns = max(self._last_ns + 1, wall_ns())
            label = self._read(row, self._last_ns)
            if label is not None:
                chunk.append(label)
            if len(chunk) == BATCH_ROWS:
                self._receive(chunk, store)
                chunk = []
            row = next(rows, None)
        self._receive(chunk, store)

    def _read(self, row: Row, now_ns: int) -> Label | None:
        found: Label | Refusal = Refusal(UNREADABLE, row.fault)
        if not row.fault:
            found = self._reader.read(row.identity, row.label, row.time, now_ns)
        if not isinstance(found, Refusal):
            return found
        sentence = f"{row.place}: {found.message}"
        if self._is_strict:
            raise ConfigurationError(f"{sentence} ({found.reason}); {self._so_far()}")
        self._refused[found.reason] += 1
        self._examples.setdefault(found.reason, sentence)
        return None

    def _receive(self, chunk: list[Label], store: Intake) -> None:
        if not chunk:
            return
        try:
            store.preview(chunk, self._preview)
            if self._is_strict and self._preview.invalid:
                raise ConfigurationError(f"{invalid_sentence(self._preview)}; {self._so_far()}")
            store.receive(chunk)
        except StoreError as error:
            raise StoreError(f"{error}; {self._so_far()}") from error
        self._received += len(chunk)

    def _so_far(self) -> str:
        return f"{self._received:,} labels were received before; run it again, received labels count once"

    def conclude(self, file: Path, target: str) -> int:
        """Print the summary and return the exit code.

        Raises:
            ConfigurationError: every row was refused.
        """
        refused = self._refused.total()
        if refused and not self._received:
            reason, sentence = next(iter(self._examples.items()))
            raise ConfigurationError(f"none of the {refused:,} rows of {file} is a valid label; {sentence} ({reason})")
        place = _without_password(target)
        print(f"{file}: {self._received:,} labels received into {place}")
        if refused:
            print(f"{refused:,} rows rejected:")
            for reason, count in self._refused.most_common():
                print(f"  {count:>9,} {reason:<20} first {self._examples[reason]}")
        for sentence in sentences(self._preview):
            print(sentence)
        if not self._received:
            print(f"radiosonde: {file} has no rows below its header; check what wrote it", file=sys.stderr)
            return UNMET
        if self._preview.met > self._preview.invalid.total():
            return 0
        if not self._preview.met:
            print(unmet_sentence(file, self._received, place), file=sys.stderr)
        return UNMET


def _without_password(target: str) -> str:
    from urllib.parse import urlsplit

    if "://" not in target:
        return target
    parts = urlsplit(target)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
