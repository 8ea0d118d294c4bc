"""Artifacts in an S3 bucket: a real client against a server that speaks the protocol, on the loopback address."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from artifact_site import TOKEN, artifact_site
from depot import STUDY, Depot, last, noise, read, send, sha256
from proxy import Proxy, proxy_to

from runner.errors import UserError
from runner.wire.artifacts import Transfer
from runner.wire.client import Client
from sweeps.artifacts import Limits, Place, UnknownArtifactError, open_backend
from sweeps.artifacts.errors import BackendError

boto3 = pytest.importorskip("boto3", reason="the extra s3 is not installed")
moto = pytest.importorskip("moto.server", reason="the extra s3 is not installed")

DATA = noise(20_000_003, 5)  # more than one of S3's parts


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    running = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def road(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """The connection to the bucket `team`, which is new and empty."""
    for name, value in (("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret"),
                        ("AWS_DEFAULT_REGION", "us-east-1"), ("AWS_EC2_METADATA_DISABLED", "true")):  # fmt: skip
        monkeypatch.setenv(name, value)
    with proxy_to(server) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
        bucket = boto3.resource("s3").Bucket("team")
        bucket.create()
        yield proxy
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server)
        bucket = boto3.resource("s3").Bucket("team")
        bucket.objects.all().delete()
        bucket.delete()


def keys() -> dict[str, int]:
    objects: Any = boto3.resource("s3").Bucket("team").objects.all()
    return {one.key: one.size for one in objects}


def test_files_are_kept_replaced_read_and_deleted(road: Proxy, tmp_path: Path) -> None:
    depot = Depot(tmp_path, Limits(best={STUDY: 1}), where="s3://team/sweeps/of ours/")
    with depot.open() as artifacts:
        first = send(artifacts, last(), noise(1000))
        found = send(artifacts, last(), DATA)
        assert found.artifact_id != first.artifact_id
        assert keys() == {f"sweeps/of ours/{found.artifact_id}": len(DATA)}
        assert read(artifacts, last()) == DATA
        before = road.passed["down"]
        assert read(artifacts, last(), 19_000_000) == DATA[19_000_000:]
        assert road.passed["down"] - before < 1_100_000, "only what was asked for travels"
        with pytest.raises(UnknownArtifactError, match="is gone from the store"):
            artifacts.open(first)
        with pytest.raises(UnknownArtifactError, match="is gone from the store"):
            artifacts.open(first, 10)
        send(artifacts, last(1), noise(2000))
        depot.end(0, "complete", 0.5)
        depot.end(1, "complete", 0.4)
        artifacts.tidy()
        assert list(keys().values()) == [len(DATA)] and artifacts.index.loose() == []
        artifacts.backend.remove(first.artifact_id)  # what is not there need not be deleted
    assert depot.partials() == []


def test_without_a_prefix_and_for_optunas_own_functions(road: Proxy) -> None:
    import io

    backend = open_backend("s3://team")
    backend.write("an-id", io.BytesIO(b"content"))
    assert keys() == {"an-id": 7}
    assert backend.open_reader("an-id").read() == b"content"


def test_a_bucket_that_is_away_costs_nothing(road: Proxy, tmp_path: Path) -> None:
    depot = Depot(tmp_path, where="s3://team/x")
    with depot.open() as artifacts:
        old = send(artifacts, last(), noise(1000))
        road.refusing = True
        road.drop()
        with pytest.raises(BackendError, match=r"^cannot write to s3://team/x: .*[Cc]onnect"):
            send(artifacts, last(), DATA)
        assert artifacts.find(last()) == old
        assert [path.stat().st_size for path in depot.partials()] == [len(DATA)]
        assert len(artifacts.index.loose()) == 1, "what may lie there half written is not forgotten"
        road.refusing = False
        while not artifacts.begin(last(), len(DATA), sha256(DATA)).done:
            pass
        assert read(artifacts, last()) == DATA
        assert list(keys().values()) == [len(DATA)] and artifacts.index.loose() == []
        road.refusing = True
        road.drop()
        with pytest.raises(BackendError, match=r"^cannot read s3://team/x: "):
            read(artifacts, last())


def test_a_worker_waits_out_a_bucket_that_is_away(road: Proxy, tmp_path: Path) -> None:
    (tmp_path / "last.pth").write_bytes(DATA)
    with artifact_site(tmp_path, where="s3://team/x") as site, Client(site.url, TOKEN) as client:
        lease = site.lease()
        road.refusing = True

        def mend_once_it_is_told() -> None:
            while site.registry.fault is None:
                time.sleep(0.05)
            road.refusing = False

        threading.Thread(target=mend_once_it_is_told, daemon=True).start()
        transfer = Transfer(client.http, lease)
        transfer.upload("last.pth", tmp_path / "last.pth")
        assert transfer.download(STUDY, 0, "last.pth", tmp_path / "back.pth")
        assert (tmp_path / "back.pth").read_bytes() == DATA
        assert site.registry.fault is not None and site.registry.fault.startswith("cannot write to s3://team/x: ")
        assert site.artifacts.find(Place(STUDY, 0, "last.pth")).size == len(DATA)


def test_a_bucket_that_can_not_be_used_is_told_at_the_start(road: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"^cannot use s3://nobody/x: there is no such bucket$"):
        open_backend("s3://nobody/x")
    with pytest.raises(UserError, match=r"^cannot use s3://: "):
        open_backend("s3://")
    with pytest.raises(UserError, match=r"^cannot use s3://Not_A_Bucket!: "):
        open_backend("s3://Not_A_Bucket!")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with pytest.raises(UserError, match=r"^cannot use s3://team: Unable to locate credentials$"):
        open_backend("s3://team")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "no url")
    with pytest.raises(UserError, match=r"^cannot use s3://team: Invalid endpoint: no url$"):
        open_backend("s3://team")
