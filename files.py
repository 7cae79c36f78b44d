"""Files written whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import tempfile
import time
from contextlib import suppress
from pathlib import Path

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""What a full or failing disk says: nothing that was asked for is wrong."""
_LEFT_OVER = re.compile(r"\..+\.[a-z0-9_]{8}")
_LONG_AGO = 3600.0


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a whole file so that a reader, or a kill, sees the old one or the new one and nothing between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Remove what `write_atomic` left in a folder where it was killed, an hour ago or longer."""
    for path in folder.glob(".*"):
        with suppress(OSError):
            if _LEFT_OVER.fullmatch(path.name) and path.is_file() and path.stat().st_mtime < time.time() - _LONG_AGO:
                path.unlink()
