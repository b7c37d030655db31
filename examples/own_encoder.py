"""Train with an encoder of one's own, which lies in a package that the project does not know (mylab/emotion.py).

    python examples/own_encoder.py shards/clips training.epochs=10

The command line does the same, from a folder that holds `mylab`; a job on a cluster takes the plugin's source along:

    dual-hpc submit --preset demo --shards shards/clips 'plugins=[mylab.emotion]' model.audio.kind=loudness
"""

from __future__ import annotations

import argparse
import json

import dual_hpc


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    args = parser.parse_args(argv)

    own = ["plugins=[mylab.emotion]", "model.audio.kind=loudness", "model.audio.config={width: 24}"]
    config = dual_hpc.load_config("demo", ["name=own-encoder", "data.protocol=all", *own, *args.overrides])
    run = dual_hpc.train(config, shards=[args.shards])

    saved = json.loads((run.exports / "best" / "config.json").read_text(encoding="utf-8"))
    print("encoder of the saved model:", saved["audio"])
    print("plugins of the run:", run.identity().plugins)
    print(f"UA without text: {dual_hpc.evaluate(run).subsets['av'].scores.values['ua']:.3f}")


if __name__ == "__main__":
    main()
