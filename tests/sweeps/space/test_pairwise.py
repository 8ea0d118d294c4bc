"""Every two choices meet, in few rows, in spite of the rules; a shard is a part of them."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from sweeps.space import pairwise
from sweeps.space.exclusion import forbidden
from sweeps.space.loader import load
from sweeps.space.problems import SpaceErrors
from sweeps.space.schema import Choice, SearchSpace
from sweeps.space.walk import planned
from sweeps.study.proposer import Proposer

TEXT = """\
study: s
data: demo
search:
  model: [mask_rcnn, cascade_mask_rcnn, ms_rcnn, htc, scnet, solov2]
  backbone: [resnet18, resnet50, resnext101_32x4d]
  augmentation: [none, flip, [flip, resize_1024x1024], resize_1280x1024]
  optimizer:
    SGD: {lr: {float: [0.001, 0.1], log: true}, momentum: [0.8, 0.9]}
    AdamW: {}
  batch_size: {int: [1, 4]}
sampler: {kind: pairwise}
"""
FORBID = """\
forbid:
  - {model: [htc, scnet], backbone: resnext101_32x4d}
  - {model: solov2, backbone: [resnet18, resnet50], optimizer: SGD}
  - {augmentation: flip, optimizer: AdamW}
"""


def space(tmp_path: Path, more: str = "", *overrides: str) -> SearchSpace:
    path = tmp_path / "x.yaml"
    path.write_text(TEXT + more)
    return load(path, overrides)


def wanted(space: SearchSpace) -> set[pairwise.Pair]:
    """Pairs that some whole choice holds which the rules allow, found by looking at every one."""
    choices = {name: form.labels for name, form in space.forms().items() if isinstance(form, Choice)}
    rows = [dict(zip(choices, labels, strict=True)) for labels in itertools.product(*choices.values())]
    return {
        frozenset(two) for row in rows if not forbidden(space, row) for two in itertools.combinations(row.items(), 2)
    }


@pytest.mark.parametrize("more", ["", FORBID])
def test_every_allowed_pair_is_covered_and_no_row_is_forbidden(tmp_path: Path, more: str) -> None:
    found = space(tmp_path, more)
    rows = pairwise.rows(found)
    assert {frozenset(two) for row in rows for two in itertools.combinations(row.items(), 2)} == wanted(found)
    assert not [row for row in rows if forbidden(found, row)]
    assert 24 <= len(rows) <= 32, "6 models x 4 augmentations need 24; 144 would be all"


def test_shards_are_parts_of_the_whole(tmp_path: Path) -> None:
    whole = pairwise.rows(space(tmp_path, FORBID))
    parts = [pairwise.rows(space(tmp_path, FORBID, f"sampler.shard={n}/4")) for n in (1, 2, 3, 4)]
    assert sorted(map(str, itertools.chain(*parts))) == sorted(map(str, whole))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert planned(space(tmp_path, FORBID, "sampler.shard=2/4")) == ("pairwise", len(parts[1]))


def test_what_is_left_open_is_drawn_the_same_each_time(tmp_path: Path) -> None:
    found = space(tmp_path)
    once, again = ([*iter(Proposer(found, []).propose, None)] for _ in range(2))
    assert once == again
    assert len(once) == len(pairwise.rows(found))
    rates = [one["optimizer.SGD.lr"] for one in once if one["optimizer"] == "SGD"]
    assert len(set(rates)) == len(rates) and all(0.001 <= rate <= 0.1 for rate in rates)
    assert {one["batch_size"] for one in once} <= {1, 2, 3, 4}
    assert all(("optimizer.SGD.momentum" in one) == (one["optimizer"] == "SGD") for one in once)


def test_one_choice_is_each_of_its_names(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("study: s\ndata: demo\nsearch: {model: [htc, scnet]}\nsampler: {kind: pairwise}\n")
    assert pairwise.rows(load(path)) == [{"model": "htc"}, {"model": "scnet"}]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("0/4", "expected NUMBER/OF such as 1/4, found 0/4"),
        ("5/4", "expected NUMBER/OF such as 1/4, found 5/4"),
        ("3", "expected NUMBER/OF such as 1/4, found 3"),
    ],
)
def test_a_shard_that_is_none(tmp_path: Path, given: str, message: str) -> None:
    with pytest.raises(SpaceErrors) as caught:
        space(tmp_path, "", f"sampler.shard={given}")
    assert [problem.message for problem in caught.value.problems] == [message]


def test_other_samplers_have_no_shards(tmp_path: Path) -> None:
    with pytest.raises(SpaceErrors) as caught:
        space(tmp_path, "", "sampler.shard=1/4", "sampler.kind=random", "budget.trials=3")
    assert [problem.message for problem in caught.value.problems] == ["only pairwise has shards, found kind random"]


def test_pairs_need_choices(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("study: s\ndata: demo\nsearch: {lr: {float: [0.1, 1]}}\nsampler: {kind: pairwise}\n")
    with pytest.raises(SpaceErrors) as caught:
        load(path)
    assert [problem.key for problem in caught.value.problems] == ["sampler.kind"]
