"""`build_session`: all parts of a training, from the run directory and its configuration."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from dual_hpc.config import RunConfig
from dual_hpc.evaluation.metrics import selecting_metric
from dual_hpc.evaluation.selection import selecting_subset
from dual_hpc.heartbeat import beat
from dual_hpc.model import build_model
from dual_hpc.model.execution import prepare_execution
from dual_hpc.monitor.node_monitor import NodeMonitor
from dual_hpc.run.directory import RunDir
from dual_hpc.run.this_job import node_name
from dual_hpc.training.data import TrainingData
from dual_hpc.training.distributed import World, seed_everything
from dual_hpc.training.engine import Engine
from dual_hpc.training.export import ModelWriter, write_description, written_description
from dual_hpc.training.exporter import Exporter
from dual_hpc.training.micro_batch import CudaMemory, with_micro_batch
from dual_hpc.training.profiling import never_traced
from dual_hpc.training.rank_agreement import check_ranks_agree
from dual_hpc.training.reporter import Reporter, last_save_seconds
from dual_hpc.training.saving import Resumed, Saver
from dual_hpc.training.schedule import TrainingSchedule
from dual_hpc.training.session import Session
from dual_hpc.training.state import TrainingState


def build_session(run: RunDir, config: RunConfig, world: World, check_ownership: Callable[[], None]) -> Session:
    """Build a training, resumed from its latest verified checkpoint if it has one. Collective.

    Args:
        check_ownership: raises on rank 0 once another job has taken over the run.

    Raises:
        UserError: shards, protocol, tokenizer, precision or checkpoint do not fit the configuration.
        EnvironmentFault: the ranks differ, the run directory cannot be written, or no checkpoint is usable.
    """
    data = TrainingData.open(config, world, run.tokenizer)
    config = data.config  # with the encoders and the preprocessing of its shards
    schedule = TrainingSchedule.of(config, len(data.train))
    beat()

    seed_everything((config.seed,))
    written = written_description(run)
    arguments = (data.preprocessing(), data.class_counts, data.tokenizer, written)
    prepared = (data.preparation(), data.feature_encoders(), data.dimensions)
    model = build_model(config.model, data.labels, *arguments, *prepared)
    model_config = model.config
    beat()
    check_ranks_agree(config, model, world)
    if world.rank == 0:
        write_description(run, model_config)
    memory = CudaMemory(world.device) if world.device.type == "cuda" else None
    settings, config = config, with_micro_batch(config, model, run.micro_batch, world, memory)
    data.config = config
    prepare_execution(model, config.training, world.device.type)
    engine = Engine(model, config, world.size, data.micro_batches())
    beat()

    saver = Saver(run.checkpoints, settings, engine, world, check_ownership, run.identity().run_id)
    resumed = saver.resume()
    state = resumed.state if resumed is not None else TrainingState()
    loader = data.train_loader(state.loader)
    loader.bad_samples.load_state_dict(state.bad_samples)

    hosts = world.all_gather(node_name())
    reporter = Reporter(run, config, world, check_ownership, hosts)
    zero_stage = config.training.zero_stage
    selects = f"val/{selecting_subset(config)}/{config.training.select_by}"
    facts = {"samples": schedule.samples, "zero_stage": zero_stage, "selects": selects, **data.facts()}
    facts["higher_is_better"] = selecting_metric(config.training.select_by).higher_is_better
    facts["selects_from"] = schedule.selects_from
    reporter.start(state.step, schedule.total_steps, **facts)
    training = config.training
    steps, ranks = training.profile_steps, training.profile_ranks
    if why := never_traced(steps, ranks, state.step, schedule.total_steps, world.size):
        reporter.warn("profile", state.step, why)
    if resumed is not None:
        report_resume(resumed, world.size, reporter)
    return Session(
        config=config,
        world=world,
        engine=engine,
        schedule=schedule,
        state=state,
        loader=loader,
        validation_loader=data.validation_loader(),
        class_count=len(data.labels),
        dimensions=data.validation_dimensions,
        saver=saver,
        exporter=Exporter(run.exports, engine, world, ModelWriter(model_config, data.tokenizer), check_ownership),
        reporter=reporter,
        reports=run.reports,
        hosts=hosts,
        saved=state.model_copy(deep=True) if resumed is not None else None,
        save_seconds=last_save_seconds(run.journal) if world.rank == 0 else 0.0,
        node_monitor=node_monitor(run, config, hosts, check_ownership),
    )


def node_monitor(
    run: RunDir, config: RunConfig, hosts: Sequence[str], check_ownership: Callable[[], None]
) -> NodeMonitor | None:
    """Started on one rank of each node, unless it is switched off."""
    if os.environ.get("LOCAL_RANK", "0") != "0" or not config.tracking.system_seconds:
        return None
    nodes = len(set(hosts))
    return NodeMonitor(run, node_name(), nodes, config.tracking.system_seconds, check_ownership).start()


def report_resume(resumed: Resumed, ranks: int, reporter: Reporter) -> None:
    """Warn of checkpoints that were damaged, and of one that another number of ranks wrote."""
    step = resumed.state.step
    for reason in resumed.rejected:
        reporter.warn("damaged_checkpoint", step, f"damaged checkpoint skipped: {reason}")
    if resumed.written_by != ranks:
        message = f"the checkpoint of step {step} was written by {resumed.written_by} rank(s), this job has {ranks}"
        reporter.warn("converted", step, f"{message}: it was converted, the samples stay the same")
