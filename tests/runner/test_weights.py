"""Weights from files, from a real server and from a hub: whole, checked, fetched once, or one clear line."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import small_disk
from trials import fill
from weights_server import Shelf, serving

from runner.training import weights
from runner.training.weights import OTHER_WEIGHTS, WeightsError, fetch, fingerprint, zoo_url

CONTENT = b"weights" * 1000
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    monkeypatch.setenv("SWEEP_WEIGHTS", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as shelf:
        yield shelf


def refused(source: str) -> str:
    with pytest.raises(WeightsError) as caught:
        fetch(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def kept(tmp_path: Path) -> list[str]:
    """Names of the files in the cache, without locks."""
    return sorted(p.name for p in (tmp_path / "cache").rglob("*") if p.is_file() and p.suffix != ".lock")


def test_a_file_is_taken_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(CONTENT)
    assert fetch(str(tmp_path / "w.pth")) == tmp_path / "w.pth"
    assert fingerprint(tmp_path / "w.pth") == f"sha256 {SHA[:8]}"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert refused(f"{tmp_path}/w.pth") == f"there is no file {tmp_path}/w.pth on this machine; {OTHER_WEIGHTS}"


@pytest.mark.parametrize("ask", ["", f"#sha256={SHA}", f"#sha256={SHA[:8].upper()}"])
def test_a_download_is_made_once(shelf: Shelf, tmp_path: Path, ask: str) -> None:
    source = shelf.put("/w.pth", CONTENT) + ask
    path = fetch(source)
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to(tmp_path / "cache") and path.name == "w.pth"
    assert fetch(source) == path
    assert shelf.asked == ["/w.pth"]
    assert kept(tmp_path) == ["w.pth", "w.pth.sha256"]


def test_files_of_one_name_are_kept_apart(shelf: Shelf) -> None:
    one, other = shelf.put("/a/w.pth", b"one"), shelf.put("/b/w.pth", b"other")
    assert (fetch(one).read_bytes(), fetch(other).read_bytes()) == (b"one", b"other")
    assert fetch(one).read_bytes() == b"one"


def test_a_redirect_is_followed(shelf: Shelf) -> None:
    shelf.put("/real.bin", CONTENT)
    shelf.moved["/w.pth"] = "/real.bin"
    assert fetch(f"{shelf.url}/w.pth").read_bytes() == CONTENT
    assert shelf.asked == ["/w.pth", "/real.bin"]


def test_a_server_that_is_busy_is_asked_again(shelf: Shelf) -> None:
    source = shelf.put("/w.pth", CONTENT)
    shelf.faults["/w.pth"] = 2
    assert fetch(source).read_bytes() == CONTENT
    assert len(shelf.asked) == 3


def test_a_server_that_stays_busy(shelf: Shelf, tmp_path: Path) -> None:
    source = shelf.put("/w.pth", CONTENT)
    shelf.faults["/w.pth"] = -1
    assert refused(source) == f"{source} can't be fetched: the answer is 503 Service Unavailable; {OTHER_WEIGHTS}"
    assert kept(tmp_path) == []


def test_what_is_not_there_is_asked_for_once(shelf: Shelf, tmp_path: Path) -> None:
    source = f"{shelf.url}/w.pth"
    assert refused(source) == f"{source} can't be fetched: the answer is 404 Not Found; {OTHER_WEIGHTS}"
    assert shelf.asked == ["/w.pth"]
    assert kept(tmp_path) == []


def test_a_download_that_is_cut(shelf: Shelf, tmp_path: Path) -> None:
    source = shelf.put("/w.pth", CONTENT)
    shelf.cut["/w.pth"] = 1000
    message = refused(source)
    assert message.startswith(f"{source} can't be fetched: peer closed connection"), message
    assert "received 1000 bytes, expected 7000" in message and message.endswith(OTHER_WEIGHTS)
    assert kept(tmp_path) == []
    del shelf.cut["/w.pth"]
    assert fetch(source).read_bytes() == CONTENT


@pytest.mark.parametrize("way", ["fragment", "name"])
def test_another_checksum(shelf: Shelf, tmp_path: Path, way: str) -> None:
    path = "/w.pth" if way == "fragment" else "/resnet-0123abcd.pth"
    url = shelf.put(path, CONTENT)
    source = f"{url}#sha256=0123abcd" if way == "fragment" else url
    assert refused(source) == (
        f"{url}: expected sha256 0123abcd, found {SHA}; what came was removed: fetch it again, or write "
        f"{url}#sha256={SHA} if that is the right file"
    )
    assert kept(tmp_path) == []
    assert fetch(f"{url}#sha256={SHA}").read_bytes() == CONTENT, "as the message says"


def test_the_checksum_in_a_name_is_no_date(shelf: Shelf) -> None:
    assert fetch(shelf.put("/resnet-20211228.pth", CONTENT)).read_bytes() == CONTENT
    assert fetch(shelf.put(f"/resnet_20211228-{SHA[:8]}.pth", CONTENT)).read_bytes() == CONTENT


def test_a_cached_file_that_was_damaged_is_fetched_again(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    source = shelf.put("/w.pth", CONTENT)
    path = fetch(source)
    path.write_bytes(CONTENT[:-1])
    assert fetch(source).read_bytes() == CONTENT
    assert shelf.asked == ["/w.pth"] * 2
    assert f"{path} is not what was fetched, it is removed and fetched again" in caplog.text


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("http:///w.pth", "an address such as https://HOST/NAME.pth"),
        ("https://[::1/w.pth", "an address such as https://HOST/NAME.pth"),
        ("https://host/", "the address of a file"),
        ("https://host/w.pth#md5=1", "#sha256=HEX (8 to 64 digits) or nothing after the address"),
        ("https://host/w.pth#sha256=xyz", "#sha256=HEX (8 to 64 digits) or nothing after the address"),
    ],
)
def test_an_address_that_is_none(source: str, expected: str) -> None:
    assert refused(source) == f"{source}: expected {expected}; {OTHER_WEIGHTS}"


def test_a_server_that_does_not_run(shelf: Shelf) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening
        source = f"http://127.0.0.1:{taken.getsockname()[1]}/w.pth"
        message = refused(source)
    assert message == f"{source} can't be fetched: [Errno 111] Connection refused; {OTHER_WEIGHTS}"


def test_a_host_that_has_no_address(shelf: Shelf) -> None:
    source = "https://nowhere.invalid/w.pth"
    message = refused(source)
    assert message.startswith(f"{source} can't be fetched: ") and message.endswith(OTHER_WEIGHTS)


FETCH = """
import sys
from runner.training.weights import fetch
sys.stdin.readline()
print(fetch(sys.argv[1]).read_bytes() == b"weights" * 1000)
"""


def test_two_processes_at_once_fetch_once(shelf: Shelf) -> None:
    source = shelf.put("/w.pth", CONTENT)
    both = [
        subprocess.Popen(
            [sys.executable, "-c", FETCH, source], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[2],
        )
        for _ in range(2)
    ]  # fmt: skip
    for one in both:
        assert one.stdin
        one.stdin.write("go\n")
        one.stdin.flush()
    assert [one.communicate(timeout=60)[0] for one in both] == ["True\n", "True\n"]
    assert shelf.asked == ["/w.pth"]


def test_a_full_disk_names_the_cache(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = shelf.put("/w.pth", os.urandom(2 << 20))
    with small_disk(tmp_path / "disk", 1) as disk:
        monkeypatch.setenv("SWEEP_WEIGHTS", str(disk / "cache"))
        fill(disk)
        with pytest.raises(OSError, match="No space left") as caught:
            fetch(source)
        assert str(caught.value.filename).startswith(str(disk / "cache"))


def test_the_zoos_spellings_need_no_torchvision() -> None:
    assert zoo_url("torchvision://resnet50") == "https://download.pytorch.org/models/resnet50-0676ba61.pth"
    assert zoo_url("open-mmlab://msra/hrnetv2_w32").endswith("/hrnetv2_w32-dc9eeb4f.pth")
    with pytest.raises(WeightsError, match="MMEngine's table has no resnet51; write the address"):
        zoo_url("torchvision://resnet51")


def test_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SWEEP_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights.cache() == tmp_path / "sweep" / "weights"


HUB = """
import sys
from runner.training.weights import WeightsError, fetch, fingerprint
try:
    found = fetch(sys.argv[1])
    print(fingerprint(found), sorted(p.name for p in found.iterdir()))
