"""The weekly table in every format."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from rich.cells import cell_len

from results.ranking.ranking import rank
from results.records import StudyRecord, TrialRecord
from results.tables.tables import render

TrialMaker = Callable[..., TrialRecord]


@pytest.fixture
def trials(trial_of: TrialMaker) -> list[TrialRecord]:
    return [
        trial_of(0, 0.58612912331234, owner="김철수"),
        trial_of(1, 0.6084128911, model="cascade_mask_rcnn", owner="Ann"),
        trial_of(2, 0.6065363398, model="solov2", owner="이영", seconds=3725.0),
        trial_of(3, None, model="htc", owner="B", state="failed", reason="out of memory\nwith [red]batch[/red] 2"),
        trial_of(4, None, model="scnet", owner="C", state="running"),
    ]


WIDE = """\
#  trial  owner   tried                  segm_mAP      +/-    AP50    AP75  epochs     time
1      1  Ann     cascade_mask_rcnn  0.6084128911  +0.0223  0.8123  0.4000      12     1:05
2      2  이영    solov2             0.6065363398  +0.0204  0.8123  0.4000      12  1:02:05
3      0  김철수  mask_rcnn          0.5861291233  +0.0000  0.8123  0.4000      12     1:05
models: segm_mAP of the last epoch, at most 300 detections an image, 4 validation images, data
nuclei, scale tiny
all with: backbone resnet18, augmentation flip, optimizer AdamW, epochs 12, batch_size 2, image_size
256x192, optimizer.lr 0.001, augmentation.flip.probability 0.5
+/-: difference to trial 0 (mask_rcnn)
2 trials are not complete (1 failed, 1 running); see them with: sweep rank --all --study models"""


def test_the_weekly_table(study: StudyRecord, trials: list[TrialRecord]) -> None:
    assert render(rank(study, trials), "table", 100) == WIDE


@pytest.mark.parametrize("width", [20, 40, 60, 80, 90, 100, 160])
@pytest.mark.parametrize("all_states", [False, True])
def test_it_fits_it_aligns_and_no_score_is_cut(
    study: StudyRecord, trials: list[TrialRecord], width: int, all_states: bool
) -> None:
    lines = render(rank(study, trials, all_states=all_states), "table", width).splitlines()
    table = lines[: next(n for n, line in enumerate(lines) if line.startswith("models: "))]
    if width >= 80:
        assert max(cell_len(line) for line in lines) <= width
    ends = set()
    for score in ("0.6084128911", "0.6065363398", "0.5861291233"):
        (line,) = [line for line in table if score in line]
        ends.add(cell_len(line[: line.index(score) + len(score)]))
    head = table[0]
    ends.add(cell_len(head[: head.index("segm_mAP") + len("segm_mAP")]))
    assert len(ends) == 1, "\n".join(table)
    assert "owner" in head or width < 80


def test_eighty_columns_hold_every_column(study: StudyRecord, trials: list[TrialRecord]) -> None:
    head = render(rank(study, trials[:2]), "table", 80).splitlines()[0]
    assert head.split() == [
        "#",
        "trial",
        "owner",
        "tried",
        "segm_mAP",
        "+/-",
        "AP50",
        "AP75",
        "epochs",
        "time",
    ]


def test_hangul_from_a_mac_aligns_as_well(study: StudyRecord, trials: list[TrialRecord]) -> None:
    """A Mac decomposes Hangul into its letters, which terminals and rich count differently."""
    decomposed = "\u1100\u1175\u11b7\u110e\u1165\u11af\u1109\u116e"
    changed = [replace(trials[0], owner=decomposed), *trials[1:]]
    assert render(rank(study, changed), "table", 100) == WIDE


def test_a_very_long_owner_goes_on_in_the_next_line(study: StudyRecord, trials: list[TrialRecord]) -> None:
    changed = [replace(trials[0], owner="someone.with.a.long.address@example.org"), *trials[1:]]
    text = render(rank(study, changed), "table", 80)
    assert "0.5861291233" in text and max(cell_len(line) for line in text.splitlines()) <= 80


def test_why_a_trial_is_not_complete(study: StudyRecord, trials: list[TrialRecord]) -> None:
    text = render(rank(study, trials, all_states=True), "table", 160)
    assert "failed: out of memory with [red]batch[/red] 2" in text
    assert "not complete" not in text


def test_a_terminal_is_sent_no_control_characters(study: StudyRecord, trials: list[TrialRecord]) -> None:
    changed = [replace(trials[0], owner="\x1b[31mred\x07"), *trials[1:]]
    text = render(rank(study, changed), "table", 100)
    assert "\x1b" not in text and "\x07" not in text


def test_colours_only_where_asked(study: StudyRecord, trials: list[TrialRecord]) -> None:
    assert "\x1b[1;32m" in render(rank(study, trials), "table", 100, color=True)


def test_nothing_is_complete_yet(study: StudyRecord, trials: list[TrialRecord]) -> None:
    assert render(rank(study, trials[3:]), "table", 100).splitlines()[-2:] == [
        "no trial is complete yet",
        "2 trials are not complete (1 failed, 1 running); see them with: sweep rank --all --study models",
    ]
    assert render(rank(study, []), "csv").startswith("rank,trial,combination,state,owner,")
    assert json.loads(render(rank(study, []), "json"))["rows"] == []
    assert "no trial is complete yet" in render(rank(study, []), "markdown")
    assert "<table" not in render(rank(study, []), "html")


def test_a_long_objective_stands_below(study: StudyRecord, trials: list[TrialRecord]) -> None:
    long = replace(study, objective="segm_mAP@0.3:0.6:0.05", at="best")
    lines = render(rank(long, trials), "table", 100).splitlines()
    assert "score" in lines[0].split()
    assert "models: segm_mAP@0.3:0.6:0.05 of the best epoch" in lines[4]


def test_markdown(study: StudyRecord, trials: list[TrialRecord]) -> None:
    changed = [replace(trials[0], owner="a|b <i>c</i>"), *trials[1:]]
    lines = render(rank(study, changed), "markdown").splitlines()
    assert lines[0].split("|")[5].strip() == "segm_mAP"
    assert lines[1].startswith("|----:|") or lines[1].startswith("|")
    assert "a\\|b &lt;i&gt;c&lt;/i&gt;" in lines[4]
    assert "| 0.5861291233 |" in lines[4]
    assert (
        lines[-1] == "2 trials are not complete (1 failed, 1 running); see them with: sweep rank --all --study models"
    )


CSV_HEADER = [
    *("rank", "trial", "combination", "state", "owner", "model", "backbone", "augmentation", "optimizer", "seed"),
    *("epochs", "score", "segm_mAP", "segm_mAP_50", "segm_mAP_75", "segm_mAP_s", "segm_mAP_m", "segm_mAP_l"),
    *("bbox_mAP", "best_score", "best_epoch", "delta_baseline", "parameters", "peak_memory_mb", "seconds", "reason"),
    *("mean", "seeds", "interval", "group", "seconds_per_image", "front", "adjusted"),
    *("optimizer.lr", "augmentation.flip.probability"),
]


def test_csv_has_all_digits(study: StudyRecord, trials: list[TrialRecord]) -> None:
    changed = [replace(trials[0], owner='=1+1,"x"'), *trials[1:]]
    text = render(rank(study, changed, all_states=True), "csv")
    assert text.splitlines()[0].split(",") == CSV_HEADER
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["rank"] for row in rows] == ["1", "2", "3", "", ""]
    assert (rows[2]["score"], rows[2]["trial"], rows[2]["parameters"]) == ("0.58612912331234", "0", "123456")
    assert rows[2]["owner"] == '\'=1+1,"x"'
    assert (rows[2]["augmentation"], rows[2]["optimizer.lr"], rows[2]["segm_mAP_s"]) == ("flip", "0.001", "")
    assert rows[3]["reason"] == "out of memory\nwith [red]batch[/red] 2"


class Page(HTMLParser):
    """Collects cells, and every tag with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells and self.lasttag in ("td", "th"):
            self.cells[-1] += data.strip()


def test_html_is_one_harmless_page(study: StudyRecord, trials: list[TrialRecord]) -> None:
    attack = "<script>alert(1)</script>"
    changed = [replace(trials[0], owner=attack), *trials[1:]]
    text = render(rank(replace(study, name=attack), changed), "html")
    page = Page(text)
    assert attack in page.cells and "0.5861291233" in page.cells and "이영" in page.cells
    assert not any(tag in ("script", "link", "img", "iframe") for tag, _ in page.tags)
    assert not any("src" in attributes or "href" in attributes for _, attributes in page.tags)
    assert ("meta", {"charset": "utf-8"}) in page.tags
    assert text.startswith("<!doctype html>")


def test_json_never_says_nan(study: StudyRecord, trials: list[TrialRecord]) -> None:
    changed = [
        replace(trials[0], params={"optimizer.lr": math.nan}, metrics={"segm_mAP": math.inf}),
        *trials[1:],
    ]
    text = render(rank(study, changed), "json")
    assert "NaN" not in text and "Infinity" not in text and "김철수" in text
    row = json.loads(text)["rows"][2]
    assert row["params"] == {"optimizer.lr": None} and row["score"] == 0.58612912331234
