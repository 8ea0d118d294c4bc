"""Learning-rate schedules: name -> parameters; ``runner.render`` writes mmengine's param_scheduler.

Rprop takes its learning rate once, as its first step size, so it trains without any schedule.
"""

from __future__ import annotations

from runner.catalog.base import Entry, Parameter

_WARMUP = {
    "warmup": Parameter("int", 500, 0, 100_000, help="iterations of linear warm-up (at most a tenth of the training)"),
    "warmup_factor": Parameter("float", 0.001, 1e-9, 1, log=True, help="factor at the first iteration"),
}
_MIN = Parameter("float", 0.0, 0, 1, help="factor at the end")

SCHEDULES = {
    entry.name: entry
    for entry in (
        Entry("step", "Step decay", "mmdet/.mim/configs/_base_/schedules/schedule_1x.py", {
            **_WARMUP, "gamma": Parameter("float", 0.1, 0, 1, help="factor at 8/12 and at 11/12 of the epochs"),
        }),
        Entry("cosine", "Cosine annealing", "arXiv:1608.03983", {**_WARMUP, "min_factor": _MIN}),
        Entry("poly", "Polynomial decay", "mmengine.optim.PolyLR", {
            **_WARMUP, "min_factor": _MIN,
            "power": Parameter("float", 1.0, 0.01, 10, help="1 is a straight line, more falls sooner"),
        }),
        Entry("one_cycle", "One cycle", "arXiv:1708.07120", {
            "pct_start": Parameter("float", 0.3, 0.01, 0.99, help="share of the training in which the rate rises"),
            "div_factor": Parameter("float", 25.0, 1, 1e6, log=True, help="the optimizer's lr over the first rate"),
            "final_div_factor": Parameter("float", 1e4, 1, 1e12, log=True, help="the first rate over the last"),
            "anneal_strategy": Parameter("str", "cos", choices=("cos", "linear"), help="shape of rise and fall"),
        }),
        Entry("constant", "Constant", "mmengine.optim.ConstantLR", _WARMUP),
    )
}  # fmt: skip
