"""The ordinary optuna-dashboard opens the database while the sweep runs; looked at in a real browser."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from desk import Desk
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    assert CHROMIUM and DRIVER, "this test looks at a page: apt-get install chromium chromium-driver"
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        "headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync",
        "disable-background-networking", "disable-component-update", "disable-dev-shm-usage",
        f"user-data-dir={tmp_path / 'profile'}", "window-size=1400,1800",
    ):  # fmt: skip
        options.add_argument(f"--{flag}")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_the_dashboard_shows_the_study_while_it_runs(small: Desk, browser: webdriver.Chrome, port: int) -> None:
    # the first trial is complete, the second trains, and the browser may take its time: a third one follows
    sweep = small.spawn("start", "space.yaml", "--set", "search.seed=[0, 1, 2]", "--set", "budget.trials=3")
    command = [Path(sys.executable).with_name("optuna-dashboard"), "sqlite:///sweeps.db", "--port", str(port)]
    small.wait_for(lambda: "trial 1 epoch 1/4" in small.err())
    with (small.folder / "dashboard.log").open("w") as log:
        dashboard = subprocess.Popen(command, cwd=small.folder, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        _answers(url, dashboard)
        browser.get(f"{url}/dashboard/")
        _see(browser, "small")
        study_id = httpx.get(f"{url}/api/studies").json()["study_summaries"][0]["study_id"]
        browser.get(f"{url}/dashboard/studies/{study_id}")
        _see(browser, "Best Trial")
        score = small.json("rank")["rows"][0]["score"]
        _see(browser, str(score)[:8])
        _see(browser, "segm_mAP")
        browser.get(f"{url}/dashboard/studies/{study_id}/trials")
        for text in ("Running", "Complete", "Trials", "owner", "segm_mAP_50"):
            _see(browser, text)
        assert sweep.poll() is None, "the sweep ended before the dashboard was looked at"
        browser.save_screenshot(str(small.folder / "dashboard.png"))
    finally:
        dashboard.terminate()
        dashboard.wait()
    assert sweep.wait(timeout=400) == 0, "the dashboard must not disturb the sweep"


def _answers(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(150):
        assert process.poll() is None, "the dashboard ended"
        try:
            httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError("the dashboard does not answer")


def _see(browser: webdriver.Chrome, text: str) -> None:
    WebDriverWait(browser, 90).until(
        lambda b: text in b.find_element(By.TAG_NAME, "body").text, f"{text!r} is not on {browser.current_url}"
    )
