"""Makes docs/pictures/ by the project's own commands, from the generated corpus of a benchmark: minutes on two cores.

python -m benchmarks.recording --keep OUT      # corpus, shards, run, half an hour of speech, its timeline
python docs/make_pictures.py OUT
python docs/make_pictures.py --mlflow STORE RUN    # that of MLflow alone, of a run that is tracked; needs Chromium
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)
PICTURES = ROOT / "docs" / "pictures"
_WIDE = 1100  # pixels
# A path of this machine is nobody's concern; the page writes it again when its size changes, as for a picture.
_HIDDEN = """(() => {
    const hide = () => {
        const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        while (texts.nextNode()) {
            const text = texts.currentNode;
            if (text.data.includes('%s')) text.data = text.data.replaceAll('%s', 'store');
        }
    };
    hide();
    new MutationObserver(hide).observe(document.body, {subtree: true, childList: true, characterData: true});
})()"""


def main(out: Path) -> None:
    run = out / "store" / "runs" / "talk"
    step("evaluate", run, "--robustness")
    step("report", run, "--gallery", 8)
    draw_curves(run)
    for source, name in {
        run / "reports" / "training_curves.png": "curves",
        run / "reports" / "test_best.png": "confusion",
        run / "reports" / "test_best_robustness.png": "robustness",
        run / "gallery" / "test_best_gallery.png": "gallery",
        out / "timeline.mp4.png": "timeline",
    }.items():
        keep(source, name)
    draw_mlflow(run.parents[1], run.name)


def draw_mlflow(store: Path, run: str) -> None:
    """The page of a run as `dual-hpc ui` shows it to a browser."""
    from mlflow import MlflowClient

    from tests.unit.serving.browser import Browser

    served = subprocess.Popen(
        [sys.executable, "-m", "launch.cli.main", "ui", "--store", str(store)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert served.stdout is not None
        address = re.findall(r"http://\S+", served.stdout.readline())[0]
        with tempfile.TemporaryDirectory() as folder, Browser(Path(folder), width=1500, height=900) as browser:
            browser.open(address)
            where = urlsplit(address)
            experiment = where.fragment.split("/")[2]
            os.environ["MLFLOW_TRACKING_TOKEN"] = parse_qs(where.query)["token"][0]
            client = MlflowClient(f"{where.scheme}://{where.netloc}")
            mlflow_run = client.search_runs([experiment], f"attributes.run_name = '{run}'")[0].info.run_id
            page = f"#/experiments/{experiment}/runs/{mlflow_run}?workflowType=machine_learning"
            browser.wait_for("document.querySelector('[data-component-id=\"mlflow.assistant.chat_panel.close\"]')")
            browser.click('[data-component-id="mlflow.assistant.chat_panel.close"]')
            browser.value(f"location.hash = {page!r}")
            browser.wait_for("/Metrics \\(\\d+\\)/.test(document.body.innerText)")
            time.sleep(5)  # until the rest is there
            browser.value(_HIDDEN.replace("%s", str(store.resolve())))
            browser.picture(Path(folder) / "mlflow.png", whole=False)
            keep(Path(folder) / "mlflow.png", "mlflow")
    finally:
        served.terminate()
        served.wait()


def step(*words: object) -> None:
    """One command as a user types it, and how long it took."""
    from launch.cli.main import main as dual_hpc

    asked = [str(word) for word in words]
    print(f"$ dual-hpc {shlex.join(asked)}", flush=True)
    begun = time.monotonic()
    if code := dual_hpc(asked):
        sys.exit(code)
    print(f"  {time.monotonic() - begun:.0f} s", flush=True)


def draw_curves(run: Path) -> None:
    """What `sync` draws of a run that is tracked."""
    from dual_hpc.picture import png
    from dual_hpc.run.directory import RunDir
    from dual_hpc.run.journal import read, replay
    from dual_hpc.tracking.figures import training_curves

    found = RunDir.open(run)
    curves = training_curves(replay(read(found.journal)), found.identity().name)
    (run / "reports" / "training_curves.png").write_bytes(png(curves))


def keep(source: Path, name: str) -> None:
    """A small copy: at most 1100 pixels wide, 96 colours."""
    PICTURES.mkdir(exist_ok=True)
    with Image.open(source) as picture:
        small = picture.convert("RGB")
        small.thumbnail((_WIDE, 10_000), Image.Resampling.LANCZOS)
        written = io.BytesIO()
        small.quantize(96, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
    (PICTURES / f"{name}.png").write_bytes(written.getvalue())
    print(f"{name}: {small.width} x {small.height}, {written.tell() >> 10} KiB", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "--mlflow":
        draw_mlflow(Path(sys.argv[2]), sys.argv[3])
    elif len(sys.argv) == 3:
        keep(Path(sys.argv[1]), sys.argv[2])  # a picture that another command made
    else:
        main(Path(sys.argv[1]))
