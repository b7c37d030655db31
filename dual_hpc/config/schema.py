"""The typed configuration of a run: one section per component, unknown keys refused.

Every default is the value a researcher would start from on one GPU; presets (`presets/*.yaml`) change what a corpus
needs. Units are in the names or the comments.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from dual_hpc.config.encoder_section import AudioEncoderConfig, TextEncoderConfig, VideoEncoderConfig
from dual_hpc.config.section import Section
from dual_hpc.config.values import (
    ClassMap,
    DataSplit,
    MicroBatch,
    ModuleName,
    StepRange,
    TagName,
    TestFold,
    WorkerCount,
)

Precision = Literal["fp32", "bf16", "fp16"]
Subset = Literal["a", "v", "t", "av", "at", "vt", "avt"]
Moment = Annotated[float, Field(ge=0, lt=1)]


class AugmentConfig(Section):
    """Training-time changes of a sample, each drawn from (seed, epoch, sample) and nothing else."""

    enabled: bool = True
    gain_db: float = Field(6.0, ge=0, description="uniform gain in +-dB")
    noise_prob: float = Field(0.3, ge=0, le=1)
    noise_snr_db: tuple[float, float] = (10.0, 30.0)
    time_mask_prob: float = Field(0.3, ge=0, le=1, description="silence one stretch of the audio")
    time_mask_seconds: float = Field(0.3, gt=0)
    speed: float = Field(
        0.0, ge=0, lt=0.5, description="play the sound faster or slower, up to this share; of samples without pictures"
    )
    cut_ends: float = Field(
        0.0, ge=0, lt=0.5, description="largest share of the sound cut from each end; of samples without pictures"
    )
    equalizer_db: float = Field(0.0, ge=0, le=40, description="gain of the low to the high bands of the sound, +-dB")
    band_masks: int = Field(0, ge=0, le=16, description="bands of the sound that are silenced")
    band_mask_share: float = Field(0.15, gt=0, le=1, description="the widest, as a share of the mel scale to 8 kHz")
    flip_prob: float = Field(0.5, ge=0, le=1, description="mirror the picture")
    crop_fraction: float = Field(0.1, ge=0, lt=0.5, description="largest share cut from each side")
    colour: float = Field(0.2, ge=0, lt=1, description="brightness and contrast, +-")
    frame_drop_prob: float = Field(0.0, ge=0, lt=1, description="a dropped frame repeats the one before")
    token_drop_prob: float = Field(0.05, ge=0, lt=1)
    # Modality dropout: what lets one set of weights serve every subset. Audio and video are never both dropped.
    drop_audio: float = Field(0.1, ge=0, lt=1, description="share of the samples that lack it in training")
    drop_video: float = Field(0.1, ge=0, lt=1, description="never together with audio")
    drop_text: float = Field(0.3, ge=0, le=1)


class DataConfig(Section):
    """Which shards, which protocol and fold, and how a sample becomes tensors."""

    shards: list[str] = Field(
        default_factory=list, description="folders that hold an index.json, or several sets of features"
    )
    protocol: str = Field(
        "iemocap4",
        description="iemocap4, iemocap6, meld7, all, another of docs/protocols.md, a plugin's, or a YAML file",
    )
    protocol_definition: dict[str, Any] = Field(
        default_factory=dict, description="what the file of data.protocol says; filled in from it"
    )
    test_fold: TestFold = Field(
        5, description="the fold held out for the test, >= 1 or a name; of IEMOCAP, the session"
    )
    split: DataSplit = Field(
        default_factory=dict,
        description="of a corpus without one: {COLUMN: [TRAIN, VALIDATION, TEST]} in shares, {COLUMN: K} in folds, or "
        "{COLUMN: leave_one_out}; COLUMN is speaker, dialogue, session, corpus or utterance, and none of its values "
        "is in two parts; with `seed: N` otherwise drawn",
    )
    classes: ClassMap = Field(
        default_factory=dict, description="{CLASS: [LABEL, ...]}: merge labels, and leave out those that are not named"
    )
    validation: Literal["speaker", "dialogue"] = Field(
        "dialogue",
        description="IEMOCAP: what the validation split is drawn by inside the training sessions",
    )
    validation_fraction: float = Field(0.15, gt=0, lt=0.5)
    max_seconds: float = Field(20.0, gt=0, description="longer utterances are cut here")
    video_hz: float = Field(5.0, gt=0, description="frames decoded per second")
    image_size: int = Field(112, ge=16, description="side of the square picture, in pixels")
    max_tokens: int = Field(64, ge=2)
    global_batch: int = Field(32, ge=1, description="samples per optimiser step over all ranks: fixed for a run")
    micro_batch: MicroBatch = Field(
        8, description="largest number of samples per rank and forward pass; auto: as many as fit into the GPU's memory"
    )
    workers: WorkerCount = Field(
        "auto",
        description="data workers per rank; auto: from the cores of the rank; 0: a clip that crashes its decoder ends "
        "the rank, and nothing is loaded ahead",
    )
    read_ahead: int = Field(4, ge=1, description="samples per worker that are read before they are decoded")
    shuffle_window: int = Field(8, ge=1, description="shards that are shuffled together")
    bad_sample_limit: int = Field(20, ge=0, description="undecodable samples tolerated before the run stops")
    bucket_by_length: bool = False


class ModelConfig(Section):
    """The model, by family; those settings that it uses go into the saved model under the same keys.

    DUAL uses all but `options`. The baselines use the encoders, `use_audio`, `use_video`, `use_text`, `grid_hz`,
    `num_heads`, `dropout` and the loss; the other settings tell them how large DUAL is, and so how wide they are, which
    `options: {width, layers}` changes.
    """

    family: str = Field(
        "dual",
        description="dual, text_only, audio_only, video_only, late_fusion, early_fusion, concat_gru, mult, mmin, or a "
        "plugin's",
    )
    options: dict[str, Any] = Field(default_factory=dict, description="further settings of a family")
    audio: AudioEncoderConfig = AudioEncoderConfig()
    video: VideoEncoderConfig = VideoEncoderConfig()
    text: TextEncoderConfig = TextEncoderConfig()
    hidden_size: int = Field(128, ge=8, description="d, the width of the sentiment space")
    grid_hz: float = Field(10.0, gt=0, le=1_000, description="rate of the common time grid")
    residual_layers: int = Field(2, ge=1)
    decoder_layers: int = Field(2, ge=1)
    num_heads: int = Field(4, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    temperature: float = Field(0.1, ge=0.025, le=1.0, description="tau of the alignment losses, at its start")
    learn_temperature: bool = Field(False, description="tau is a parameter of the training")
    align_across_batch: bool = False
    align_centred: bool = Field(
        False, description="the alignment losses compare what a step differs in from its utterance's mean"
    )
    lambda_static: float = Field(1.0, ge=0, description="weight of the static alignment loss")
    lambda_dynamic: float = Field(1.0, ge=0, description="weight of the dynamic alignment loss")
    lambda_unimodal: float = Field(
        0.0,
        ge=0,
        description="weight of a classification loss on sound alone and one on pictures alone, below all that joins "
        "them: encoders that begin without pretrained weights learn from the first step on",
    )
    unimodal_logits: bool = Field(
        False,
        description="what sound alone and pictures alone answer is added to the decoder's answer: where the data are "
        "few, the decoder has only what is left to learn",
    )
    # Ablation switches.
    use_sdm: bool = True
    use_vdm: bool = True
    use_residual: bool = True
    use_static_alignment: bool = True
    use_dynamic_alignment: bool = True
    use_audio: bool = True
    use_video: bool = True
    use_text: bool = True
    loss: str = Field("cross_entropy", description="cross_entropy, focal, logit_adjustment, or a plugin's")
    focal_gamma: float = Field(2.0, ge=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    class_weights: bool = Field(True, description="weigh classes by inverse frequency in the training split")
    kernels: Literal["auto", "reference", "torch", "triton", "parallel"] = "auto"


class OptimConfig(Section):
    """AdamW with linear warm-up and cosine decay; encoders may learn more slowly than the rest."""

    lr: float = Field(3e-4, gt=0)
    encoder_lr_scale: float = Field(1.0, gt=0, description="factor on lr for the three encoders")
    weight_decay: float = Field(0.01, ge=0)
    betas: tuple[Moment, Moment] = (0.9, 0.98)
    eps: float = Field(1e-8, gt=0)
    warmup_fraction: float = Field(0.1, ge=0, lt=1)
    final_lr_fraction: float = Field(0.05, ge=0, le=1)
    clip_norm: float = Field(1.0, gt=0)
    decay_steps: int | None = Field(
        None,
        ge=1,
        description="of warm-up and decay, later steps keep the final rate; null: all steps of the run. A run that is "
        "made longer keeps those that it was planned with",
    )


class TrainingConfig(Section):
    """How long, in what precision, under which ZeRO stage, and how often to look."""

    epochs: int = Field(20, ge=1)
    max_steps: int | None = Field(None, ge=1, description="stop here even if epochs remain")
    precision: Precision = "bf16"
    gradient_dtype: Literal["fp32", "same"] = Field(
        "fp32",
        description="in which gradients are summed over micro-batches and ranks; same: as precision, in half the "
        "memory, with an error that grows with their number",
    )
    tf32: bool = Field(
        False, description="fp32 products on a GPU (A100 and later) round their factors to 10 bits, and are faster"
    )
    deterministic: bool = Field(
        False, description="only algorithms that give the same bits each time, also on a GPU; slower there"
    )
    zero_stage: Literal[0, 1, 2, 3] = 1
    activation_checkpointing: Literal["none", "encoders", "all"] = Field(
        "none",
        description="keep only the inputs of layers and compute the rest again in the backward pass: of trained "
        "encoders, or of the model's own blocks too; less memory, more time, the same gradients",
    )
    compile: Literal["none", "encoders"] = Field(
        "none", description="torch.compile for encoders that are wholly frozen; not under ZeRO 3; needs a C compiler"
    )
    channels_last: Literal["auto", "always", "never"] = Field(
        "auto", description="pictures of ResNet and ViT as GPUs convolve them fastest; auto: on a GPU"
    )
    validate_every: int = Field(0, ge=0, description="steps; 0 means once per epoch")
    log_every: int = Field(5, ge=1, description="steps")
    profile_steps: StepRange | None = Field(
        None, description="the first and the last step of a trace that chosen ranks write, as [100, 105]"
    )
    profile_ranks: list[Annotated[int, Field(ge=0)]] = Field([0], description="the ranks that write it")
    memory_history: bool = Field(
        False,
        description="on a GPU: note which code asks for memory, for the snapshot that running out of memory leaves "
        "beside the rank's log",
    )
    select_by: str = Field(
        "ua",
        description="ua, wa, weighted_f1, macro_f1, ccc (of dimensions), loss (of the validation split; the least "
        "chance where that split is small), or a metric that a plugin registers",
    )
    select_modalities: Subset = Field("av", description="the subset whose score picks the best")
    select_from: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="part of the steps before which only the first validation may pick the best: where the validation "
        "split is small, the best of many scores is an accident, and the late ones, at a low rate, are steady",
    )
    non_finite_limit: int = Field(3, ge=1, description="steps in a row whose loss or gradient is not finite; see next")
    on_non_finite: Literal["stop", "rollback"] = Field(
        "stop",
        description="such steps are skipped; at the limit stop, or go back, once, to an earlier checkpoint's weights",
    )
    collective_timeout_minutes: float = Field(
        10.0, gt=0, le=1e6, description="for a batch of a validation, or another piece of long work"
    )
    hang_minutes: float = Field(3.0, gt=0, description="a step that takes longer, the first ones apart, ends the job")


class CheckpointConfig(Section):
    """When to save and which checkpoints to keep. Weights alone outlive them: `export/best` and `export/last`."""

    every_steps: int = Field(0, ge=0, description="0 means once per epoch; a step that is validated is saved as well")
    every_minutes: float = Field(20.0, gt=0)
    asynchronous: bool = Field(
        True, description="write in the background, from a copy in host memory; false: no copy, training waits"
    )
    keep_last: int = Field(2, ge=1)
    keep_hours: float = Field(0.0, ge=0, description="also keep one checkpoint every so many hours; 0 keeps none")
    keep_best: int = Field(0, ge=0, description="also keep the checkpoints of so many best validations")
    margin_seconds: float = Field(60.0, ge=0, description="a job saves when less than this and two saves are left")
    give_up_minutes: float = Field(10.0, gt=0, le=30_000, description="a rank asked to stop exits after this time")


class TrackingConfig(Section):
    """Where MLflow is. Empty uri: sqlite inside the store, filled from the journal."""

    enabled: bool = Field(True, description="False: the journal alone; MLflow can be filled from it later")
    uri: str = ""
    experiment: str = Field("dual", pattern=r"\S")
    tags: dict[TagName, str] = Field(default_factory=dict, description="names other than our own, dual.*")
    sync_seconds: float = Field(30.0, gt=0)
    also: list[Literal["tensorboard", "wandb"]] = Field(
        default_factory=list, description="fill these from the journal as well (wandb: offline)"
    )
    system_seconds: float = Field(
        10.0, ge=0, description="between two samples of each node's CPU, memory, disk, network and GPUs; 0: none"
    )


class LaunchConfig(Section):
    """The job: which cluster profile, how large, how long."""

    profile: str = "local"
    nodes: int = Field(1, ge=1)
    ranks_per_node: int = Field(1, ge=1, description="processes per node, one per GPU")
    cpus_per_rank: int | None = Field(None, ge=1)
    hours: float = Field(20.0, gt=0, le=8760, description="time limit of one job")
    total_hours: float | None = Field(
        None, gt=0, le=87_600, description="of all jobs of the run; instead of max_continuations"
    )
    account: str | None = None
    partition: str | None = None
    qos: str | None = None
    constraint: str | None = None
    memory: str | None = Field(None, description="of one node, as 64G; instead of what comes with its cores")
    gpu_type: str | None = Field(None, description="of several kinds in one partition, as a100")
    nodelist: str | None = Field(None, description="run on these nodes, as n1,n[3-5]")
    exclude: str | None = Field(None, description="never on these nodes")
    reservation: str | None = None
    begin: str | None = Field(None, description="not before, as now+2hours or 2026-12-01T20:00:00")
    after: list[str] = Field(
        default_factory=list,
        description="wait until these have ended: names of runs, sweeps or jobs, or job ids in quotes",
    )
    mail: str | None = Field(None, description="address that Slurm writes to when a job ends, fails or is requeued")
    notify: str | None = Field(
        None,
        description="command that is started when the run has finished, stopped or failed for good, with DUAL_NAME, "
        "DUAL_RUN, DUAL_STATE and DUAL_MESSAGE in its environment",
    )
    extra: dict[str, bool | int | str] = Field(
        default_factory=dict, description="further options of sbatch, as {exclusive: true, licenses: matlab}"
    )
    max_continuations: int = Field(10, ge=0)


class RunConfig(Section):
    """Everything a run is made of; saved, resolved, as `config.yaml` in the run directory."""

    name: str = Field("dual", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="of the run and its folder")
    seed: int = Field(0, ge=0, lt=2**31)
    store: str = Field(
        "",
        description="runs, shards and the MLflow store; empty: $DUAL_STORE, else a folder in $SCRATCH or $WORK, else "
        "./store",
    )
    plugins: list[ModuleName] = Field(
        default_factory=list,
        description="modules of your own that register models, encoders, corpora, metrics or perturbations",
    )
    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = ModelConfig()
    optim: OptimConfig = OptimConfig()
    training: TrainingConfig = TrainingConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    tracking: TrackingConfig = TrackingConfig()
    launch: LaunchConfig = LaunchConfig()
