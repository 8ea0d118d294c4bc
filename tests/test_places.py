"""The documents: every command line is one of ours, every script and manifest is what its own tool takes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import click
import kubernetes_validate
import psutil
import pytest
import yaml
from desk import Desk, alive, family
from waiting import Waiting
from written import blocks, command_lines, parses, words

ROOT = Path(__file__).parents[1]
PLACES = ROOT / "docs/places"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINES = [(page, *found) for page in PAGES for found in command_lines(page)]


def test_documents_show_commands() -> None:
    shown = {page.name for page, _, _ in LINES}
    assert {"README.md", "team.md", "slurm.md", "ray.md"} <= shown
    assert len(LINES) > 20


@pytest.mark.parametrize(("page", "line", "whole"), LINES, ids=[f"{page.name}: {line}"[:80] for page, line, _ in LINES])
def test_a_command_line_is_one_of_ours(page: Path, line: str, whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEP_SERVER", "https://server.example.org:8600")  # as team.md has the reader do
    try:
        parses(words(line))
    except click.exceptions.Exit:  # --help
        pass
    except click.MissingParameter as error:
        assert not whole, f"{page.name}: {line}: {error.format_message()}"
    except click.UsageError as error:
        pytest.fail(f"{page.name}: {line}: {error.format_message()}")


def test_a_mistyped_line_would_be_found() -> None:
    for line in ("sweep serve --hots 0.0.0.0", "sweep sevre", "sweep trials shwo 3", "sweep start"):
        with pytest.raises(click.UsageError):
            parses(words(line))


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", sorted(PLACES.glob("*.md")), ids=lambda page: page.name)
def test_shellcheck_has_nothing_to_say(page: Path, tmp_path: Path) -> None:
    for text in blocks(page, "bash"):
        script = tmp_path / "script.sh"
        script.write_text(text if text.startswith("#!") else f"#!/bin/bash\n{text}")
        # a block begins where the reader is: whether `cd` worked, or an address is example.org, is theirs to see
        command = [str(Path(sys.executable).with_name("shellcheck")), "--exclude=SC2164", str(script)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_the_manifest_is_what_kubernetes_takes() -> None:
    (text,) = blocks(PLACES / "kubernetes.md", "yaml")
    (manifest,) = yaml.safe_load_all(text)
    kubernetes_validate.validate(manifest, "1.37", strict=True)
    pod = manifest["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    parses(container["args"])
    assert pod["terminationGracePeriodSeconds"] > 10, "a worker hands its trial back within 10 s"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert {one["name"] for one in container["volumeMounts"]} == {one["name"] for one in pod["volumes"]}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest | {"spec": manifest["spec"] | {"replica": 4}}, "1.37", strict=True)


def test_the_batch_script_hands_a_signal_on_and_is_queued_again(desk: Desk) -> None:
    """The script itself with a real worker; only Slurm's `scontrol` is a stand-in that notes what it is asked."""
    script = next(text for text in blocks(PLACES / "slurm.md", "bash") if text.startswith("#!"))
    desk.write(script, "worker.sbatch")
    (desk.folder / "particles").mkdir()
    (desk.folder / ".config/sweep").mkdir(parents=True)
    desk.write("secret", ".config/sweep/token")
    (desk.folder / "disk/sweep-77").mkdir(parents=True)
    desk.write("as if a trial had left it", "disk/sweep-77/last.pth")
    (desk.folder / "bin").mkdir()
    scontrol = desk.folder / "bin/scontrol"
    scontrol.write_text('#!/bin/sh\necho "$@" >>"$HOME/asked"\n')
    scontrol.chmod(0o755)
    server = Waiting()
    edited = script.replace("https://server.example.org:8600", server.url)
    assert edited != script
    desk.write(edited.replace(" SWEEP_CA=$HOME/.config/sweep/certificate.pem", ""), "worker.sbatch")
    path = f"{desk.folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = desk.environment() | {"HOME": str(desk.folder), "PATH": path, "USER": "kim", "SLURM_JOB_ID": "77"}
    env["SLURM_TMPDIR"] = str(desk.folder / "disk")
    batch = subprocess.Popen(["bash", "worker.sbatch"], cwd=desk.folder, env=env)
    desk.started.append(batch)
    try:
        desk.wait_for(lambda: bool(server.workers))
        everything = family(batch.pid)
        assert len(everything) > 2
        os.kill(batch.pid, signal.SIGTERM)  # to the script alone, as --signal=B: does
        assert batch.wait(30) == 0
        assert not alive(psutil.wait_procs(everything, timeout=30)[1])
        assert (desk.folder / "asked").read_text() == "requeue 77\n"
        assert not list((desk.folder / "disk").iterdir())
    finally:
        server.close()
