"""Prediction from raw media: `Predictor.from_pretrained(model_dir).predict("clip.mp4", text="...")`."""

from dual_hpc.inference.predictor import Prediction, Predictor

__all__ = ["Prediction", "Predictor"]
