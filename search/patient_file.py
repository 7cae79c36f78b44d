"""A file for libraries that do not survive a full disk."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from typing import IO, Any


class PatientFile(io.RawIOBase):
    """A file that HDF5 writes to and that never fails it: the error is kept for `check`, and what is written after it
    in memory, to be read back until HDF5 has closed in good order.
    """

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file, self._place = file, 0
        self._error: OSError | None = None
        self._unwritten: list[tuple[int, bytes]] = []

    def check(self) -> None:
        """Raise the OSError that came up, if any."""
        if self._error is not None:
            raise self._error

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As a file's."""
        self._place = offset if whence == os.SEEK_SET else self._file.seek(offset, whence)
        return self._place

    def tell(self) -> int:
        """As a file's."""
        return self._place

    def write(self, data: Any) -> int:
        """As a file's; all of it."""
        part = bytes(data)
        try:
            written = 0
            while self._error is None and written < len(part):
                written += os.pwrite(self._file.fileno(), part[written:], self._place + written)
        except OSError as error:
            self._error = error
        if self._error is not None:
            self._unwritten.append((self._place, part))
        self._place += len(part)
        return len(part)

    def readinto(self, buffer: Any) -> int:
        """As a file's; zeros beyond its end."""
        found = bytearray(len(buffer))
        with suppress(OSError):
            part = os.pread(self._file.fileno(), len(buffer), self._place)
            found[: len(part)] = part
        for start, data in self._unwritten:
            low, high = max(start, self._place), min(start + len(data), self._place + len(found))
            if low < high:
                found[low - self._place : high - self._place] = data[low - start : high - start]
        buffer[:] = found
        self._place += len(found)
        return len(found)

    def truncate(self, size: int | None = None) -> int:
        """As a file's."""
        size = self._place if size is None else size
        try:
            os.ftruncate(self._file.fileno(), size)
        except OSError as error:
            self._error = self._error or error
        return size
