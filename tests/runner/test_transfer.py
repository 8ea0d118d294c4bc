"""Files between a worker and the server, over connections that are cut, slow, dead, or lead to a restarted server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from artifact_site import TOKEN, ArtifactSite, artifact_site
from depot import noise, sha256
from desk import small_disk
from proxy import Proxy, proxy_to

from runner.errors import UserError
from runner.protocol import Lease, Verdict
from runner.wire.artifacts import NoRoomError, Transfer, TransferStoppedError
from runner.wire.client import Client, LeaseLostError
from sweeps.artifacts import Limits, Place

DATA = noise(30_000_017, 7)
SHORT = noise(3_000_017, 8)


@dataclass
class Road:
    """A server, a worker's lease, and the spoilt connection between the two."""

    site: ArtifactSite
    proxy: Proxy
    lease: Lease
    folder: Path
    client: Client = field(init=False)
    offsets: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = Client(self.proxy.url, TOKEN)
        self.client.http.event_hooks = {"request": [self._note]}

    def _note(self, request: httpx.Request) -> None:
        """At which byte every piece begins, those that are sent and those that are asked for."""
        if request.method == "PUT":
            self.offsets.append(int(request.url.params["offset"]))
        elif (asked := request.headers.get("Range", "bytes=0-0")) != "bytes=0-0":
            self.offsets.append(int(asked.removeprefix("bytes=").partition("-")[0]))

    def never_went_back(self) -> bool:
        return self.offsets == sorted(self.offsets)

    def arrived(self) -> int:
        """Bytes that the server has of a file on its way."""
        return sum(path.stat().st_size for path in (self.site.folder / "arriving").iterdir())

    def transfer(self) -> Transfer:
        return Transfer(self.client.http, self.lease)

    def file(self, data: bytes, name: str = "last.pth") -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path

    def stored(self, name: str = "last.pth") -> bytes:
        with self.site.artifacts.open(self.site.artifacts.find(Place("made_up", 0, name))) as reader:
            return reader.read()

    def files(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}


@pytest.fixture
def road(tmp_path: Path) -> Iterator[Road]:
    folder = tmp_path / "worker"
    folder.mkdir()
    with artifact_site(tmp_path) as site, proxy_to(site.url) as proxy:
        road = Road(site, proxy, site.lease(), folder)
        yield road
        road.client.http.close()


def test_there_and_back(road: Road) -> None:
    road.transfer().upload("last.pth", road.file(DATA))
    assert road.stored() == DATA
    assert {name: one.size for name, one in road.transfer().names("made_up", 0).items()} == {"last.pth": len(DATA)}
    target = road.folder / "below" / "last.pth"
    assert road.transfer().download("made_up", 0, "last.pth", target)
    assert target.read_bytes() == DATA and [path.name for path in target.parent.iterdir()] == ["last.pth"]
    assert not road.transfer().download("made_up", 0, "best.pth", road.folder / "best.pth")
    assert not road.transfer().download("made_up", 9, "best.pth", road.folder / "best.pth")
    assert road.transfer().names("other", 0) == {}


def test_what_is_there_already_does_not_travel(road: Road) -> None:
    file = road.file(DATA)
    road.transfer().upload("last.pth", file)
    before = dict(road.proxy.passed)
    road.transfer().upload("last.pth", file)
    assert road.transfer().download("made_up", 0, "last.pth", file)
    assert road.proxy.passed["up"] - before["up"] < 10_000 and road.proxy.passed["down"] - before["down"] < 10_000


@pytest.mark.parametrize("name", ["train.log", "curve.png"])
def test_an_empty_file(road: Road, name: str) -> None:
    road.transfer().upload(name, road.file(b"", name))
    assert road.transfer().download("made_up", 0, name, road.folder / "target")
    assert (road.folder / "target").read_bytes() == b""


def test_connections_cut_in_mid_message_on_the_way_up(road: Road) -> None:
    for size in (100, 5_000, 700_000, 3_000_000, 1_500_000, 64, 2_000_000, 10):
        road.proxy.cut_after(size, "up")
    road.transfer().upload("last.pth", road.file(DATA))
    assert road.proxy.cuts_left == 0
    assert road.stored() == DATA
    assert road.never_went_back()


