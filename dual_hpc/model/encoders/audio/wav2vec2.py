"""wav2vec 2.0 of transformers, on the waveform."""

from dual_hpc.model.encoders.pretrained import Architecture
from dual_hpc.model.encoders.registry import AUDIO
from dual_hpc.model.encoders.speech import SMALL_SPEECH, SpeechKind

AUDIO.register("wav2vec2", SpeechKind(Architecture("wav2vec2", "Wav2Vec2", SMALL_SPEECH)))
