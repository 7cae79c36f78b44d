"""A small disk for a run folder, which can be filled, or fail so that the system makes it read-only. Needs root."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

_SIZE = 96 << 20
_BLOCK = 4096


@dataclass(frozen=True)
class SmallDisk:
    """An ext4 file system in a file.

    Attributes
    ----------
    folder : where it is mounted. image : the file.
    """

    folder: Path
    image: Path

    def fill(self, rng: Random) -> str:
        """Leave a few blocks at most; say how much."""
        left = rng.choice((0, 0, rng.randrange(16 * _BLOCK)))
        with (self.folder / "filler").open("ab", buffering=0) as filler:
            piece = bytes(1 << 20)
            while piece:
                try:
                    filler.write(piece)
                except OSError:
                    piece = piece[: len(piece) // 2]
            filler.truncate(max(0, filler.tell() - left))
            os.fsync(filler.fileno())
        return f"{left} bytes left"

    def fail(self) -> str:
        """Have the file system find an error in itself: the kernel makes it read-only at once, open files and all."""
        source = _run("findmnt", "-no", "SOURCE", str(self.folder)).strip()
        Path(f"/sys/fs/ext4/{Path(source).name}/trigger_fs_error").write_text("1")
        return "read-only"

    def mend(self) -> None:
        """Make room and make it writable again; nothing may use it."""
        self.unmount()
        subprocess.run(["fsck.ext4", "-fy", str(self.image)], capture_output=True, check=False)
        self._mount()
        (self.folder / "filler").unlink(missing_ok=True)

    def unmount(self) -> None:
        """Wait, too, for processes that are no more to be seen and have not closed their files yet."""
        end = time.monotonic() + 120
        while True:
            try:
                _run("umount", str(self.folder))
                return
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def _mount(self) -> None:
        _run("mount", "-o", "loop,errors=remount-ro", str(self.image), str(self.folder))


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """A disk mounted at the folder `folder`/disk while the block runs.

    Raises
    ------
    OSError : it cannot be mounted: not root, or no loop devices.
    """
    image, mounted = folder / "disk.img", folder / "disk"
    mounted.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(_SIZE)
    _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
    disk = SmallDisk(mounted, image)
    disk._mount()
    try:
        yield disk
    finally:
        disk.unmount()
        image.unlink()


def can_break_disks() -> bool:
    """Whether `small_disk` works here."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("mkfs.ext4", "fsck.ext4", "mount", "findmnt"))):
        return False
    try:
        with TemporaryDirectory() as folder, small_disk(Path(folder)) as disk:
            disk.fail()
            return True
    except OSError:
        return False


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
