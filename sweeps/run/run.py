"""One run of a study on this machine: server and workers up, watch until the end, everything down again."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import click

from results.database.outage import Notice
from results.database.urls import named
from results.records import StudyRecord, StudyState
from results.store import Store
from runner.errors import INTERRUPTED, UserError
from runner.machine import slots
from runner.pool import Pool
from runner.pool.claims import Claims
from runner.pool.local import LocalPool
from runner.protocol import DataPaths, Scale, digest
from sweeps.access import artifact_store, runfile
from sweeps.access.remote import Remote
from sweeps.access.source import Source
from sweeps.artifacts import Artifacts, Place
from sweeps.confirm.confirm import Confirmation, begin
from sweeps.confirm.heldout import Scorer
from sweeps.imports.imports import ImportedTable, announce, taken
from sweeps.leases.coordinator import Coordinator
from sweeps.run.interrupts import Interrupts, let_interrupt
from sweeps.run.live import Live
from sweeps.run.owning import check_writable, follow, owner, owning
from sweeps.server.app import Address, Server, create_app
from sweeps.server.housekeeping import Housekeeper
from sweeps.server.registry import Registry
from sweeps.show import print_standing
from sweeps.space.schema import SearchSpace
from sweeps.study.setup import check_identity, open_study, reopened
from sweeps.study.study import Study

_TICK_SECONDS = 0.5
_WORK_DIR = Path("work_dirs")  # where a start trains that names no other folder


@dataclass(frozen=True)
class Plan:
    """What to run and where.

    Attributes:
        workers: trainings at a time; None for one a GPU, or one.
        gpus: those of this machine, as CUDA_VISIBLE_DEVICES names them.
        command: the command line that goes on with it.
        ray: the Ray cluster that places the workers; None for this machine alone.
        confirm: trains further seeds of the best instead of anything new; None for an ordinary run.
        table: results from elsewhere that the sampler may learn from before it proposes anything.
    """

    space: SearchSpace
    scale: Scale
    data: DataPaths
    storage: str
    work_dir: Path
    owner: str
    workers: int | None
    gpus: tuple[str, ...]
    command: str
    ray: Cluster | None = None
    confirm: Confirmation | None = None
    table: ImportedTable | None = None


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster (`runner.pool.ray.RayPool`).

    Attributes:
        address: HOST:PORT of its head, ``auto``; None for what RAY_ADDRESS says, else a Ray on this machine.
        gpus_per_trial: 1, a fraction, or 0; None for one where the cluster has any.
        data_root: folder of the images on its nodes; None where it is the same as here.
    """

    address: str | None
    gpus_per_trial: float | None
    data_root: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """How a run of a study ended.

    Attributes:
        state: of the study.
        interrupted: by Ctrl-C or SIGTERM.
        fault: what kept it from going on, in one line; None for nothing.
    """

    state: StudyState
    interrupted: bool
    fault: str | None


def attach_or_run(plan: Plan) -> int:
    """Owns the database and runs the study; where another process runs it already, watches that one.

    Returns:
        The exit code: 0 if a trial is complete, 1 if none is, 130 if interrupted.

    Raises:
        UserError, ResultsError: what stands in the way, in one line.
    """
    with owning(plan.storage, plan.work_dir) as store:
        if store is None and plan.confirm:
            raise UserError(
                f"the database {named(plan.storage)} is in use by another process; wait, or end it: sweep stop"
            )
        if store is None:
            return _watch(plan)
        outcome = run_study(plan, store, Interrupts())
        if plan.confirm and outcome.state == "finished" and not (outcome.fault or outcome.interrupted):
            runfile.remove(plan.storage)  # nobody answers any more
            let_interrupt()
            return plan.confirm.conclude(Scorer(store, plan.storage, plan.gpus), plan.space.study, plan.space.plugins)
        return _report(plan, store, outcome)


def again(
    record: StudyRecord,
    storage: str,
    owner: str,
    workers: int | None,
    gpus: tuple[str, ...],
    command: str,
    confirm: Confirmation,
) -> Plan:
    """The plan to confirm a study of the database, from what the database knows of it.

    Raises:
        UserError: it was begun by another version, or its plugins have changed.
    """
    work_dir = Path(record.work_dir)
    check_writable(work_dir)
    return Plan(
        space=reopened(record, work_dir / record.name), scale=record.scale,
        data=DataPaths.model_validate(record.data), storage=storage, work_dir=work_dir, owner=owner, workers=workers,
        gpus=gpus, command=command, confirm=confirm,
    )  # fmt: skip


