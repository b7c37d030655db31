"""What is said of a training from its ranks' times: which rank is slow in what, or what all of them wait for."""

from __future__ import annotations

import random
import time

import pytest

from dual_hpc.training.bottleneck import Judge, bottleneck
from dual_hpc.training.rank_times import COLUMNS, WRITING, spread

REMEDY = "raise data.workers (2 of 24 cores used)"
STEP = {"data_wait": 0.01, "forward": 0.3, "backward": 0.5, "optimizer": 0.05}  # seconds, of a rank itself


def block(
    ranks: int, rng: random.Random, slow: dict[tuple[int, str], float], noise: float = 0.05
) -> list[dict[str, float]]:
    """Five steps: each rank's own times with some noise, and the wait of the faster ones for the slowest."""
    own = [
        {phase: 5 * (seconds * rng.uniform(1 - noise, 1 + noise) + slow.get((rank, phase), 0.0))
         for phase, seconds in STEP.items()}
        for rank in range(ranks)
    ]  # fmt: skip
    writing = [5 * slow.get((rank, WRITING), 0.01) for rank in range(ranks)]
    stall = max(writing)
    last = max(sum(row.values()) for row in own)
    return [
        {**dict.fromkeys(COLUMNS, 0.0), **row, "reduction": last - sum(row.values()), "save_stall": stall, WRITING: w}
        for row, w in zip(own, writing, strict=True)
    ]


def hosts(ranks: int) -> list[str]:
    return [f"n{rank // 2}" for rank in range(ranks)]


@pytest.mark.parametrize("phase", ["data_wait", "forward", "backward", "optimizer", WRITING])
@pytest.mark.parametrize("ranks", [2, 3, 4, 64])
def test_a_slow_rank_is_named_with_its_phase(ranks: int, phase: str) -> None:
    for seed in range(20):
        rng = random.Random(seed)
        victim = rng.randrange(ranks)
        found = bottleneck([block(ranks, rng, {(victim, phase): 0.2}) for _ in range(4)], hosts(ranks), REMEDY)
        assert found is not None and (found.kind, found.rank, found.phase) == ("slow rank", victim, phase)
        assert f"rank {victim} (n{victim // 2})" in found.sentence and "%" in found.sentence


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 64])
def test_ranks_that_differ_by_chance_give_no_alarm(ranks: int) -> None:
    for seed in range(100):
        rng = random.Random(seed)
        blocks = [block(ranks, rng, {}, noise=0.2) for _ in range(rng.randint(4, 5))]
        assert bottleneck(blocks, hosts(ranks), REMEDY) is None


def test_a_rank_that_is_slow_only_now_and_then_gives_no_alarm() -> None:
    rng = random.Random(0)
    blocks = [block(4, rng, {(number % 4, "backward"): 0.5}) for number in range(4)]
    assert bottleneck(blocks, hosts(4), REMEDY) is None


def test_a_rank_that_is_slow_in_one_phase_and_as_much_faster_in_another_delays_nobody() -> None:
    blocks = [block(3, random.Random(s), {(1, "forward"): 0.2, (1, "backward"): -0.2}) for s in range(4)]
    assert bottleneck(blocks, hosts(3), REMEDY) is None


def test_that_all_wait_for_data_is_told_with_what_to_do() -> None:
    slow = {(rank, "data_wait"): 1.55 for rank in range(4)}
    found = bottleneck([block(4, random.Random(s), slow) for s in range(4)], hosts(4), REMEDY)
    assert found is not None and found.kind == "input" and found.rank is None
    assert found.sentence == f"input-bound: 64% of the step waits for data on every rank; {REMEDY}"


def test_two_ranks_of_which_one_waits_for_data_do_not_all_wait() -> None:
    """Their median would be the mean of the two."""
    rng = random.Random(0)
    blocks = [block(2, rng, {(number % 2, "data_wait"): 1.0}) for number in range(5)]
    assert bottleneck(blocks, hosts(2), REMEDY) is None


def test_saves_that_stall_all_ranks_alike_are_told() -> None:
    slow = {(rank, WRITING): 0.5 for rank in range(4)}
    found = bottleneck([block(4, random.Random(s), slow) for s in range(4)], hosts(4), REMEDY)
    assert found is not None and found.kind == "saving" and "checkpoint.every_steps" in found.sentence


def test_a_slow_disk_that_no_step_waits_for_is_no_bottleneck() -> None:
    blocks = [block(2, random.Random(s), {(1, WRITING): 0.5}) for s in range(4)]
    background = [[{**row, "save_stall": 0.0} for row in one] for one in blocks]
    assert bottleneck(background, hosts(2), REMEDY) is None


def test_the_sentences() -> None:
    def said(phase: str, seconds: float, ranks: int = 6) -> str:
        rank = ranks - 1
        blocks = [block(ranks, random.Random(0), {(rank, phase): seconds}, noise=0.0) for _ in range(3)]
        found = bottleneck(blocks, hosts(ranks), REMEDY)
        assert found is not None
        return found.sentence

    assert said("backward", 0.155) == (
        "rank 5 (n2) is 31% slower in backward than the others; every step waits for it, 15% of the time"
    )
    assert said("forward", 1.2, 2).startswith("rank 1 (n0) needs 5.0 times as long for forward as rank 0; every step")
    assert said("data_wait", 1.0).startswith("rank 5 (n2) waits for data 54% of the time, the others 1%; every step")


def test_the_first_interval_does_not_count_and_short_ones_are_put_together() -> None:
    judge = Judge(hosts(2), REMEDY)
    starting = block(2, random.Random(0), {(0, "data_wait"): 30.0})
    assert judge.after_interval(1, starting) is None
    slow = {(1, "backward"): 0.3}
    answers = [judge.after_interval(1, block(2, random.Random(step), slow)) for step in range(20)]
    assert [number for number, found in enumerate(answers) if found is not None] == [19]
    assert all(found.rank == 1 for found in answers if found is not None)


def test_the_spread_of_the_ranks_is_their_median_share_and_the_worst() -> None:
    table = [{**dict.fromkeys(COLUMNS, 0.0), "forward": f, "reduction": 10 - f, WRITING: 9.0} for f in (2, 3, 7)]
    found = spread(table)
    assert (found["ranks/forward_median"], found["ranks/forward_worst"]) == (0.3, 0.7)
    assert found["ranks/reduction_worst"] == pytest.approx(0.8)
    assert spread(table[:1]) == {}


def test_hundreds_of_ranks_are_judged_in_milliseconds() -> None:
    """It was computed for every pair of ranks: 512 took five seconds of every logging step."""
    blocks = [block(512, random.Random(seed), {(77, "backward"): 0.3}) for seed in range(5)]
    began = time.process_time()
    found = bottleneck(blocks, hosts(512), REMEDY)
    assert found is not None and found.rank == 77
    assert time.process_time() - began < 0.5
