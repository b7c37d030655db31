"""Train two models on the same shards with the same settings, and compare them.

    python examples/compare_models.py shards/clips training.epochs=10

On a cluster the same is one job array: `dual-hpc sweep --grid model.family=dual,late_fusion ...`.
"""

from __future__ import annotations

import argparse

import dual_hpc


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    args = parser.parse_args(argv)

    results = {}
    for family in ("dual", "late_fusion"):
        own = [f"name={family}", f"model.family={family}", "data.protocol=all"]
        run = dual_hpc.train(dual_hpc.load_config("demo", [*own, *args.overrides]), shards=[args.shards])
        results[family] = dual_hpc.evaluate(run)

    chance = next(iter(results.values())).baselines["majority"]["ua"]
    print(f"{'UA in percent':14}{'{A,V}':>8}{'{A,V,T}':>9}   (always the most frequent class: {100 * chance:.1f})")
    for family, result in results.items():
        without, with_text = (100 * result.subsets[name].scores.values["ua"] for name in ("av", "avt"))
        print(f"{family:14}{without:8.1f}{with_text:9.1f}")


if __name__ == "__main__":
    main()
