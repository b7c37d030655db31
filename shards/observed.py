"""What packing itself saw in samples: counted for the report and for `inspect`, and named sample by sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dual_hpc.data.format.sample import Utterance

UNKNOWN = "unknown"  # `cut_from` where the file does not say how long it is
SHORT = 0.2  # seconds below which a sample is hardly an utterance

# What packing records of a sample whose media were odd (`options` of its metadata), for people.
_ODD = {
    "ends_early": "have media that end before the annotated end (see their option `ends_early`, seconds)",
    "annotated_seconds": "have media whose length differs from the annotation's by more than a second",
    "header_seconds": "have a file whose header says more than a second more than could be read",
    "audio_seconds": "have audio and video whose lengths differ by more than a second",
    "single_picture": "have a video of a single picture",
    "unused_audio": "have a video file with sound that the corpus does not name as its audio; it is not packed",
    "unused_video": "have an audio file with pictures that the corpus does not name as its video; they are not packed",
    "no_audio_in_source": "have a file named for its audio that holds none",
    "no_video_in_source": "have a file named for its video that holds none",
    "no_center": "have no front centre channel, which --audio center asks for; their channels were mixed",
    "concealed": "have damaged frames that the decoder concealed (see their option `concealed`)",
    "audio_silence": "have gaps in their audio, which are silent (see their option `audio_silence`, seconds)",
    "audio_overlap": "have audio time stamps that overlap; the overlap was cut (see their option `audio_overlap`)",
    "audio_restarts": "have audio whose time stamps jump back; it was joined (see their option `audio_restarts`)",
    "video_restarts": "have pictures whose time stamps jump back; they were joined (see their option `video_restarts`)",
    "audio_cancelled": "have channels in opposite phase: their mix is almost silent (see `audio_cancelled`)",
    "resized": "have pictures whose size changes; they were scaled to the first (see their option `resized`)",
}


def without(samples: Sequence[Utterance]) -> dict[str, int]:
    """Modality -> samples that lack it."""
    return {
        "audio": sum(not meta.has_audio for meta in samples),
        "video": sum(not meta.has_video for meta in samples),
        "text": sum(not meta.has_text for meta in samples),
    }


def observed(samples: Sequence[Utterance]) -> list[str]:
    """What packing saw in the samples, in numbers."""
    cuts = [meta.options["cut_from"] for meta in samples if "cut_from" in meta.options]
    unsure = cuts.count(UNKNOWN)
    short = sum(meta.duration < SHORT for meta in samples)
    clipped = [meta.clipped for meta in samples if meta.clipped]
    notes = []
    if len(cuts) > unsure:
        notes.append(f"{len(cuts) - unsure} samples are longer than --max-seconds and were cut")
    if unsure:
        notes.append(f"{unsure} samples fill --max-seconds, and their files do not say whether more follows")
    if short:
        notes.append(f"{short} samples are shorter than {SHORT} s")
    if clipped:
        notes.append(
            f"{len(clipped)} samples have audio beyond full scale: {sum(clipped)} audio samples were clipped "
            "(see their `clipped`)"
        )
    notes += [f"{count} samples {what}" for option, what in _ODD.items() if (count := _having(samples, option))]
    coverage = [float(meta.options["faces"]) for meta in samples if "faces" in meta.options]
    if coverage:
        mean, none = sum(coverage) / len(coverage), sum(share == 0 for share in coverage)
        notes.append(
            f"a face is known in {mean:.0%} of a video's pictures, as the mean over samples; in {none} samples in none"
        )
    return notes


def named(samples: Sequence[Utterance], options: Mapping[str, str]) -> dict[str, list[str]]:
    """Key -> what a person should look at in that sample, each as the end of a sentence; only samples with something.

    Args:
        options: of the packing.
    """
    # What most samples lack is how the corpus is; what a few lack was lost.
    rare = [name for name, count in without(samples).items() if 0 < 2 * count < len(samples)]
    found = {meta.key: _oddities(meta, options, rare) for meta in samples}
    return {key: reasons for key, reasons in found.items() if reasons}


def _oddities(meta: Utterance, options: Mapping[str, str], rare: Sequence[str]) -> list[str]:
    of = meta.options
    found = [f"has no {name}" for name in rare if not getattr(meta, f"has_{name}")]
    if of.get("cut_from") == UNKNOWN:
        found.append(f"fills --max-seconds ({options['max_seconds']} s); its file does not say whether more follows")
    elif "cut_from" in of:
        found.append(f"lasts {of['cut_from']} s, cut at --max-seconds ({options['max_seconds']} s)")
    if meta.duration < SHORT:
        found.append(f"lasts {meta.duration:.3f} s, less than {SHORT} s")
    if "annotated_seconds" in of:
        found.append(f"its file lasts {of['source_seconds']} s, its annotation says {of['annotated_seconds']} s")
    if "header_seconds" in of:
        found.append(f"its file's header says {of['header_seconds']} s, {meta.duration:.3f} s could be read")
    if "ends_early" in of:
        found.append(f"its media end {of['ends_early']} s before the annotated end")
    if "audio_seconds" in of:
        found.append(f"its audio lasts {of['audio_seconds']} s, its video {of['video_seconds']} s")
    if "single_picture" in of:
        found.append("its video is a single picture")
    for kind in ("audio", "video"):
        if f"no_{kind}_in_source" in of:
            found.append(f"the file named for its {kind} holds none")
        if f"unused_{kind}" in of:
            found.append(f"its file holds {kind} too, which the corpus does not name; it is not packed")
    return found


def _having(samples: Sequence[Utterance], option: str) -> int:
    return sum(option in meta.options for meta in samples)
