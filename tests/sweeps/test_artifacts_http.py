"""What the artifact routes answer to whom, over real HTTP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from artifact_site import TOKEN, ArtifactSite, artifact_site
from depot import noise, sha256

from runner.protocol import Lease
from runner.wire import line
from runner.wire.transfer import PIECE_BYTES
from sweeps.access import exports, remote
from sweeps.access.remote import Remote
from sweeps.artifacts.spool import Place

pytestmark = pytest.mark.usefixtures("patient")

DATA = noise(3_000_000)
PATH = "/studies/made_up/trials/0/artifacts"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ArtifactSite]:
    with artifact_site(tmp_path) as site:
        yield site


@pytest.fixture
def lease(site: ArtifactSite) -> Lease:
    return site.lease()


@pytest.fixture
def http(site: ArtifactSite) -> Iterator[httpx.Client]:
    with site.http() as client:
        yield client


def begin(http: httpx.Client, data: bytes = DATA, name: str = "last.pth", fence: int = 1) -> httpx.Response:
    return http.post(f"{PATH}/{name}", json={"size": len(data), "sha256": sha256(data), "fence": fence})


def put(
    http: httpx.Client, data: bytes, offset: int = 0, name: str = "last.pth", fence: int = 1, whole: bytes = DATA
) -> httpx.Response:
    query = {"fence": fence, "size": len(whole), "sha256": sha256(whole), "offset": offset}
    return http.put(f"{PATH}/{name}", params=query, content=data)


def send(http: httpx.Client, data: bytes = DATA, name: str = "last.pth") -> None:
    if not begin(http, data, name).json()["done"]:
        assert put(http, data, name=name, whole=data).json() == {"offset": len(data), "done": True}


def test_a_file_is_sent_listed_and_read(site: ArtifactSite, lease: Lease, http: httpx.Client) -> None:
    assert (lease.trial, lease.fence) == (0, 1)
    assert begin(http).json() == {"offset": 0, "done": False}
    assert put(http, DATA[:2_000_000]).json() == {"offset": 2_000_000, "done": False}
    assert begin(http).json() == {"offset": 2_000_000, "done": False}
    assert put(http, DATA[2_000_000:], 2_000_000).json() == {"offset": len(DATA), "done": True}
    assert begin(http).json() == {"offset": len(DATA), "done": True}
    assert http.get(PATH).json() == [{"name": "last.pth", "size": len(DATA), "sha256": sha256(DATA)}]
    found = http.get(f"{PATH}/last.pth")
    assert found.content == DATA
    assert found.headers["ETag"] == f'"{sha256(DATA)}"'
    assert found.headers["Content-Type"] == "application/octet-stream"


RANGES = [
    ("bytes=0-9", 206, 0, 10),
    ("bytes=1000-", 206, 1000, len(DATA)),
    ("bytes=2999999-2999999", 206, 2_999_999, 3_000_000),
    ("bytes=2999999-9999999", 206, 2_999_999, 3_000_000),
    ("bytes=0-", 200, 0, len(DATA)),
    ("bytes=9-1", 200, 0, len(DATA)),
    ("bytes=-5", 200, 0, len(DATA)),
    ("bytes=0-1,5-6", 200, 0, len(DATA)),
    ("lines=1-2", 200, 0, len(DATA)),
]


def test_a_part_of_a_file(site: ArtifactSite, lease: Lease, http: httpx.Client) -> None:
    send(http)
    for asked, status, start, stop in RANGES:
        answer = http.get(f"{PATH}/last.pth", headers={"Range": asked})
        assert (answer.status_code, answer.content == DATA[start:stop]) == (status, True), asked
        assert answer.headers.get("Content-Range") == (
            f"bytes {start}-{stop - 1}/{len(DATA)}" if status == 206 else None
        ), asked


def test_a_part_that_is_not_there_and_a_part_of_a_file_that_has_changed(
    site: ArtifactSite, lease: Lease, http: httpx.Client
) -> None:
    send(http)
    answer = http.get(f"{PATH}/last.pth", headers={"Range": "bytes=3000000-"})
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, "bytes */3000000")
    etag = answer.headers["ETag"]
    send(http, DATA[:1000])
    answer = http.get(f"{PATH}/last.pth", headers={"Range": "bytes=10-19", "If-Range": etag})
    assert (answer.status_code, answer.content) == (200, DATA[:1000])
    etag = answer.headers["ETag"]
    answer = http.get(f"{PATH}/last.pth", headers={"Range": "bytes=10-19", "If-Range": etag})
    assert (answer.status_code, answer.content) == (206, DATA[10:20])
    send(http, b"")
    assert http.get(f"{PATH}/last.pth", headers={"Range": "bytes=0-0"}).content == b""


def test_label_files(site: ArtifactSite, http: httpx.Client) -> None:
    path = f"/studies/made_up/data/{sha256(DATA)}"
    body = {"size": len(DATA), "sha256": sha256(DATA)}
    assert http.get(path).status_code == 404
    assert http.post(path, json=body).json() == {"offset": 0, "done": False}
    assert http.put(path, params={"size": len(DATA), "offset": 0}, content=DATA).json()["done"]
    assert http.get(path, headers={"Range": "bytes=5-9"}).content == DATA[5:10]
    assert http.post(path, json={**body, "sha256": sha256(b"other")}).status_code == 404
    for bad in ("train.json", "../x", "A" * 64, sha256(b"x") + ".png"):
        assert http.get(f"/studies/made_up/data/{bad}").status_code in (404, 422)
        assert http.post(f"/studies/made_up/data/{bad}", json=body).status_code in (404, 405, 422)
    assert http.post(f"/studies/other/data/{sha256(DATA)}", json=body).status_code == 404


# who may


def test_without_the_token_nothing_is_read_or_changed(site: ArtifactSite, lease: Lease, http: httpx.Client) -> None:
    send(http)
    before = site.objects(), site.artifacts.index.of_trial("made_up", 0)
    with site.http("wrong") as stranger:
        answers = [
            begin(stranger, b"x"), put(stranger, b"x"), stranger.get(PATH), stranger.get(f"{PATH}/last.pth"),
            stranger.get(f"/studies/made_up/data/{sha256(DATA)}"),
            stranger.post(f"/studies/made_up/data/{sha256(DATA)}", json={"size": 1, "sha256": sha256(DATA)}),
            stranger.put(f"/studies/made_up/data/{sha256(DATA)}?size=1&offset=0", content=b"x"),
        ]  # fmt: skip
    assert {answer.status_code for answer in answers} == {401}
    assert (site.objects(), site.artifacts.index.of_trial("made_up", 0)) == before


def test_only_the_holder_of_the_lease_sends(site: ArtifactSite, lease: Lease, http: httpx.Client) -> None:
    begin(http)
    put(http, DATA[:1000])
    again = site.lease()  # the same worker asks anew: what it held, it has lost
    assert (again.trial, again.fence) == (0, 2)
    for answer in (begin(http), put(http, DATA[1000:], 1000), http.get(f"{PATH}/last.pth", params={"fence": 1})):
        assert answer.status_code == 409
        assert answer.json() == {"detail": "trial 0 is no longer leased under number 1"}
    assert site.artifacts.index.of_trial("made_up", 0) == []
    assert begin(http, fence=2).json() == {"offset": 1000, "done": False}, "the next holder goes on"
    assert begin(http, fence=3).status_code == 409
    assert http.post(f"{PATH}/last.pth", json={"size": 1, "sha256": sha256(DATA)}).status_code == 422
    body = {"size": 1, "sha256": sha256(DATA), "fence": 1}
    assert http.post("/studies/made_up/trials/7/artifacts/last.pth", json=body).status_code == 409


def test_every_piece_renews_the_lease(tmp_path: Path) -> None:
    with artifact_site(tmp_path) as site, site.http() as http:
        lease = site.lease()
        now = 0.0
        site.coordinator._clock = lambda: now
        begin(http)
        for start in range(0, len(DATA), 500_000):
            now += lease.lease_seconds - 1
            assert put(http, DATA[start : start + 500_000], start).status_code == 200
            site.coordinator.tick()
        now += lease.lease_seconds - 1
        assert http.get(f"{PATH}/last.pth", params={"fence": 1}).content == DATA
        now += lease.lease_seconds - 1
        site.coordinator.tick()
        assert site.study.row(0).state == "running"
        now += 2
        site.coordinator.tick()
        assert site.study.row(0).state == "waiting"


# what it refuses


NAMES = [
    "..%2f..%2fsweeps.db", "%2e%2e%2fsweeps.db", "..%5c..%5csweeps.db", "%2fetc%2fpasswd", "sweeps.db", ".png",
    "..png", "x.png%00", "last.pth%00.png", "x%0a.png", "%c0%ae%c0%ae%2fx.png", "a%2fb.png", "LAST.PTH", "x.pkl",
]  # fmt: skip
STUDIES = ["..", "%2e%2e", "..%2f..", "%00", "x" * 300, "made_up%00"]
BODIES: list[object] = [
    {}, [], {"size": 1}, {"size": -1, "sha256": "a" * 64, "fence": 1}, {"size": 1, "sha256": "A" * 64, "fence": 1},
    {"size": 1, "sha256": "a" * 63, "fence": 1}, {"size": 2**60, "sha256": "a" * 64, "fence": 1},
    {"size": 1, "sha256": "a" * 64, "fence": 2**70}, {"size": 1, "sha256": "a" * 64, "fence": 1, "path": "/etc"},
    {"size": 1.5, "sha256": "a" * 64, "fence": 1}, {"size": 1, "sha256": "a" * 64 + "\n", "fence": 1},
]  # fmt: skip


def files(site: ArtifactSite) -> list[str]:
    return sorted(str(path) for path in site.folder.rglob("*") if not path.name.startswith("sweeps.db-"))


def test_no_path_from_outside_becomes_a_file_name(site: ArtifactSite, lease: Lease, http: httpx.Client) -> None:
    before = files(site)
    body = {"size": 4, "sha256": sha256(b"evil"), "fence": 1}
    for name in NAMES:
        path = f"{PATH}/{name}".encode()
        url = httpx.URL(site.url).copy_with(raw_path=path)
        piece = url.copy_with(raw_path=path + f"?fence=1&size=4&sha256={sha256(b'evil')}&offset=0".encode())
        for answer in (http.post(url, json=body), http.put(piece, content=b"evil"), http.get(url)):
            assert answer.status_code in (404, 405, 409), name
            assert b"root:" not in answer.content
        assert files(site) == before, name


def test_no_study_name_does_either(site: ArtifactSite, http: httpx.Client) -> None:
    for study in STUDIES:
        for tail in ("trials/0/artifacts/last.pth", "trials/0/artifacts", f"data/{sha256(DATA)}"):
            path = f"/studies/{study}/{tail}"
            answer = http.get(httpx.URL(site.url).copy_with(raw_path=path.encode()))
            assert answer.status_code in (404, 422), path


def test_an_announcement_that_does_not_fit(site: ArtifactSite, lease: Lease, http: httpx.Client) -> None:
    for body in BODIES:
        assert http.post(f"{PATH}/last.pth", json=body).status_code == 422, body


def test_sizes_are_limited(site: ArtifactSite, lease: Lease, http: httpx.Client) -> None:
    large = noise(PIECE_BYTES + 1)
    assert http.post(f"{PATH}/config.py", json={"size": 10**7, "sha256": "a" * 64, "fence": 1}).status_code == 413
    begin(http, large)
    answer = put(http, large, whole=large)
    assert (answer.status_code, answer.json()) == (413, {"detail": "a piece may have 8,388,608 bytes"})
    begin(http, large, "best.pth")
    query = {"fence": 1, "size": len(large), "sha256": sha256(large), "offset": 0}
    endless = http.put(f"{PATH}/best.pth", params=query, content=(large for _ in range(3)))
    assert endless.status_code == 413
    begin(http, DATA)
    assert put(http, DATA + b"more").status_code == 413
    assert site.artifacts.index.of_trial("made_up", 0) == []


def test_wrong_offset_and_wrong_hash_are_told_apart_from_a_lost_lease(
    site: ArtifactSite, lease: Lease, http: httpx.Client
) -> None:
    begin(http)
    put(http, DATA[:1000])
    answer = put(http, DATA[500:], 500)
    assert answer.status_code == 409
    assert answer.json() == {"detail": "the next byte that is missing is number 1000", "offset": 1000}
    answer = put(http, bytes(len(DATA) - 1000), 1000)
    assert (answer.status_code, answer.json()["send"]) == (422, "again")
    assert http.get(f"{PATH}/last.pth").status_code == 404
    assert begin(http).json() == {"offset": 0, "done": False}


def test_what_arrived_of_a_request_that_was_cut_counts(site: ArtifactSite, lease: Lease, http: httpx.Client) -> None:
    begin(http)
    parts = urlsplit(site.url)
    query = f"fence=1&size={len(DATA)}&sha256={sha256(DATA)}&offset=0"
    head = f"PUT {PATH}/last.pth?{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer the right one\r\n"
    with socket.create_connection((parts.hostname, parts.port)) as raw:
        raw.sendall(f"{head}Content-Length: {len(DATA)}\r\n\r\n".encode() + DATA[:2_500_000])
    for _ in range(100):
        offset = begin(http).json()["offset"]
        if offset == 2_500_000:
            break
    assert offset == 2_500_000
    assert put(http, DATA[offset:], offset).json()["done"]
    assert http.get(f"{PATH}/last.pth").content == DATA


def test_a_restarted_server_knows_what_it_has(site: ArtifactSite, lease: Lease, http: httpx.Client) -> None:
    send(http, name="best.pth")
    begin(http)
    put(http, DATA[:1_000_000])
    site.stop()
    site.start()
    assert http.get(f"{PATH}/best.pth").content == DATA
    assert put(http, DATA[1_000_000:2_000_000], 1_000_000).json() == {"offset": 2_000_000, "done": False}
    assert begin(http).json() == {"offset": 2_000_000, "done": False}
    assert put(http, DATA[2_000_000:], 2_000_000).json()["done"]


def test_who_fetches_a_checkpoint_waits_for_a_server_that_restarts(
    site: ArtifactSite, lease: Lease, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "_PATIENCE", 0.2)
    monkeypatch.setattr(remote, "_PAUSE_SECONDS", 0.2)
    send(http)
    with Remote(site.url, TOKEN, patience=60) as server:
        record, target = server.studies()[0], site.folder / "copy.pth"
        site.stop()
        again = threading.Timer(2.0, site.start)
        again.start()
        assert exports.checkpoint("", server, record, [0], target) == 0
        again.join()
    assert target.read_bytes() == DATA


def test_a_file_that_the_artifact_store_has_lost(site: ArtifactSite, lease: Lease, http: httpx.Client) -> None:
    send(http)
    found = site.artifacts.find(Place("made_up", 0, "last.pth"))
    (site.folder / "artifacts" / found.artifact_id).unlink()
    answer = http.get(f"{PATH}/last.pth")
    assert (answer.status_code, answer.json()) == (404, {"detail": "last.pth of study made_up is gone from the store"})
    (site.folder / "artifacts").rename(site.folder / "elsewhere")
    begin(http, DATA[:10])
    answer = put(http, DATA[:10], whole=DATA[:10])
    assert answer.status_code == 503
    assert site.registry.fault == answer.json()["detail"]
    assert site.registry.fault.startswith(f"cannot keep artifacts in {site.folder / 'artifacts'}: ")