def test_answers_that_are_lost(road: Road) -> None:
    road.proxy.cut_after(0, "down")
    road.proxy.cut_after(30, "down", times=5)
    road.transfer().upload("last.pth", road.file(DATA))
    assert road.proxy.cuts_left == 0
    assert road.stored() == DATA and len(road.site.objects()) == 1


def test_connections_cut_in_mid_message_on_the_way_down(road: Road) -> None:
    road.transfer().upload("last.pth", road.file(DATA))
    target = road.folder / "target"
    road.offsets.clear()
    for size in (10, 100_000, 3_000_000, 500_000, 1, 5_000_000):
        road.proxy.cut_after(size, "down")
    assert road.transfer().download("made_up", 0, "last.pth", target)
    assert target.read_bytes() == DATA and road.proxy.cuts_left == 0
    assert road.never_went_back()


def test_a_slow_connection_gets_small_pieces(road: Road) -> None:
    road.proxy.delay = 0.05
    transfer = road.transfer()
    transfer._line.piece = 2**23  # 128 blocks of the proxy's: more than two seconds
    transfer.upload("last.pth", road.file(SHORT))
    assert road.stored() == SHORT
    assert transfer._line.piece < 2**23


def test_a_server_restarted_between_pieces(road: Road) -> None:
    file = road.file(DATA)
    restarts = 0

    def alive() -> bool:
        nonlocal restarts
        if road.arrived() > restarts * 8_000_000:
            restarts += 1
            road.site.stop()
            road.site.start()
        return True

    Transfer(road.client.http, road.lease, alive=alive).upload("last.pth", file)
    assert restarts >= 3  # as often as pieces fall behind a border, whose size follows the pace
    assert road.stored() == DATA and road.never_went_back()


def test_a_server_that_is_away_for_a_while(road: Road) -> None:
    road.site.stop()
    back = threading.Timer(2.0, road.site.start)
    back.start()
    transfer = road.transfer()
    transfer.upload("last.pth", road.file(SHORT))
    back.join()
    assert road.stored() == SHORT and transfer.renewed > time.monotonic() - 60


def test_a_server_that_stays_away_costs_less_than_the_lease(road: Road) -> None:
    road.proxy.refusing = True
    lease = road.lease.model_copy(update={"lease_seconds": 3.0, "heartbeat_seconds": 1.0})
    started = time.monotonic()
    with pytest.raises(httpx.TransportError):
        Transfer(road.client.http, lease, renewed=started).upload("last.pth", road.file(SHORT))
    with pytest.raises(httpx.TransportError):
        Transfer(road.client.http, lease, renewed=started - 30).download("made_up", 0, "last.pth", road.folder / "x")
    assert road.files() == {"last.pth"}


def test_a_checkpoint_that_is_replaced_meanwhile_arrives_as_it_was(road: Road) -> None:
    file = road.file(DATA)
    replaced = False

    def alive() -> bool:
        nonlocal replaced
        if not replaced and road.proxy.passed["up"] > 5_000_000:
            (road.folder / "next").write_bytes(SHORT)
            (road.folder / "next").replace(file)
            replaced = True
        return True

    Transfer(road.client.http, road.lease, alive=alive).upload("last.pth", file)
    assert replaced and road.stored() == DATA


def test_a_log_that_is_added_to_meanwhile_arrives_as_it_was(road: Road) -> None:
    file = road.file(SHORT, "train.log")

    def alive() -> bool:
        with file.open("ab") as log:
            log.write(b"one more line\n")
        return True

    Transfer(road.client.http, road.lease, alive=alive).upload("train.log", file)
    assert road.stored("train.log") == SHORT


def test_a_file_cut_short_meanwhile_is_told(road: Road) -> None:
    file = road.file(DATA)

    def alive() -> bool:
        if road.proxy.passed["up"] > 5_000_000:
            with file.open("r+b") as shortened:
                shortened.truncate(1000)
        return True

    with pytest.raises(UserError, match="became shorter while it was sent"):
        Transfer(road.client.http, road.lease, alive=alive).upload("last.pth", file)


