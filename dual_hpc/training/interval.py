"""What has happened since metrics were logged last."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Interval:
    """Begins at a step, at a time in seconds; counts the training's own answers, of all ranks."""

    time: float
    step: int
    correct: float = 0.0
    answered: float = 0.0

    def add(self, correct: float, answered: float) -> None:
        """Answers of one step."""
        self.correct, self.answered = self.correct + correct, self.answered + answered

    @property
    def accuracy(self) -> float:
        """Share of the answers that were right, of samples as they were augmented, with dropout; NaN without any."""
        return self.correct / self.answered if self.answered else float("nan")
