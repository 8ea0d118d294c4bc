"""A campaign's file: every mistake at once with its place, whichever combination wins; check and plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from campaigning import ALONE, TWO_STAGES

from sweeps.campaign.document import is_campaign, read_campaign
from sweeps.campaign.stages import Options, look_ahead
from sweeps.cli import main
from sweeps.space.problems import SpaceErrors
from sweeps.space.schema import Choice, SearchSpace

Captured = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "search_spaces" / "campaign.yaml"
NUCLEI = ROOT / "tests" / "data" / "nuclei" / "data.yaml"
HEAD = "campaign: c\ndata: demo\nscale: tiny\n"  # three lines

CASES = {
    "stages: {a: {search: {model: [htc]}}, a: {search: {model: [scnet]}}}": [
        "4:39: stages.a: the key stands here a second time (first in line 4)",
    ],
    "": ["1:1: stages: expected stages and what each searches, found none; "
         "write stages: {models: {search: {model: [...]}}}"],
    "stages: [models]": [
        '4:1: stages: expected a mapping of stages to what they search, found ["models"]; '
        "write stages: {models: {search: {model: [...]}}}",
    ],
    "study: x\nstages: {a: {search: {model: [htc]}}}": [
        "4:1: study: this is no key of a campaign; write campaign: NAME",
    ],
    "stages:\n  a: {search: {model: [htc]}}\n  b: {fixed: {epochs: 3}}\n  c: {search: {}}\n  d.e: {search: {a: 1}}": [
        "6:3: stages.b: this stage searches nothing; write search: {model: [...]}, or leave the stage out",
        "7:7: stages.c.search: this stage searches nothing; write search: {model: [...]}, or leave the stage out",
        "8:3: stages.d.e: expected letters, digits, '_' and '-' (it names a folder), found d.e; write d_e",
    ],
    "stages:\n  a: {serach: {model: [htc]}, search: {model: [htcc]}}\n  b: {search: {backbone: [resnet1]}, data: x}": [
        "5:7: stages.a.serach: unknown key serach; did you mean search?",
        "5:48: stages.a.search.model[0]: unknown model htcc; did you mean htc?",
        "6:27: stages.b.search.backbone[0]: unknown backbone resnet1; did you mean resnet18?",
        "6:38: stages.b.data: unknown key data; write one of search, fixed, config, forbid, sampler, pruner, repeats, "
        "budget, keep",
    ],
    "fixed: {epochs: none}\nstages: {a: {search: {model: [htc]}}, b: {search: {backbone: [resnet18]}}}": [
        "4:9: fixed.epochs: expected a whole number, found 'none'",
    ],
    "stages: {a: {search: {model: {top: 2}}}}": [
        "4:23: stages.a.search.model: the first stage has no winner to start from; write a list of what it tries",
    ],
    "stages:\n  a: {search: {model: [htc]}}\n  b: {search: {backbone: {top: 2}, model: {top: 0}}}": [
        "6:16: stages.b.search.backbone: no stage before this one searches backbone; write a list of what it tries",
        "6:44: stages.b.search.model.top: expected a whole number from 1 to 100, found 0",
    ],
    "stages:\n  a: {search: {optimizer: [SGD]}}\n  b: {search: {optimizer: {around: {lrr: 3, lr: 1}}}}": [
        "6:45: stages.b.search.optimizer.around.lr: expected a number above 1 (3: from a third to three times the "
        "winner's), found 1",
    ],
    "stages:\n  a: {search: {optimizer: [SGD]}}\n  b: {search: {optimizer: {around: {lrr: 3}}, amp: {around: 2}}}": [
        "6:37: stages.b.search.optimizer.around.lrr: SGD has no parameter lrr; did you mean lr?",
        "6:53: stages.b.search.amp.around: nothing lies around amp, which is no plain number; write top, or a list",
    ],
    "stages:\n  a: {search: {lr: [1]}}\n  b: {search: {model: [scnet]}, fixed: {model: htc}, budget: {trial: 3}}": [
        "6:16: stages.b.search.model: model stands under fixed as well; leave one of them out",
        "6:63: stages.b.budget.trial: unknown key trial; did you mean trials?",
    ],
    "stages:\n  a: {search: {optimizer: [SGD]}}\n  b: {search: {optimizer: {around: {lr: 3}}}}": [
        "6:3: budget.trials: expected a number of trials, found none, and the space is infinite; "
        "write budget: {trials: 20}",
    ],
    "total: {trials: 3, gpu_hours: 0, hours: x}\nstages: {a: {search: {model: [htc]}, total: {hours: 1}}}": [
        "4:9: total.trials: unknown key trials; write one of gpu_hours, hours",
        "4:20: total.gpu_hours: expected a number above 0, found 0",
        "4:34: total.hours: expected a number, found 'x'",
        "5:38: stages.a.total: unknown key total; write one of search, fixed, config, forbid, sampler, pruner, "
        "repeats, budget, keep",
    ],
    "forbid: [{model: htc, amp: true}]\nstages: {a: {search: {model: [htc, scnet]}}}": [
        "4:10: forbid[0]: no stage fixes or searches all of these keys; leave the rule out",
    ],
}  # fmt: skip


def mistakes(path: Path, text: str, *overrides: str) -> list[str]:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpaceErrors) as caught:
        campaign, problems = read_campaign(path, overrides)
        look_ahead(campaign, problems, ALONE)
    return [line.removeprefix(f"{path}:") for line in str(caught.value).splitlines()]


@pytest.mark.parametrize(("text", "lines"), CASES.items())
def test_every_mistake_has_its_line(tmp_path: Path, text: str, lines: list[str]) -> None:
    assert mistakes(tmp_path / "c.yaml", HEAD + text) == lines


def test_what_cannot_work_is_said_whichever_option_wins(tmp_path: Path) -> None:
    """SGD is listed first and may have any layer_decay; LBFGS, which may win as well, none."""
    text = HEAD + "stages:\n  a: {search: {optimizer: [SGD, LBFGS]}}\n  b: {search: {layer_decay: [0.8, 0.9]}}\n"
    (line,) = mistakes(tmp_path / "c.yaml", text)
    assert "optimizer LBFGS with layer_decay 0.8 or 0.9 cannot work" in line
    forbidden = text + "  c: {search: {schedule: [step, cosine]}}\n"
    assert len(mistakes(tmp_path / "c.yaml", forbidden)) == 1, "said once, not for every stage after it"


def test_the_same_twice_under_one_winner_is_said_unless_it_is_forbidden(tmp_path: Path) -> None:
    """Rprop knows no schedule: under it both would be one training."""
    text = HEAD + "stages:\n  a: {search: {optimizer: [SGD, Rprop]}}\n  b: {search: {schedule: [step, cosine]}}\n"
    assert mistakes(tmp_path / "c.yaml", text) == [
        "6:33: stages.b.search.schedule[1]: cosine trains the same as step (line 6, column 27) at scale tiny; "
        "leave one of them out",
    ]
    (tmp_path / "c.yaml").write_text(text + "forbid: [{optimizer: Rprop, schedule: cosine}]\n")
    assert len(ahead(tmp_path / "c.yaml")) == 2


def test_set_holds_for_all_stages_or_for_one(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(TWO_STAGES)
    overrides = ["campaign=d", "fixed.epochs=7", "stages.backbones.fixed.epochs=9", "stages.models.budget.trials=2"]
    one, other = ahead(path, *overrides)
    assert (one.study, other.study) == ("d.models", "d.backbones")
    assert (one.fixed["epochs"], other.fixed["epochs"]) == (7, 7), "what is set for all holds for all"
    assert (one.budget.trials, other.budget.trials) == (2, None)
    assert ahead(path, "stages.backbones.fixed.epochs=9")[1].fixed["epochs"] == 9
    assert mistakes(path, TWO_STAGES, "study=x", "search.lr=[1]", "stages.models.search.model=[htcc]") == [
        "--set:1:1: study: this is no key of a campaign; write campaign=NAME",
        "--set:2:1: search.lr: this is no key of a campaign; write stages.STAGE.search.lr=...",
        "--set:3:1: search.model[0]: unknown model htcc; did you mean htc?",
    ]


def ahead(path: Path, *overrides: str, scale: str = "tiny") -> list[SearchSpace]:
    campaign, problems = read_campaign(path, overrides)
    return look_ahead(campaign, problems, Options(None, scale, 0))


@pytest.mark.parametrize("scale", ["tiny", "standard"])
def test_the_shipped_campaign_is_the_four_weeks_and_a_refinement(scale: str) -> None:
    assert is_campaign(SHIPPED) and not is_campaign(ROOT / "search_spaces" / "models.yaml")
    spaces = ahead(SHIPPED, scale=scale)
    assert [space.study.rpartition(".")[2] for space in spaces] == [
        "models", "backbones", "augmentations", "optimizers", "refine",
    ]  # fmt: skip
    assert not [note for space in spaces for note in space.notes]
    refine = spaces[-1].search["optimizer"]
    assert isinstance(refine, Choice) and len(refine.options) == 2
    assert all("lr" in option.value[0].params for option in refine.options)


@pytest.mark.parametrize("scale", ["tiny", "standard"])
def test_the_page_s_first_look_is_a_campaign(tmp_path: Path, capsys: Captured, scale: str) -> None:
    section = (ROOT / "docs" / "campaigns.md").read_text(encoding="utf-8").partition("## A cheap first look")[2]
    path = tmp_path / "look.yaml"
    path.write_text(section.partition("```yaml\n")[2].partition("```")[0], encoding="utf-8")
    look, full = ahead(path, scale=scale)
    assert (look.fixed["train_share"], full.fixed["train_share"]) == (0.25, 1)
    code, out, _ = said(capsys, "check", path, "--data", NUCLEI, "--scale", scale)
    assert (code, out) == (0, f"{path}: ok: campaign particles, 2 stages, 16 trials\n")
    code, out, _ = said(capsys, "plan", path, "--data", NUCLEI, "--scale", scale, "--format", "json")
    fixed = [one["fixed"] for one in json.loads(out)["stages"]]
    assert code == 0 and [(one["image_size"], one["train_share"]) for one in fixed] == [(320, 0.25), (1280, 1.0)]


def said(capsys: Captured, *arguments: str | Path) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(list(map(str, arguments)))
    return code, *capsys.readouterr()


def test_check_says_what_is_wrong_or_how_much_there_is(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(TWO_STAGES)
    assert said(capsys, "check", path) == (0, f"{path}: ok: campaign particles, 2 stages, 5 trials\n", "")
    path.write_text(HEAD + "stages: {a: {search: {model: [htcc]}}, b: {}}\n")
    code, out, err = said(capsys, "check", path)
    assert (code, out, len(err.splitlines())) == (1, "", 2)
    code, out, _ = said(capsys, "check", path, "--format", "json")
    found = json.loads(out)
    assert (code, found["ok"], [one["key"] for one in found["errors"]]) == (
        1, False, ["stages.a.search.model[0]", "stages.b"],
    )  # fmt: skip
    code, out, err = said(capsys, "start", path)
    assert (code, out, len(err.splitlines())) == (1, "", 2), "start says the same before it looks at anything else"


def test_plan_tells_what_is_known_and_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = said(capsys, "plan", SHIPPED, "--data", NUCLEI, "--scale", "tiny", "--format", "json")
    plan: dict[str, Any] = json.loads(out)
    assert (code, plan["trials"], [one["trials"] for one in plan["stages"]]) == (0, 54, [6, 14, 12, 10, 12])
    first, *_, optimizers, refine = plan["stages"]
    assert first["fixed"]["backbone"] == "resnet18"
    assert {key for key, value in optimizers["fixed"].items() if value == "the winner's"} == {
        "model", "backbone", "augmentation",
    }  # fmt: skip
    assert {"key": "optimizer", "top": 2, "around": {"lr": 3, "weight_decay": 10}} in refine["varies"]
    assert list(tmp_path.iterdir()) == []
    code, out, _ = said(capsys, "plan", SHIPPED, "--data", NUCLEI, "--scale", "tiny")
    assert code == 0 and "campaign campaign: 5 stages, 54 trials, scale tiny" in out
