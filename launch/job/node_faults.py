"""Why a rank cannot start: some nodes are bad, or the installation is wrong on all of them."""

from __future__ import annotations

from collections.abc import Sequence

from dual_hpc.errors import EnvironmentFault


class BadNode(EnvironmentFault):
    """These nodes fail their checks; other nodes may pass them.

    Attributes:
        nodes: as the scheduler names them.
        problem: of the only node, without its name.
    """

    def __init__(self, words: str, nodes: Sequence[str], problem: str = "") -> None:
        super().__init__(f"node {words}")
        self.nodes, self.problem = list(nodes), problem


class WrongInstallation(EnvironmentFault):
    """What is installed, or the profile, fits no node of this kind: none is excluded, and no further job begins."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"installation: {problem}")
