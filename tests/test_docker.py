"""The images and compose.yaml, read by the tools that would build and start them; no engine runs here."""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
from desk import Desk
from packaging.requirements import Requirement
from written import parses

from runner import machine

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"
TOOLS = Path(sys.executable).parent
DOCKERFILES = ["Dockerfile.server", "Dockerfile.worker"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Runs the command line where no package of the extra `train` can be imported, as in the server's image.
WITHOUT_TRAIN = """\
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
from sweeps.cli import main
sys.exit(main())
"""
TRAINS = ["torch", "mmengine", "mmcv", "mmdet", "faster_coco_eval", "transformers", "huggingface_hub", "safetensors",
          "albumentations", "ray"]  # fmt: skip


def tool(name: str, *arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SWEEP_")} | env
    command = [str(TOOLS / name), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    done = tool("docker-compose", "-f", DOCKER / "compose.yaml", "config", "--format", "json", SWEEP_DATA="/images")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found["services"] | {"secrets": found["secrets"]}


@pytest.mark.parametrize("name", DOCKERFILES)
def test_hadolint_has_nothing_to_say(name: str) -> None:
    done = tool("hadolint", DOCKER / name)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["setup.sh", "entrypoint.sh"])
def test_shellcheck_has_nothing_to_say(name: str) -> None:
    done = tool("shellcheck", DOCKER / name)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def last_stage(name: str) -> str:
    text = (DOCKER / name).read_text()
    return text[text.rindex("\nFROM ") :]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_is_pinned_not_root_and_says_how_it_is(name: str) -> None:
    text = (DOCKER / name).read_text()
    images = [value for line in text.splitlines() if line.startswith("ARG ") and (value := line.partition("=")[2])]
    assert [image for image in images if image.startswith("docker.io/")]
    assert all(re.search(r":\d+\.\d+\.\d+", image) for image in images if image.startswith("docker.io/"))
    stage = last_stage(name)
    assert "\nUSER 10001:10001\n" in stage
    assert "\nHEALTHCHECK " in stage
    assert "build-essential" not in stage
    assert "gcc" not in stage


@pytest.mark.parametrize("name", DOCKERFILES)
def test_what_an_image_copies_is_there_and_reaches_it(name: str) -> None:
    """A path that .dockerignore leaves out, or that is mistyped, would break the build."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    sent = {line[1:] for line in ignored if line.startswith("!")}
    assert ignored.count("*") == 1
    assert ignored.index("docker/secrets") > ignored.index("!docker"), "secrets stay out of images"
    for line in (DOCKER / name).read_text().splitlines():
        if not line.startswith("COPY ") or "--from=" in line:
            continue
        words = [word for word in line.split()[1:] if not word.startswith("--")]
        for path in words[:-1]:
            assert (ROOT / path).exists(), line
            assert path.split("/")[0] in sent, line


def test_compose_wants_the_images(tmp_path: Path) -> None:
    done = tool("docker-compose", "-f", DOCKER / "compose.yaml", "config", "--quiet")
    assert done.returncode == 1
    assert done.stderr.strip().endswith(
        "required variable SWEEP_DATA is missing a value: name the folder of the images"
    )


def test_services_are_healthy_before_others_need_them(services: dict[str, Any]) -> None:
    for name in ("database", "server", "dashboard", "worker"):
        service = services[name]
        image = {"server": "Dockerfile.server", "worker": "Dockerfile.worker"}.get(name)
        assert "healthcheck" in service or (image and "\nHEALTHCHECK " in last_stage(image)), name
        assert all(one["condition"] == "service_healthy" for one in service.get("depends_on", {}).values())
    assert set(services["server"]["depends_on"]) == {"database"}
    assert set(services["worker"]["depends_on"]) == {"server"}


def test_services_may_do_little(services: dict[str, Any]) -> None:
    for name in ("database", "server", "dashboard", "worker"):
        service = services[name]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert re.search(r":\d+\.\d+", service["image"]), "pinned"
        assert "build" in service or service["user"] == "postgres", "not root"
    assert "ports" not in services["database"]
    assert [port["host_ip"] for port in services["dashboard"]["ports"]] == ["127.0.0.1"]
    (device,) = services["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_secrets_are_files_and_nowhere_else(services: dict[str, Any]) -> None:
    assert {Path(one["file"]).parent for one in services["secrets"].values()} == {DOCKER / "secrets"}
    assert "/docker/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    for name in ("server", "dashboard", "worker"):
        service = services[name]
        given = {one["target"] for one in service["secrets"]}
        named = {word for word in [*service["command"], *service["environment"].values()] if "/run/secrets/" in word}
        assert named == given
    assert services["server"]["environment"]["SWEEP_STORAGE"] == "postgresql+psycopg://sweep@database/sweep"


@pytest.mark.parametrize("name", ["server", "dashboard", "worker"])
def test_commands_are_ours(services: dict[str, Any], name: str) -> None:
    parses(services[name]["command"])


def test_the_servers_packages_do_not_train() -> None:
    names = {Requirement(line).name.lower() for line in PROJECT["dependencies"]}
    assert not names & {name.replace("_", "-") for name in TRAINS}
    extra = {Requirement(line).name.lower().replace("-", "_") for line in PROJECT["optional-dependencies"]["train"]}
    assert extra - set(TRAINS) == {"opencv_python", "setuptools"}


def without_train(desk: Desk, *arguments: str) -> list[str]:
    return [sys.executable, "-c", WITHOUT_TRAIN.format(absent=set(TRAINS)), *arguments]


def test_a_space_is_checked_without_torch(desk: Desk) -> None:
    for arguments in (["check", str(ROOT / "search_spaces/models.yaml"), "--scale", "tiny"], ["catalog"], ["--help"]):
        command = without_train(desk, *arguments)
        done = subprocess.run(command, cwd=desk.folder, env=desk.environment(), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_no_gpu_where_nothing_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(machine.importlib.metadata, "version", version)
    assert machine.gpus() == []


def healthy(port: int) -> int:
    done = subprocess.run([sys.executable, DOCKER / "healthy.py"], env={"SWEEP_PORT": str(port)}, timeout=30)
    return done.returncode


def test_the_entrypoint_serves_with_tls_without_torch(desk: Desk) -> None:
    """What the server's image starts, with the certificate that docs/places/team.md makes."""
    text = (ROOT / "docs/places/team.md").read_text()
    recipe = text[text.index("openssl req") : text.index("\nchmod 444")].replace("$(hostname -f)", "sweep.example.org")
    subprocess.run(["bash", "-c", recipe], cwd=desk.folder, check=True, capture_output=True)
    desk.write("a-token-for-the-test", "token")
    desk.write("a-password", "password")
    program = desk.folder / "sweep"
    code = WITHOUT_TRAIN.format(absent=set(TRAINS))
    # the environment of the process is what the entrypoint made of it
    program.write_text(f"#!{sys.executable}\nimport os\nprint(os.environ['PGPASSWORD'], flush=True)\n{code}")
    program.chmod(0o755)
    command = [
        str(DOCKER / "entrypoint.sh"), "serve", "--port", "0", "--token-file", "token",
        "--certificate", "certificate.pem", "--key", "key.pem",
    ]  # fmt: skip
    env = desk.environment() | {"PATH": f"{desk.folder}:{os.environ['PATH']}", "PGPASSWORD_FILE": "password"}
    with (desk.folder / "err.log").open("w") as err, (desk.folder / "out.log").open("w") as out:
        process = subprocess.Popen(command, cwd=desk.folder, env=env, stdout=out, stderr=err, text=True)
    desk.started.append(process)
    desk.wait_for(lambda: " serves " in desk.err())
    port = int(desk.err().split(" serves ")[0].rsplit(":", 1)[1])
    assert (desk.folder / "out.log").read_text() == "a-password\n"
    assert healthy(port) == 0
    assert ssl.get_server_certificate(("127.0.0.1", port)) == (desk.folder / "certificate.pem").read_text()
    process.terminate()
    assert process.wait(20) == 0
    assert healthy(port) == 1
