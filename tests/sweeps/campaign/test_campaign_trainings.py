"""A campaign with real trainings: Ctrl-C in its second stage and a second start; and through a team's server."""

from __future__ import annotations

import json
import signal
import socket

import pytest
from desk import NUCLEI, Desk, alive, family

CAMPAIGN = """\
campaign: 세포
data: {data}
scale: tiny
fixed: {backbone: resnet18, augmentation: flip, epochs: 3, image_size: 64, batch_size: 2}
budget: {trials: 2}
stages:
  models:
    search: {model: [mask_rcnn, solov2]}
  refine:
    search: {model: {top: 1}, optimizer: {around: {lr: 3}}}
"""
IN_SETS = "".join(
    f"{part}: {{images: {NUCLEI.parent}/{part}, annotations: {NUCLEI.parent}/{part}.json}}\n"
    for part in ("train", "val")
)

pytestmark = pytest.mark.slow


def test_ctrl_c_in_the_second_stage_and_a_second_start(desk: Desk) -> None:
    desk.write(f"name: nuclei\n{IN_SETS}holdout: {{split: 0.3}}\n", "data.yaml")
    desk.write(CAMPAIGN.replace("{data}", "data.yaml"), "campaign.yaml")
    campaign = desk.spawn("start", "campaign.yaml")
    desk.wait_for(lambda: desk.err().count("trial 0 epoch 1/3") == 2, seconds=400)
    before = family(campaign.pid)
    second = desk.spawn("start", "campaign.yaml")
    desk.wait_for(lambda: "campaign 세포 runs already" in desk.err())
    campaign.send_signal(signal.SIGINT)
    assert campaign.wait(timeout=20) == 130
    assert second.wait(timeout=20) == 1, "whoever watched sees that it has not come to its end"
    desk.wait_for(lambda: not alive(before), seconds=10)
    assert "campaign 세포 is not finished; go on with: sweep start campaign.yaml" in desk.err()
    stopped = desk.json("campaign")
    assert [one["state"] for one in stopped["stages"]] == ["finished", "stopped"]
    assert stopped["stages"][0]["complete"] == 2 and stopped["stages"][1]["complete"] < 2

    done = desk.run("start", "campaign.yaml")
    assert done.returncode == 0, done.stderr
    assert "stage 1 of 2, models: best" in done.stderr and "trial 1 epoch 3/3" in done.stderr
    assert done.stderr.count("scoring 4 held-out images") == 2
    found = desk.json("campaign")
    held = found["holdout"]
    assert (held["images"], held["looks"]) == (4, 2) and held["interval"]
    assert "winner - baseline" in done.stdout and done.stdout == desk.run("campaign").stdout
    assert [(one["stage"], one["trials"], one["state"]) for one in found["stages"]] == [
        ("models", 2, "finished"), ("refine", 2, "finished"),
    ]  # fmt: skip
    assert found["stages"][0] == {**stopped["stages"][0]}, "what was finished stays as it was"
    models, refine = found["stages"]
    assert refine["parts"]["model"]["name"] == models["parts"]["model"]["name"]
    rate = models["parts"]["optimizer"]["params"]["lr"]
    assert rate / 3.001 < refine["parts"]["optimizer"]["params"]["lr"] < rate * 3.001
    gains = [one["gain"] for one in found["stages"]]
    assert gains[0]["interval"], "the four validation images left evidence"
    assert gains[1]["interval"] or gains[1]["value"] == 0.0, "the same training once more"
    assert "budget.trials 2 is spent" in desk.run("status").stdout
    best = desk.run("best", "--study", "세포", "--export", "config")
    assert best.returncode == 0 and (desk.folder / best.stdout.strip()).exists()


def test_through_a_server_whose_worker_trains_it(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    desk.write(f"name: nuclei\n{IN_SETS}holdout: {{split: 0.3}}\n", "data.yaml")
    desk.write(CAMPAIGN.replace("{data}", "data.yaml").replace("trials: 2", "trials: 1"), "campaign.yaml")
    server = desk.spawn("serve", "--port", str(port), "--work-dir", "of the server")
    desk.wait_for(lambda: "Ctrl-C ends it" in desk.err())
    options = ("--server", f"http://127.0.0.1:{port}", "--token-file", "sweeps.db.token")
    worker = desk.spawn("worker", *options, "--owner", "Ann", "--work-dir", "of the worker")
    done = desk.run("start", "campaign.yaml", *options)
    assert done.returncode == 0, done.stderr
    assert "stage by stage while this watches" in done.stderr
    stages = desk.run("campaign", *options)
    assert (stages.returncode, stages.stdout) == (0, done.stdout)
    scored = done.stderr.count("scoring 4 held-out images")
    assert scored and "on 4 images that no trial and no ranking saw" in done.stdout
    confirmed = desk.run("confirm", "--study", "세포", "--seeds", "1", *options, "--format", "json")
    assert confirmed.returncode == 0, confirmed.stderr
    found = json.loads(confirmed.stdout)["holdout"]
    assert found["images"] == 4 and found["winner"]["fresh"] is not None, "a seed that had no part in the choice"
    assert not list(desk.folder.glob("work_dirs/**/*.pth")), "what came from the server to be scored does not stay"
    for process in (worker, server):
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
