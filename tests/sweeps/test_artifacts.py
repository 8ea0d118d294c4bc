"""Files arrive in pieces and count only when they are whole; whatever happens, there is the old one or the new one."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from depot import STUDY, Depot, last, noise, read, send, sha256
from desk import small_disk

from results.artifacts import ArtifactIndex
from results.errors import NotFoundError
from runner.errors import UserError
from runner.paths import TrialPaths
from runner.wire.transfer import CHECKPOINTS, largest
from sweeps.access import artifact_store
from sweeps.artifacts import Artifacts, Place, UnknownArtifactError, open_backend
from sweeps.artifacts.backends import Folder
from sweeps.artifacts.errors import NoRoomError, TooLargeError, WrongContentError, WrongOffsetError
from sweeps.artifacts.quota import Quota
from sweeps.artifacts.spool import STALE_SECONDS, Partial

pytestmark = pytest.mark.usefixtures("patient")

OLD, NEW = noise(3_000_001, 1), noise(5_000_003, 2)


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    return Depot(tmp_path)


@pytest.fixture
def artifacts(depot: Depot) -> Iterator[Artifacts]:
    with depot.open() as opened:
        yield opened


# in pieces


def test_a_file_counts_only_when_it_is_whole(artifacts: Artifacts, depot: Depot) -> None:
    digest = sha256(NEW)
    assert artifacts.begin(last(), len(NEW), digest).offset == 0
    for start in range(0, len(NEW), 2**20):
        with pytest.raises(UnknownArtifactError):
            artifacts.find(last())
        assert depot.objects() == set(), "no part of it is in the artifact store"
        standing = artifacts.put(last(), len(NEW), digest, start, NEW[start : start + 2**20])
    assert standing.done
    found = artifacts.find(last())
    assert (found.study, found.trial, found.name, found.size, found.sha256) == (STUDY, 0, "last.pth", len(NEW), digest)
    assert depot.objects() == {found.artifact_id}
    assert read(artifacts, last()) == NEW
    assert read(artifacts, last(), 4_999_999) == NEW[4_999_999:]
    assert depot.partials() == []


def test_an_empty_file_is_a_file(artifacts: Artifacts) -> None:
    assert artifacts.begin(last(0, "train.log"), 0, sha256(b"")).done
    assert read(artifacts, last(0, "train.log")) == b""


def test_what_is_there_already_need_not_travel(artifacts: Artifacts, depot: Depot) -> None:
    first = send(artifacts, last(), NEW)
    standing = artifacts.begin(last(), len(NEW), sha256(NEW))
    assert (standing.done, standing.offset) == (True, len(NEW))
    assert artifacts.find(last()) == first and depot.partials() == []


def test_bytes_that_are_not_the_next_ones_are_refused_and_the_right_place_told(artifacts: Artifacts) -> None:
    digest = sha256(NEW)
    artifacts.begin(last(), len(NEW), digest)
    artifacts.put(last(), len(NEW), digest, 0, NEW[:1000])
    for offset in (0, 999, 1001, len(NEW)):
        with pytest.raises(WrongOffsetError) as refused:
            artifacts.put(last(), len(NEW), digest, offset, NEW[offset:][:1000])
        assert refused.value.offset == 1000
    assert artifacts.put(last(1), len(NEW), digest, 0, NEW[:10]).offset == 10, "it need not have been announced"
    with pytest.raises(TooLargeError, match=r"5,000,003 bytes were announced, 5,000,004 are sent"):
        artifacts.put(last(), len(NEW), digest, 1000, NEW[1000:] + b"x")
    artifacts.put(last(), len(NEW), digest, 1000, NEW[1000:])
    assert read(artifacts, last()) == NEW


def test_a_wrong_content_is_thrown_away_and_the_old_one_stays(artifacts: Artifacts, depot: Depot) -> None:
    old = send(artifacts, last(), OLD)
    artifacts.begin(last(), len(NEW), sha256(NEW))
    flipped = NEW[:-1] + bytes([NEW[-1] ^ 1])
    with pytest.raises(WrongContentError, match=r"last.pth: what arrived has another SHA-256"):
        artifacts.put(last(), len(NEW), sha256(NEW), 0, flipped)
    assert artifacts.find(last()) == old and read(artifacts, last()) == OLD
    assert depot.objects() == {old.artifact_id} and depot.partials() == []
    assert artifacts.begin(last(), len(NEW), sha256(NEW)).offset == 0, "it may be sent again"


def test_a_new_content_replaces_the_old_one_which_is_deleted_afterwards(artifacts: Artifacts, depot: Depot) -> None:
    old = send(artifacts, last(), OLD)
    with contextlib.closing(artifacts.open(old)) as reader:
        start = reader.read(1000)
        new = send(artifacts, last(), NEW)
        assert start + reader.read() == OLD, "who reads it reads on"
    assert new.artifact_id != old.artifact_id
    assert depot.objects() == {new.artifact_id}
    assert artifacts.index.loose() == []
    with pytest.raises(UnknownArtifactError):
        artifacts.open(old)


def test_a_newer_content_takes_the_place_of_one_on_its_way(artifacts: Artifacts, depot: Depot) -> None:
    artifacts.begin(last(), len(OLD), sha256(OLD))
    artifacts.put(last(), len(OLD), sha256(OLD), 0, OLD[:500_000])
    artifacts.begin(last(), len(NEW), sha256(NEW))
    with pytest.raises(WrongOffsetError):
        artifacts.put(last(), len(OLD), sha256(OLD), 500_000, OLD[500_000:])
    artifacts.put(last(), len(NEW), sha256(NEW), 0, NEW)
    assert read(artifacts, last()) == NEW and depot.partials() == []


def test_files_of_several_trials_arrive_at_once(artifacts: Artifacts, depot: Depot) -> None:
    contents = {(trial, name): noise(2_000_000 + trial, hash(name) % 1000 + trial) for trial in range(4)
                for name in ("last.pth", "best.pth", "train.log")}  # fmt: skip
    threads = [
        threading.Thread(target=send, args=(artifacts, last(trial, name), data, 100_000))
        for (trial, name), data in contents.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for (trial, name), data in contents.items():
        assert read(artifacts, last(trial, name)) == data
    assert len(depot.objects()) == len(contents) and depot.partials() == []


def test_two_that_send_the_same_file_at_once_do_not_mix_it_up(artifacts: Artifacts, depot: Depot) -> None:
    def insisting() -> None:
        while True:
            with contextlib.suppress(WrongOffsetError):
                send(artifacts, last(), NEW, 50_000)
                return

    threads = [threading.Thread(target=insisting) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert read(artifacts, last()) == NEW
    assert len(depot.objects()) == 1


# names


def test_names_that_are_kept(artifacts: Artifacts) -> None:
    for name in ("config.py", "last.pth", "best.pth", "train.log", "curve.png", "A-1_b.png"):
        send(artifacts, last(0, name), name.encode())
        assert read(artifacts, last(0, name)) == name.encode()


BAD_NAMES = [
    "", ".", "..", "../last.pth", "/etc/passwd", "a/b.png", "a\\b.png", "..\\x.png", ".png", "..png", ".hidden.png",
    "x.PNG", "last.pth\0", "last.pth ", "last.pth\n", "curve.png\n", "LAST.PTH", "epoch_3.pth", "x" * 65 + ".png",
    "é.png", "CON", "%2e%2e%2flast.pth", "config.py/..", "last.pth.part", "~/x.png", "-rf.png",
]  # fmt: skip


def test_any_other_name_is_refused_and_leaves_no_trace(artifacts: Artifacts, depot: Depot) -> None:
    before = sorted(depot.folder.rglob("*"))
    for name in BAD_NAMES:
        with pytest.raises(UnknownArtifactError, match="no artifact is named"):
            artifacts.begin(last(0, name), 4, sha256(b"evil"))
        with pytest.raises(UnknownArtifactError, match="no artifact is named"):
            artifacts.put(last(0, name), len(b"evil"), sha256(b"evil"), 0, b"evil")
        with pytest.raises(UnknownArtifactError):
            artifacts.find(last(0, name))
        assert sorted(depot.folder.rglob("*")) == before, name


def test_the_names_are_those_of_a_trials_folder() -> None:
    paths = TrialPaths(Path("folder"))
    for path in (paths.config, paths.last, paths.best, paths.log):
        assert largest(path.name) is not None
    assert set(CHECKPOINTS) == {paths.last.name, paths.best.name}


def test_label_files_are_named_by_their_content(artifacts: Artifacts) -> None:
    labels = b'{"images": []}'
    send(artifacts, Place(STUDY, None, sha256(labels)), labels)
    assert read(artifacts, Place(STUDY, None, sha256(labels))) == labels
    for name in ("train.json", "last.pth", sha256(b"other"), "../" + sha256(labels)):
        with pytest.raises(UnknownArtifactError, match="named by the SHA-256"):
            artifacts.begin(Place(STUDY, None, name), len(labels), sha256(labels))
    with pytest.raises(UnknownArtifactError):
        artifacts.begin(Place(STUDY, 0, sha256(labels)), len(labels), sha256(labels))


def test_a_study_or_trial_that_does_not_exist(artifacts: Artifacts) -> None:
    for place in (Place("other", 0, "last.pth"), last(4), Place("other", None, sha256(b"x"))):
        with pytest.raises(NotFoundError):
            artifacts.begin(place, 1, sha256(b"x"))


def test_sizes_have_a_limit(artifacts: Artifacts) -> None:
    for name, size in (("config.py", 5 * 10**6), ("curve.png", 40 * 10**6), ("last.pth", 10**11)):
        with pytest.raises(TooLargeError, match=f"^{name} may have "):
            artifacts.begin(last(0, name), size, sha256(b""))


# whose lease it is


class LeaseGoneError(Exception):
    pass


@pytest.mark.parametrize("calls", [0, 1, 2, 3])
def test_who_has_lost_the_lease_changes_nothing(artifacts: Artifacts, depot: Depot, calls: int) -> None:
    """Lost before it is announced, before its bytes, while it is checked, just before it would count."""
    old = send(artifacts, last(), OLD)
    left = calls

    def still() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise LeaseGoneError

    with pytest.raises(LeaseGoneError):
        artifacts.begin(last(), len(NEW), sha256(NEW), still)
        artifacts.put(last(), len(NEW), sha256(NEW), 0, NEW, still)
        raise AssertionError
    assert artifacts.find(last()) == old and depot.objects() == {old.artifact_id}
    assert artifacts.index.loose() == []
    # the next holder's own file counts, from wherever the other's ended
    send(artifacts, last(), NEW)
    assert read(artifacts, last()) == NEW


# what survives


def test_a_restart_between_pieces_costs_nothing(depot: Depot) -> None:
    for start in range(0, len(NEW), 2_000_000):
        with depot.open() as artifacts:
            standing = artifacts.begin(last(), len(NEW), sha256(NEW))
            assert standing.offset == start
            standing = artifacts.put(last(), len(NEW), sha256(NEW), start, NEW[start : start + 2_000_000])
    assert standing.done
    with depot.open() as artifacts:
        assert read(artifacts, last()) == NEW


def test_stale_partial_files_are_swept_and_fresh_ones_kept(depot: Depot) -> None:
    with depot.open() as artifacts:
        for trial in (0, 1):
            artifacts.begin(last(trial), len(NEW), sha256(NEW))
            artifacts.put(last(trial), len(NEW), sha256(NEW), 0, NEW[: 1000 + trial])
    stale = next(path for path in depot.partials() if path.stat().st_size == 1000)
    long_ago = time.time() - STALE_SECONDS - 1
    os.utime(stale, (long_ago, long_ago))
    with depot.open() as artifacts:
        assert [path.stat().st_size for path in depot.partials()] == [1001]
        assert artifacts.begin(last(0), len(NEW), sha256(NEW)).offset == 0
        assert artifacts.begin(last(1), len(NEW), sha256(NEW)).offset == 1001


def _dying(kind: type, name: str, after: bool) -> None:
    """From now on this process is killed when it calls that method, before or after it did its work."""
    original = getattr(kind, name)

    def fatal(self: Any, *args: Any, **kwargs: Any) -> Any:
        if after:
            original(self, *args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(kind, name, fatal)


MOMENTS: list[tuple[type, str]] = [
    (Partial, "append"), (Partial, "whole"), (ArtifactIndex, "expect"), (Folder, "take"), (ArtifactIndex, "put"),
    (Quota, "remove_loose"), (Folder, "remove"), (ArtifactIndex, "gone"),
]  # fmt: skip


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("kind", "name"), MOMENTS, ids=[f"{kind.__name__}.{name}" for kind, name in MOMENTS])
def test_killed_at_any_moment_there_is_the_old_file_or_the_new_one(
    depot: Depot, kind: type, name: str, after: bool
) -> None:
    with depot.open() as artifacts:
        send(artifacts, last(), OLD)

    def server() -> None:
        with depot.open() as artifacts:
            _dying(kind, name, after)
            send(artifacts, last(), NEW)

    process = multiprocessing.get_context("fork").Process(target=server)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    with depot.open() as artifacts:
        found = artifacts.find(last())
        assert read(artifacts, last()) in (OLD, NEW)
        assert depot.objects() == {found.artifact_id}, "nothing is left behind"
        assert artifacts.index.loose() == []
        send(artifacts, last(), NEW)
        assert read(artifacts, last()) == NEW
        assert len(depot.objects()) == 1 and depot.partials() == []


# disks


def test_a_full_disk_of_the_server_is_told_and_gives_its_room_back(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        depot = Depot(disk, where=str(tmp_path / "artifacts"))
        with depot.open() as artifacts:
            with pytest.raises(NoRoomError, match=r"^the server's disk has .* MB left for 20.0 MB: make room there$"):
                artifacts.begin(last(), 20_000_000, sha256(NEW))
            artifacts.begin(last(), len(NEW), sha256(NEW))
            (disk / "filler").write_bytes(bytes(4_000_000))
            full = "^the server cannot keep what is sent: no space left on device$"
            with pytest.raises(NoRoomError, match=full):
                for start in range(0, len(NEW), 500_000):
                    artifacts.put(last(), len(NEW), sha256(NEW), start, NEW[start : start + 500_000])
            assert depot.partials() == [], "the database needs the room first"
            (disk / "filler").unlink()
            send(artifacts, last(), NEW)
            assert read(artifacts, last()) == NEW


def test_a_full_artifact_store_is_told_and_the_file_can_still_be_stored_later(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        depot = Depot(tmp_path, where=str(disk / "artifacts"))
        with depot.open() as artifacts:
            old = send(artifacts, last(), OLD)  # another disk: copied, not linked
            assert read(artifacts, last()) == OLD
            with pytest.raises(NoRoomError, match=r"^cannot keep artifacts in .*: no space left on device$"):
                send(artifacts, last(), noise(6_000_000))
            assert artifacts.find(last()) == old and depot.objects() == {old.artifact_id}
            artifacts.index.drop([old])
            artifacts.tidy()
            assert artifacts.begin(last(), 6_000_000, sha256(noise(6_000_000))).done, "no byte travels again"
            assert read(artifacts, last()) == noise(6_000_000)


def test_a_place_for_artifacts_that_can_not_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"/file: (file exists|not a directory); name another place for artifacts$"):
        open_backend(str(tmp_path / "file"))
    with pytest.raises(UserError, match="is no place for artifacts; name a folder, or s3://BUCKET/PREFIX"):
        open_backend("ftp://host/folder")


def test_a_folder_of_files_on_their_way_in_that_can_not_be_made(depot: Depot, tmp_path: Path) -> None:
    (tmp_path / "team.db.incoming").write_text("")
    storage = f"sqlite:///{tmp_path / 'team.db'}"
    with (
        depot.store() as store,
        pytest.raises(UserError, match=r"/team.db.incoming .+: file exists; move it, or name another --storage$"),
    ):
        artifact_store.opened(store, storage)


# files of this machine


def test_the_servers_own_files_can_be_taken(artifacts: Artifacts, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(NEW)
    artifacts.add(last(), source)
    artifacts.add(last(), source)
    assert read(artifacts, last()) == NEW


def test_a_listener_is_told_of_what_is_new_and_what_it_replaced(depot: Depot) -> None:
    told: list[Callable[[], Any] | Any] = []
    with depot.store() as store:
        backend = open_backend(depot.where)
        with Artifacts(
            ArtifactIndex(store), backend, depot.spool, kept=lambda new, old: told.append((new, old))
        ) as opened:
            first = send(opened, last(), OLD)
            second = send(opened, last(), NEW)
    assert told == [(first, None), (second, first)]
