"""One planned utterance to one sample: decode, crop, resample, encode."""

from __future__ import annotations

from pathlib import Path

from dual_hpc.data.decoding.container import Findings, MediaInfo, UnreadableMedia, probe
from dual_hpc.data.format.sample import AUDIO, TEXT, VIDEO, Utterance
from dual_hpc.data.preparation.clip import code_audio, code_video
from dual_hpc.data.preparation.crop import speaker_side
from shards.observed import UNKNOWN
from shards.options import PackOptions
from shards.plan import Planned, Source, shown
from shards.source_checks import different_lengths, may_be_cut, unnamed, unread
from shards.writer import Sample

_TOLERANCE = 0.5  # seconds by which annotations and media may disagree before it is said


def build_sample(planned: Planned, root: Path, options: PackOptions) -> Sample:
    """Pack one utterance.

    A stream that a file simply lacks is a missing modality; a stream that is damaged refuses the utterance, so that
    nothing half-read is trained on.

    Raises:
        UnreadableMedia: a source is missing or damaged, or nothing of it lies in the wanted stretch.
    """
    members: dict[str, bytes] = {}
    choices: dict[str, str] = {}
    sources: dict[str, str] = {}
    fps = clipped = None
    how = options.preparation()
    paths = dict.fromkeys(source.path for source in (planned.audio, planned.video) if source is not None)
    infos = {path: probe(path) for path in paths}
    stored: dict[str, float] = {}  # modality -> seconds
    if planned.audio is not None and (sound := infos[planned.audio.path]).audio is not None:
        start, end = _stretch(planned.audio, sound, options, choices)
        heard = Findings()
        coded = code_audio(planned.audio.path, start, end, how, heard)
        members[AUDIO], clipped, stored["audio"] = coded.data, coded.clipped, coded.seconds
        sources["audio"] = shown(planned.audio.path, root)
        choices["audio"] = options.audio
        # Plain PCM names no channels; its number says as much.
        named = [c for c in sound.audio.channels if c != "NONE"]
        choices["audio_layout"] = "+".join(named) or f"{len(sound.audio.channels)} channels"
        if options.audio == "center" and "FC" not in named and (len(named) > 1 or len(sound.audio.channels) == 2):
            choices["no_center"] = "true"
        choices |= recorded(heard, "audio")
    if planned.video is not None and (picture := infos[planned.video.path]).video is not None:
        start, end = _stretch(planned.video, picture, options, choices)
        seen, side = Findings(), speaker_side(planned.actor, options.named_side)
        choices["crop"] = side
        video = code_video(planned.video.path, start, end, picture.video, picture.duration, side, how, seen)
        if video.face_share is not None:
            choices["faces"] = f"{video.face_share:.4f}"
        choices |= recorded(seen, "video")
        members[VIDEO], fps, stored["video"] = video.data, round(float(video.fps), 6), video.seconds
        if seen.pictures == 1:
            choices["single_picture"] = "true"
        sources["video"] = shown(planned.video.path, root)
    if not members:
        source = planned.audio or planned.video
        assert source is not None, "a plan names audio or video"
        raise UnreadableMedia(f"{shown(source.path, root)}: holds neither the audio nor the video it is named for")
    choices |= unnamed(planned, infos, stored) | different_lengths(planned, infos, stored)
    choices |= unread(planned, infos, stored, options.max_seconds)
    if "cut_from" not in choices and may_be_cut(planned, infos, stored, options.max_seconds):
        choices["cut_from"] = UNKNOWN
    if planned.text:
        members[TEXT] = planned.text.encode()
    meta = Utterance(
        key=planned.key,
        **planned.fields,
        duration=round(max(stored.values()), 6),
        fps=fps,
        clipped=clipped,
        has_audio=AUDIO in members,
        has_video=VIDEO in members,
        has_text=TEXT in members,
        sources=sources,
        options=choices,
    )
    return Sample(meta, members)


def recorded(findings: Findings, kind: str) -> dict[str, str]:
    """What was odd in the `kind` of a source, as text for the sample's `options`; what was not odd is left out."""
    seconds = {f"{kind}_silence": findings.silence, f"{kind}_overlap": findings.overlap}
    counts = {f"{kind}_restarts": findings.restarts, "concealed": findings.concealed, "resized": findings.resized}
    found = {name: f"{value:.3f}" for name, value in seconds.items() if value >= 0.001}
    found |= {name: str(count) for name, count in counts.items() if count}
    return found | ({f"{kind}_cancelled": "true"} if findings.cancelled else {})


def _stretch(source: Source, info: MediaInfo, options: PackOptions, choices: dict[str, str]) -> tuple[float, float]:
    """The wanted stretch, not longer than allowed, whatever a damaged header says; what it lacks is recorded."""
    start = source.start or 0.0
    length = (source.end if source.end is not None else info.duration) - start
    there = min(length, info.duration - start) if info.duration else length
    if length - there > max(_TOLERANCE, float(choices.get("ends_early", 0))):
        choices["ends_early"] = f"{length - there:.6g}"
    if there > max(options.max_seconds, float(choices.get("cut_from", 0))):
        choices["cut_from"] = f"{there:.3f}"
    return start, start + min(options.max_seconds, length if source.end is not None else options.max_seconds)
