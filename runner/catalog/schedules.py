"""Learning-rate schedules: name -> parameters; ``runner.render`` writes mmengine's param_scheduler."""

from __future__ import annotations

from runner.catalog.base import Entry, Parameter

_WARMUP = Parameter("int", 500, 0, 100_000, help="iterations of linear warm-up (at most a tenth of the training)")

SCHEDULES = {
    entry.name: entry
    for entry in (
        Entry("step", "Step decay", "mmdet/.mim/configs/_base_/schedules/schedule_1x.py", {
            "warmup": _WARMUP,
            "gamma": Parameter("float", 0.1, 0, 1, help="factor at 8/12 and at 11/12 of the epochs"),
        }),
        Entry("cosine", "Cosine annealing", "arXiv:1608.03983", {"warmup": _WARMUP}),
        Entry("constant", "Constant", "mmengine.optim.ConstantLR", {"warmup": _WARMUP}),
    )
}  # fmt: skip
