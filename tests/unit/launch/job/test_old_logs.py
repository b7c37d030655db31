"""Files of earlier jobs' ranks that nobody reads."""

from __future__ import annotations

from pathlib import Path

from launch.job.old_logs import remove_of_earlier_jobs


def make(logs: Path, **files: str) -> None:
    logs.mkdir(exist_ok=True)
    for name, content in files.items():
        (logs / name).write_text(content)


def test_results_and_empty_logs_of_earlier_jobs_go_and_everything_that_somebody_reads_stays(tmp_path: Path) -> None:
    kept = {
        "12_0_log.out": "",  # srun's last words would stand here
        "12_1_log.out": "slurmstepd: error: killed",
        "12_submitted.pkl": "x",
        "14_submitted.pkl": "x",  # of a job that waits
        "13_0_log.out": "",
        "13_1_log.out": "",
        "13_1_result.pkl": "x",  # of this job
        "rank_0000.log": "",
        "failures.jsonl": "",
        "12_1_result.pkl.bak": "",
    }
    make(tmp_path, **kept, **{"12_0_result.pkl": "x", "12_1_result.pkl": "x", "12_2_log.out": "", "9_511_log.out": ""})
    assert remove_of_earlier_jobs(tmp_path, "13") == 4
    assert {path.name for path in tmp_path.iterdir()} == set(kept)


def test_what_is_no_file_or_cannot_be_listed_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "12_1_result.pkl").mkdir()
    (tmp_path / "12_3_log.out").symlink_to(tmp_path / "elsewhere")
    assert remove_of_earlier_jobs(tmp_path, "13") == 0
    assert remove_of_earlier_jobs(tmp_path / "missing", "13") == 0
    assert len(list(tmp_path.iterdir())) == 2


def test_the_files_of_a_run_of_many_ranks_do_not_grow_with_its_jobs(tmp_path: Path) -> None:
    ranks = 64
    counts = []
    for job in range(1, 11):
        remove_of_earlier_jobs(tmp_path, str(job))
        made = {f"{job}_{rank}_log.out": "" for rank in range(ranks)}
        made |= {f"{job}_{rank}_result.pkl": "x" for rank in range(ranks)}
        make(tmp_path, **made, **{f"rank_{rank:04d}.log": "x" for rank in range(ranks)}, **{f"{job}_submitted.pkl": ""})
        counts.append(len(list(tmp_path.iterdir())))
    # Each job leaves its pickle and rank 0's log.
    assert counts[-1] - counts[0] == 2 * 9 and counts[0] == 3 * ranks + 1
