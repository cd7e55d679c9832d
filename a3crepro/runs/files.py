"""Files that are never half-written: whole rows are appended, other files are written aside and renamed."""

import contextlib
import csv
import errno
import io
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from a3crepro.common.errors import RunError


class DamagedFile(RunError):
    """A file does not hold what was written to it."""


class FileError(OSError):
    """An `OSError` whose message says what was tried with which file."""

    def __str__(self) -> str:
        return str(self.strerror)


@contextlib.contextmanager
def trying(what: str, path: Path) -> Iterator[None]:
    """Makes an `OSError` a `FileError`, e.g. "cannot `what` runs/x/checkpoint.npz: No space left on device"."""
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        raise FileError(error.errno, f"cannot {what} {path}: {error.strerror or error}") from error


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Writes a temporary file, flushes it to the disk and renames it; a failure leaves the old file as it was."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with trying("write", path):
            with open(temporary, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically."""
    write_atomically(path, lambda file: file.write(text.encode()))


def read_json(path: Path, is_valid: Callable[[Any], bool], remedy: str) -> Any:
    """Reads a JSON file; a `DamagedFile` with the remedy if it is none, or not valid."""
    with trying("read", path):
        data = path.read_bytes()
    try:
        found = json.loads(data)
        if not is_valid(found):
            raise ValueError("unexpected content")
    except ValueError as error:
        raise DamagedFile(f"{path} is damaged ({error}); {remedy}") from error
    return found


class Table:
    """A CSV file to which whole rows are appended; the first column is the frame count."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        self.path, self.columns = path, columns
        self._header = (",".join(columns) + "\n").encode()
        if not path.exists():
            write_atomically(path, lambda file: file.write(self._header))
        self._open()

    def _open(self) -> None:
        with trying("write", self.path):
            self._file = open(self.path, "ab", buffering=0)
            self.rows = max(0, self.path.read_bytes().count(b"\n") - 1)

    def append(self, row: Mapping[str, Any]) -> None:
        """Appends a row; if the disk is full, no part of it stays."""
        line = io.StringIO()
        csv.DictWriter(line, self.columns, lineterminator="\n").writerow(row)
        data = line.getvalue().encode()
        with trying("write", self.path):
            size = os.fstat(self._file.fileno()).st_size
            try:
                if self._file.write(data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                os.ftruncate(self._file.fileno(), size)
                raise
        self.rows += 1

    def truncate(self, rows: int, frames: float = math.inf) -> int:
        """Keeps the first `rows` rows, without incomplete ones, and returns how many of them are missing.

        If the header is missing, it is restored, and rows past `frames` are dropped.
        """
        lines = self.path.read_bytes().splitlines(keepends=True)
        if lines and self._is_row(lines[0]):
            kept = [line for line in lines if self._is_row(line) and int(line.split(b",")[0]) <= frames][:rows]
        else:
            kept = [line for line in lines[1 : rows + 1] if self._is_row(line)]
        if [self._header, *kept] != lines:
            self.close()
            write_atomically(self.path, lambda file: file.write(b"".join([self._header, *kept])))
            self._open()
        return rows - len(kept)

    def _is_row(self, line: bytes) -> bool:
        cells = line.split(b",")
        return line.endswith(b"\n") and len(cells) == len(self.columns) and cells[0].isdigit()

    def sync(self) -> None:
        """Flushes all rows to the disk."""
        with trying("write", self.path):
            os.fsync(self._file.fileno())

    def last_frames(self) -> int:
        """The frames of the last row; 0 without rows."""
        return int(self.path.read_bytes().splitlines()[-1].split(b",", 1)[0]) if self.rows else 0

    def close(self) -> None:
        self._file.close()
