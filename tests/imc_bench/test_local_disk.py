"""A store lies on a disk of this machine, which a table of mounts says."""

from __future__ import annotations

from pathlib import Path

import pytest

from imc_bench.errors import StoreRefused
from imc_bench.store import local_disk
from imc_bench.store.local_disk import check_local, file_system
from imc_bench.store.result_store import Store
from tests.imc_bench.small_store import IDENTITY, NEW

TABLE = "\n".join(
    [
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
        "30 22 0:40 / /share rw,relatime shared:2 - nfs4 server:/export rw,vers=4.2",
        "31 30 8:2 / /share/scratch rw - xfs /dev/sdb1 rw",
        r"32 22 0:41 / /my\040windows rw - cifs //server/folder rw",
        "33 22 0:42 / /remote rw - fuse.sshfs me@server:/home rw",
        "37 22 0:45 / /container rw - fuse.fuse-overlayfs fuse-overlayfs rw",
        "34 22 8:3 / /usb rw - fuseblk /dev/sdc1 rw",
        "35 22 0:43 / /twice rw - ext4 /dev/sdd1 rw",
        "36 35 0:44 / /twice rw - lustre 10.0.0.1@tcp:/fs rw",
        "a line that says nothing",
    ]
)


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/me", "ext4"),
        ("/share", "nfs4"),
        ("/share/runs/deep", "nfs4"),
        ("/share/scratch/runs", "xfs"),
        ("/shared-by-name-alone", "ext4"),
        ("/my windows/runs", "cifs"),
        ("/remote", "fuse.sshfs"),
        ("/usb", "fuseblk"),
        ("/twice", "lustre"),
    ],
)
def test_a_folder_is_on_the_innermost_and_last_of_the_mounts_above_it(
    folder: str, kind: str
) -> None:
    assert file_system(Path(folder), TABLE) == kind


@pytest.mark.parametrize("folder", ["/share", "/my windows", "/remote", "/twice"])
def test_a_network_disk_is_refused_with_the_remedy(folder: str) -> None:
    with pytest.raises(StoreRefused, match="network disk.*--ray") as refused:
        check_local(Path(folder) / "run.db", TABLE)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("folder", ["/", "/usb", "/share/scratch", "/container"])
def test_a_disk_of_this_machine_is_not(folder: str) -> None:
    check_local(Path(folder) / "run.db", TABLE)
    check_local(Path(folder) / "run.db", "")  # a system that has no such table


def test_a_store_is_not_even_made_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(f"1 0 0:1 / / rw - ext4 /dev/sda rw\n2 1 0:2 / {tmp_path} rw - nfs a:/b rw\n")
    monkeypatch.setattr(local_disk, "MOUNTS", table)
    with pytest.raises(StoreRefused, match="network disk"):
        Store.open(tmp_path / "run.db", IDENTITY, NEW)
    assert not (tmp_path / "run.db").exists()
