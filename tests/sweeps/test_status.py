"""The status document is the same whether it is made from a few trials or from the whole ranking."""

from __future__ import annotations

from pathlib import Path

from made_up import ASK, Bench, result, run

from results.ranking import rank
from sweeps.leases.coordinator import Coordinator
from sweeps.status import document


def test_the_best_row_is_that_of_the_ranking(tmp_path: Path) -> None:
    with Bench(tmp_path).study() as study:
        coordinator = Coordinator(study)
        assert coordinator.status()["best"] is None
        scores = {0: 0.25, 1: 0.5, 2: 0.5, 3: 0.125}
        run(coordinator, lambda trial, epoch: scores[trial], trials=3)
        lease = coordinator.lease(ASK).lease
        assert lease
        coordinator.finish(lease.trial, lease.fence, result(outcome="failed", failure="nan_loss", reason="NaN"))
        found = document(study.store, study.record, "running", [{}, {}], 6)
        whole = rank(study.record, study.store.trials("made_up"))
        assert whole.best and found["best"] == whole.best.document()
        assert (found["best"]["trial"], found["best"]["rank"], found["best"]["delta_baseline"]) == (1, 1, 0.25)
        assert found["trials"] == study.store.counts("made_up")
        assert found["eta_seconds"] == 6 * 60.0 / 2