def test_a_file_changed_in_place_is_never_stored_wrong(road: Road) -> None:
    file = road.file(DATA)
    changed = False

    def alive() -> bool:
        nonlocal changed
        if not changed and road.proxy.passed["up"] > 5_000_000:
            changed = True
            with file.open("r+b") as other:
                other.seek(len(DATA) - 10)
                other.write(b"0123456789")
        return True

    with pytest.raises(UserError, match=r"last.pth does not reach the study server as it is: .*another SHA-256"):
        Transfer(road.client.http, road.lease, alive=alive).upload("last.pth", file)
    assert road.transfer().names("made_up", 0) == {}


def test_a_lost_lease_ends_it(road: Road) -> None:
    file = road.file(DATA)

    def alive() -> bool:
        if road.arrived() > 5_000_000 and road.site.coordinator.study.row(0).fence == 1:
            road.site.lease()
        return True

    with pytest.raises(LeaseLostError, match=r"^trial 0 is no longer leased under number 1$"):
        Transfer(road.client.http, road.lease, alive=alive).upload("last.pth", file)
    # the next holder goes on from what arrived
    road.lease = road.lease.model_copy(update={"fence": 2})
    arrived = road.arrived()
    road.offsets.clear()
    road.transfer().upload("last.pth", file)
    assert road.stored() == DATA and road.offsets[0] == arrived > 5_000_000


def test_a_study_that_is_gone_is_a_lost_lease(road: Road) -> None:
    """A file is announced, a piece of it is sent, a heartbeat comes between: whichever hears of it first."""
    transfer, file = road.transfer(), road.file(DATA)

    def alive() -> bool:
        if road.arrived() > 5_000_000:
            road.site.registry._studies.clear()
        return True

    gone = r"^no study made_up on this server; there is none yet$"
    with pytest.raises(LeaseLostError, match=gone):
        Transfer(road.client.http, road.lease, alive=alive).upload("last.pth", file)
    with pytest.raises(LeaseLostError, match=gone):
        transfer.upload("last.pth", file)
    lease = road.lease.model_copy(update={"heartbeat_seconds": 0.0})
    with file.open("rb") as source, pytest.raises(LeaseLostError, match=gone):
        Transfer(road.client.http, lease)._line.hash(source, len(DATA))


def test_an_exception_of_the_server_is_waited_out(road: Road) -> None:
    holds, failed = road.site.coordinator.heartbeat, 0

    def heartbeat(trial: int, fence: int) -> Verdict:
        nonlocal failed
        failed += 1
        if failed < 3:
            raise ZeroDivisionError
        return holds(trial, fence)

    road.site.coordinator.heartbeat = heartbeat  # type: ignore[method-assign]
    road.transfer().upload("last.pth", road.file(SHORT))
    assert failed > 2 and road.stored() == SHORT


def test_a_transfer_that_is_no_longer_wanted_ends(road: Road) -> None:
    file = road.file(DATA)
    with pytest.raises(TransferStoppedError):
        Transfer(road.client.http, road.lease, alive=lambda: road.proxy.passed["up"] < 5_000_000).upload(
            "last.pth", file
        )
    road.transfer().upload("last.pth", file)
    stop = road.proxy.passed["down"] + 5_000_000
    target = road.folder / "target"
    with pytest.raises(TransferStoppedError):
        Transfer(road.client.http, alive=lambda: road.proxy.passed["down"] < stop).download(
            "made_up", 0, "last.pth", target
        )
    assert not target.exists() and len(road.files()) == 2
    arrived = next(road.folder.glob(".target.*.part")).stat().st_size
    road.offsets.clear()
    assert road.transfer().download("made_up", 0, "last.pth", target)
    assert target.read_bytes() == DATA and road.files() == {"last.pth", "target"}
    assert road.offsets[0] == arrived > 3_000_000, "it went on with what had arrived"


