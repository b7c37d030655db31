"""The rows of CSV text that others wrote: any line ends, no NUL, no error of the csv module."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator


def csv_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """The number of the line where it begins, and the cells, of each row that is not blank.

    NUL, which the csv module refuses, is dropped.

    Raises:
        ValueError: a row is no CSV, which is usually a quote that never closes; names the line.
    """
    reader = csv.reader(io.StringIO(text.replace("\0", ""), newline=""))
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # a field of more than 128 KiB
            raise ValueError(f"line {line} cannot be read as CSV ({error})") from error
        if any(cell.strip() for cell in row):
            yield line, row