except WeightsError as error:
    print("refused:", error)
"""


def from_hub(source: str, tmp_path: Path, endpoint: str, **environment: str) -> str:
    """What fetching from a hub ends with, in a process of its own: the hub's client reads its address at import."""
    done = subprocess.run(
        [sys.executable, "-c", HUB, source], capture_output=True, text=True, timeout=60, check=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": endpoint, "NO_PROXY": "127.0.0.1"}
        | environment,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.mark.parametrize("weights_name", ["model.safetensors", "pytorch_model.bin"])
def test_a_hub(shelf: Shelf, tmp_path: Path, weights_name: str) -> None:
    files = {"config.json": b"{}", weights_name: CONTENT, "README.md": b"text", "flax_model.msgpack": b"other"}
    shelf.put_model("org/name", files)
    expected = f"revision c0ffee00 {sorted(['config.json', weights_name])}"
    assert from_hub("org/name", tmp_path, shelf.url) == expected
    assert f"/org/name/resolve/{'c0ffee' + '0' * 34}/README.md" not in shelf.asked
    assert from_hub("org/name", tmp_path, "http://127.0.0.1:9", HF_HUB_OFFLINE="1") == expected, "from its cache"


def test_a_hub_that_has_no_such_model(shelf: Shelf, tmp_path: Path) -> None:
    shelf.put_model("org/words", {"README.md": b"text"})
    message = from_hub("org/name", tmp_path, shelf.url)
    assert message.startswith("refused: org/name can't be fetched from the hub: ") and message.endswith(OTHER_WEIGHTS)
    assert from_hub("org/words", tmp_path, shelf.url) == (
        f"refused: org/words holds no model.safetensors and no pytorch_model.bin; {OTHER_WEIGHTS}"
    )


@pytest.mark.parametrize("offline", ["0", "1"])
def test_a_hub_out_of_reach(tmp_path: Path, offline: str) -> None:
    message = from_hub("org/name", tmp_path, "https://nowhere.invalid", HF_HUB_OFFLINE=offline)
    assert message.startswith("refused: org/name can't be fetched from the hub: "), message
    assert message.endswith(OTHER_WEIGHTS)