def test_a_file_replaced_at_the_server_while_it_is_fetched(road: Road) -> None:
    road.transfer().upload("last.pth", road.file(DATA))
    newer = road.file(SHORT, "newer")
    replaced = False

    def alive() -> bool:
        nonlocal replaced
        if not replaced and road.proxy.passed["down"] > 5_000_000:
            replaced = True
            road.site.artifacts.add(Place("made_up", 0, "last.pth"), newer)
        return True

    target = road.folder / "target"
    assert Transfer(road.client.http, alive=alive).download("made_up", 0, "last.pth", target)
    assert replaced and target.read_bytes() == SHORT
    assert road.files() == {"last.pth", "newer", "target"}


def test_a_half_fetched_file_that_was_damaged_is_fetched_anew(road: Road) -> None:
    road.transfer().upload("last.pth", road.file(SHORT))
    (road.folder / f".target.{sha256(SHORT)[:16]}.part").write_bytes(noise(1_000_000, 99))
    (road.folder / f".target.{sha256(DATA)[:16]}.part").write_bytes(b"of another content")
    assert road.transfer().download("made_up", 0, "last.pth", road.folder / "target")
    assert (road.folder / "target").read_bytes() == SHORT
    assert road.files() == {"last.pth", "target"}


def test_a_long_hash_keeps_the_lease(road: Road) -> None:
    """As if a hash took long: the lease's heartbeats are due all the time."""
    renewed: list[int] = []
    holds = road.site.coordinator.heartbeat
    road.site.coordinator.heartbeat = lambda trial, fence: renewed.append(fence) or holds(trial, fence)  # type: ignore
    lease = road.lease.model_copy(update={"heartbeat_seconds": 0.0})
    transfer = Transfer(road.client.http, lease)
    transfer._line.hash(road.file(DATA).open("rb"), len(DATA))
    assert len(renewed) == 29


def test_a_full_server_is_told(tmp_path: Path) -> None:
    with artifact_site(tmp_path, Limits(budget=1_000_000)) as site, Client(site.url, TOKEN) as client:
        file = tmp_path / "last.pth"
        file.write_bytes(SHORT)
        line = r"^the study server has no room: artifacts need 2.0 MB more than the disk budget of 1.0 MB; .*budget$"
        with pytest.raises(NoRoomError, match=line):
            Transfer(client.http, site.lease()).upload("last.pth", file)


def test_a_full_disk_of_the_worker_is_told_and_the_old_file_stays(road: Road, tmp_path: Path) -> None:
    road.transfer().upload("last.pth", road.file(SHORT))
    with small_disk(tmp_path / "disk", 2) as disk:
        (disk / "last.pth").write_bytes(b"old")
        with pytest.raises(OSError, match="No space left on device"):
            road.transfer().download("made_up", 0, "last.pth", disk / "last.pth")
        assert (disk / "last.pth").read_bytes() == b"old"


def test_wrong_names_and_tokens_are_told(road: Road) -> None:
    file = road.file(SHORT, "../x.pth".rpartition("/")[2])
    with pytest.raises(UserError, match=r"^no artifact is named '../x.pth'; there are config.py, "):
        road.transfer().upload("../x.pth", file)
    with pytest.raises(UserError, match=r"^the study server answers 413 to .*config.py may have"):
        road.transfer().upload("config.py", road.file(noise(5_000_000)))
    with Client(road.proxy.url, "wrong") as client, pytest.raises(UserError, match="refuses this token"):
        Transfer(client.http, road.lease).upload("last.pth", file)
    with pytest.raises(FileNotFoundError):
        road.transfer().upload("last.pth", road.folder / "missing")


def test_label_files(road: Road) -> None:
    file = road.file(SHORT, "train.json")
    transfer = Transfer(road.client.http)
    name = transfer.upload_labels("made_up", file)
    assert name == sha256(SHORT)
    assert transfer.download_labels("made_up", name, road.folder / "fetched.json")
    assert (road.folder / "fetched.json").read_bytes() == SHORT
    assert not transfer.download_labels("made_up", sha256(DATA), road.folder / "other.json")


def test_nothing_heavy_is_imported() -> None:
    import subprocess
    import sys

    heavy = ("torch", "mmengine", "optuna", "fastapi")
    code = f"import sys, runner.wire.artifacts; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
