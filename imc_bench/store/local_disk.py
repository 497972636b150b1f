"""Where a store may lie: on a disk of this machine.

SQLite's journal (WAL) shares memory between the processes that have a file open, which no network
disk offers between machines, and the locks of many do not hold: two machines that write one store
would damage it.
"""

from __future__ import annotations

import re
from pathlib import Path

from imc_bench.errors import StoreRefused

MOUNTS = Path("/proc/self/mountinfo")
"""Linux's table of mounts (`man 5 proc`); other systems have none, and nothing is refused there."""
NETWORK = frozenset(
    "9p acfs afs beegfs ceph cifs coda fhgfs fuse gfs2 glusterfs gpfs lustre ncpfs nfs nfs4 ocfs2 "
    "orangefs panfs pvfs2 smb2 smb3 smbfs vboxsf wekafs".split()
)
"""Types of file systems that several machines may have mounted; `fuse.*` counts as `fuse`."""
LOCAL_FUSE = frozenset(
    f"fuse.{name}"
    for name in "bindfs ecryptfs encfs fuse-overlayfs gocryptfs mergerfs ntfs-3g".split()
)
"""Those of `fuse.*` that show a disk of this machine, such as a container's."""


def check_local(path: Path, mounts: str | None = None) -> None:
    """Refuse a store whose folder is on a network disk.

    Args:
        path: of the store; its folder exists.
        mounts: text in the form of `/proc/self/mountinfo`; None: this machine's.

    Raises StoreRefused.
    """
    kind = file_system(path.parent, mounts)
    if kind not in LOCAL_FUSE and kind.partition(".")[0] in NETWORK:
        raise StoreRefused(
            f"{path}: its folder is on a network disk ({kind}), where SQLite's locks do not hold; "
            "give a folder of this machine's own disk as --out, and --ray to use several machines"
        )


def file_system(folder: Path, mounts: str | None = None) -> str:
    """The type of the file system that holds a folder; empty where that is not known."""
    if mounts is None:
        try:
            mounts = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return ""
    place, longest, kind = folder.resolve(), -1, ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, types = before.split(" "), after.split(" ")
        if len(fields) < 5 or not types[0]:
            continue
        mounted = Path(_unescaped(fields[4]))
        # of two mounts at one place the later one hides the earlier
        if place.is_relative_to(mounted) and len(mounted.parts) >= longest:
            longest, kind = len(mounted.parts), types[0]
    return kind


def _unescaped(field: str) -> str:
    r"""Spaces and the like are written `\040`."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)
