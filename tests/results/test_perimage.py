"""Evidence read back: what is damaged, and what is not there. The figures: tests/runner/test_evidence.py."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from evidence import packed, training

from results.errors import ResultsError
from results.statistics.evidence import layout, unpack
from results.statistics.perimage import Evidence


@pytest.fixture
def evidence() -> Evidence:
    return training(0)


def test_what_was_packed_is_read(evidence: Evidence) -> None:
    again = unpack(packed(evidence))
    assert again.figure("segm_mAP") == evidence.figure("segm_mAP")
    assert layout(packed(evidence)) == 1


def test_precision_by_hand() -> None:
    """Two images with two truths each; by falling score: hit, miss, hit, and one truth is never found.

    Precision is 1 up to recall 1/4 (recalls 0 to 0.25: 26 of 101), then 2/3 up to 2/4 (25 of 101), then 0.
    With the second image alone the miss comes first: precision 1/2 up to recall 1/2 (51 of 101).
    """
    one = Evidence(
        kind="segm", cap=100, thresholds=np.array([0.5]), sizes=("all",), images=np.array([7, 9]),
        truths=np.array([[[2, 2]]]), found=np.array([[1, 2]]), scores=np.array([0.9, 0.8, 0.7]),
        matched=np.array([[[True, False, True]]]), ignored=np.zeros((1, 1, 3), bool),
    )  # fmt: skip
    assert one.figure("segm_mAP_50") == pytest.approx((26 + 25 * 2 / 3) / 101)
    assert one.figure("segm_mAP_50", np.array([0, 3])) == pytest.approx(51 / 2 / 101)
    found = one.replicates("segm_mAP_50", np.array([[1, 1], [0, 3], [2, 0], [0, 0]]))
    assert found[:3] == pytest.approx([(26 + 25 * 2 / 3) / 101, 51 / 2 / 101, 51 / 101])
    assert np.isnan(found[3])


def test_thousands_of_choices_are_each_as_if_alone(evidence: Evidence) -> None:
    taken = np.random.default_rng(0).multinomial(len(evidence.images), evidence.images * 0 + 0.02, size=3000)
    many = evidence.replicates("segm_mAP", taken)
    for i in (0, 1023, 1024, 2999):
        assert many[i] == pytest.approx(evidence.figure("segm_mAP", taken[i]), rel=0, abs=1e-13)


@pytest.mark.parametrize("metric", ["bbox_mAP", "segm_mAP@0.2:0.4", "segm_AR", "nothing"])
def test_a_figure_that_was_not_kept(evidence: Evidence, metric: str) -> None:
    with pytest.raises(ResultsError, match="no evidence for"):
        evidence.figure(metric)


def changed(blob: bytes, **about: Any) -> bytes:
    with np.load(io.BytesIO(blob)) as arrays:
        kept = {name: arrays[name] for name in arrays.files}
    document = json.loads(kept["about"].tobytes()) | about
    kept["about"] = np.frombuffer(json.dumps(document).encode(), np.uint8)
    file = io.BytesIO()
    np.savez_compressed(file, **kept)
    return file.getvalue()


def test_damaged_evidence_is_one_line(evidence: Evidence) -> None:
    blob = packed(evidence)
    for broken in (b"", b"nonsense", blob[:-200], blob[:100] + bytes(50) + blob[150:], changed(blob, sizes=[])):
        with pytest.raises(ResultsError, match="damaged"):
            unpack(broken)
    assert layout(b"nonsense") == 0
    with pytest.raises(ResultsError, match="layout 2; update sweep"):
        unpack(changed(blob, version=2))
    assert layout(changed(blob, version=2)) == 2


def test_pickled_objects_are_refused(evidence: Evidence) -> None:
    file = io.BytesIO()
    np.savez_compressed(file, about=np.array([{"version": 1}], dtype=object))
    with pytest.raises(ResultsError, match="damaged"):
        unpack(file.getvalue())


def test_a_file_that_would_fill_the_memory_is_refused() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as full, full.open("a.npy", "w", force_zip64=True) as entry:
        for _ in range(33):
            entry.write(bytes(1 << 20))
    assert len(file.getvalue()) < 100_000
    with pytest.raises(ResultsError, match="larger than any"):
        unpack(file.getvalue())


def test_numbers_that_contradict_each_other_are_damage(evidence: Evidence) -> None:
    for broken in (
        replace(evidence, found=evidence.found + 1),
        replace(evidence, images=evidence.images[1:]),
        replace(evidence, truths=evidence.truths[..., 1:]),
    ):
        with pytest.raises(ResultsError, match="damaged"):
            unpack(packed(broken))


def test_whatever_a_worker_sends_is_at_worst_damage(evidence: Evidence) -> None:
    """Bytes turned at random, and documents that lie about what they hold."""
    blob, rng = packed(evidence), np.random.default_rng(0)
    lies: list[dict[str, Any]] = [
        {"thresholds": [0.5] * 10**6}, {"thresholds": "all"}, {"thresholds": [None]}, {"sizes": 3}, {"version": None},
        {"sizes": ["all"] * 2}, {"cap": "many"}, {"kind": None, "thresholds": []},
    ]  # fmt: skip
    broken = [changed(blob, **lie) for lie in lies]
    for _ in range(300):
        turned = bytearray(blob)
        for place in rng.integers(0, len(turned), 3):
            turned[place] = rng.integers(0, 256)
        broken.append(bytes(turned))
    refused = 0
    for one in broken:
        layout(one)
        try:
            assert unpack(one).figure("segm_mAP") is not None
        except ResultsError:
            refused += 1
    assert refused > 200
