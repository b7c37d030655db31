"""WavLM of transformers, on the waveform."""

from dual_hpc.model.encoders.pretrained import Architecture
from dual_hpc.model.encoders.registry import AUDIO
from dual_hpc.model.encoders.speech import SMALL_SPEECH, SpeechKind

AUDIO.register("wavlm", SpeechKind(Architecture("wavlm", "WavLM", SMALL_SPEECH)))