def run_study(plan: Plan, store: Store, interrupts: Interrupts) -> Outcome:
    """Runs the study of a database that is ours until its budget is spent, or somebody ends it."""
    known = store.study(plan.space.study)
    record = _record(plan, store)
    study = Study(plan.storage, store, record, plan.space, plan.data)
    if plan.confirm:
        begin(study, plan.confirm)
    if plan.table:
        announce(taken(plan.table, record, plan.space, study.take_imports), plan.table, record.name)
    live = Live(record, study.trials_left)
    coordinator = Coordinator(study, live.announce)
    registry = Registry()
    registry.add(coordinator)
    token = secrets.token_urlsafe(32)
    with (
        artifact_store.opened(store, plan.storage) as artifacts,
        Server(create_app(registry, token, None, artifacts), _address(plan)) as server,
    ):
        runfile.write(plan.storage, runfile.RunFile(server.url, token, os.getpid(), record.name))
        _keep(plan, study, artifacts)
        pool, housekeeper, notice, told = None, Housekeeper(registry, artifacts), Notice(live.announce), set[str]()
        try:
            if not coordinator.finished():
                _tell_elsewhere(plan, record)
                pool = interrupts.pool = _pool(plan, server.url, token)
            with live.shown(coordinator):
                while pool and pool.alive and not (interrupts.count or registry.fault or _over(registry, coordinator)):
                    time.sleep(_TICK_SECONDS)
                    pool.tend()
                    _tell_faults(pool, told, live.announce)
                    with notice.of_trouble():
                        store.keep_claims()
                        registry.tick()
                        housekeeper.tick()
                        live.refresh()
            registry.stop()
        finally:
            if pool:
                pool.stop()
            coordinator.take_back()
            housekeeper.tidy()
    state: StudyState = "finished" if coordinator.finished() else "stopped"
    if not coordinator.tripped:  # else it is paused, and says why
        if plan.confirm and known:  # it leaves the study as it was
            store.set_state(record.name, "stopped" if known.state == "running" else known.state, known.reason)
        else:
            store.set_state(record.name, state, study.end() if state == "finished" else None)
    fault = registry.fault or (coordinator.paused if coordinator.tripped else _fault(pool))
    return Outcome(state, interrupts.count > 0, fault)


def _record(plan: Plan, store: Store) -> StudyRecord:
    """The study's record; a confirmation changes nothing of what the study is."""
    if plan.confirm is None:
        return open_study(store, plan.space, plan.scale, plan.data, plan.work_dir)
    known = store.study(plan.space.study)
    assert known
    return replace(known, state="running", reason=None)


def _tell_elsewhere(plan: Plan, record: StudyRecord) -> None:
    """Says so where a study does not train in the folder of today: its database was copied, or moved."""
    here = (_WORK_DIR if plan.confirm else plan.work_dir).absolute()
    if not Path(record.work_dir).resolve().is_relative_to(here.resolve()):
        new = "" if plan.confirm else "; a new study (--set study=NAME) would"
        click.echo(f"study {record.name} trains in {record.work_dir}, as it began, not in {here}{new}", err=True)


def _over(registry: Registry, coordinator: Coordinator) -> bool:
    """Whether somebody stopped the study, or its first trials failed alike and nothing runs any more."""
    return registry.stopping or (coordinator.tripped and not coordinator.progress)


def _address(plan: Plan) -> Address:
    """Where the server listens: loopback, unless workers run on other nodes of a cluster."""
    if plan.ray is None:
        return Address()
    from runner.pool.cluster import join

    return Address(join(plan.ray.address))


def _keep(plan: Plan, study: Study, artifacts: Artifacts) -> None:
    """Pictures of trials for the dashboard; and, for workers on other nodes, the label files."""
    study.before_end = lambda number: artifact_store.add_picture(artifacts, study.record, number)
    if plan.ray:
        files = (plan.data.train_annotations, plan.data.val_annotations)
        for sha256, path in zip(plan.data.labels, files, strict=True):
            artifacts.add(Place(plan.space.study, None, sha256), Path(path))


def _pool(plan: Plan, url: str, token: str) -> Pool:
    log = plan.work_dir / plan.space.study / "workers.log"
    if plan.ray is None:
        return LocalPool(url, token, plan.owner, slots(plan.workers, Claims().take(plan.gpus)), log)
    from runner.pool.ray import RayPool

    # nodes share no disk with us; what they train travels to this process
    options = ["--work-dir", f"~/.cache/sweep/work/{digest(url)[:8]}", "--allow-plugins"]
    options += ["--data-root", f"={plan.ray.data_root}"] if plan.ray.data_root else []
    return RayPool(
        url, token, plan.owner, log, address=plan.ray.address, workers=plan.workers,
        gpus_per_trial=plan.ray.gpus_per_trial, options=options,
    )  # fmt: skip


def _fault(pool: Pool | None) -> str | None:
    return f"the workers gave up: {'; '.join(pool.faults)}" if pool and pool.faults else None


def _tell_faults(pool: Pool, told: set[str], announce: Callable[[str], None]) -> None:
    """Announces why workers gave up, each once, while others go on; the end of the run says why the last ones did."""
    for fault in pool.faults if pool.alive else ():
        if fault not in told:
            told.add(fault)
            announce(f"a worker gave up: {fault}")


def _report(plan: Plan, store: Store, outcome: Outcome) -> int:
    """Prints the ranking and how to go on; returns the exit code. What was to be confirmed has not come to its end."""
    name = plan.space.study
    ranked = plan.confirm is None and print_standing(store, name, Source(plan.storage).option)
    if outcome.state != "finished":
        if outcome.fault and not outcome.interrupted:
            click.echo(f"sweep: {outcome.fault}", err=True)
        click.echo(f"study {name} is not finished; go on with: {plan.command}", err=True)
    if outcome.interrupted:
        return INTERRUPTED
    return 0 if ranked and not (outcome.fault and outcome.state != "finished") else 1


def _watch(plan: Plan) -> int:
    """Follows the run of another process, line by line, until it ends; Ctrl-C ends the watching only."""
    run = owner(plan.storage, [plan.space.study])
    click.echo(f"study {run.study} runs already (process {run.pid}); watching it", err=True)
    with Store.open(plan.storage, readonly=True) as store:
        check_identity(store, plan.space, plan.scale, plan.data)
        if plan.table:
            with Remote(run.url, run.token, run.certificate or None) as other:
                announce(other.bring_in(run.study, plan.table), plan.table, run.study)
        follow(plan.storage, run)
        return 0 if print_standing(store, run.study, Source(plan.storage).option) else 1
