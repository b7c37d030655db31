"""One encoder per modality, chosen by `kind`.

Every encoder is a module with `output_size` (width of its features), `layers()` (its parts from bottom to top, for
partial freezing) and `forward`; audio encoders also have `rate_hz`. Features of masked steps are zero, and nothing that
stands in masked input reaches a valid step.
"""

from dual_hpc.model.encoders.build import build_audio_encoder, build_text_encoder, build_video_encoder
from dual_hpc.model.encoders.freezing import freeze

__all__ = ["build_audio_encoder", "build_text_encoder", "build_video_encoder", "freeze"]
