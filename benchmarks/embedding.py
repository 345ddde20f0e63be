"""What `image.embedding` costs in a build beyond the bare loop: decode, preprocess, forward, in the same batches.

    python benchmarks/embedding.py [--count 256] [--rounds 2]

The encoder is a CLIP of the size of ViT-B/32 with random weights, made from its configuration and stored as
`save_pretrained` does; images are JPEGs of about 27 KB from a frozen generator. A round builds a corpus without the
stage, adds the stage, and runs the bare loop in a process of its own; all of it on one thread, by the CPU time of the
processes, with and without what they need to import torch and load the model. The last line is
`embedding: SHARE (goal 0.10) ok|short`: the CPU of the stage's build above that of a build with nothing to do, over
that of the bare loop, less one.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

from images import jpegs

GOAL = 0.10
BATCH = 32
BARE = """
import io, sys, time
from pathlib import Path
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel

torch.set_num_threads(1)
folder, files = sys.argv[1], sorted(Path(sys.argv[2]).glob("*.jpg"))
network = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
for start in range(0, len(files), BATCH):
    images = []
    for file in files[start : start + BATCH]:
        image = Image.open(io.BytesIO(file.read_bytes()))
        image.draft(None, (224, 224))
        images.append(image.convert("RGB"))
    inputs = processor(images=images, return_tensors="pt")
    with torch.inference_mode():
        found = network.get_image_features(**inputs).pooler_output
        torch.nn.functional.normalize(found, dim=-1).half().numpy()
""".replace("BATCH", str(BATCH))
BUILD = """
import sys
from tuwen.cli import main
sys.exit(main(sys.argv[1:]))
"""


def save_encoder(folder: Path) -> None:
    """A CLIP of the size of ViT-B/32; its text tower, which is not used, is small."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

    torch.manual_seed(0)
    text = {"num_hidden_layers": 1, "hidden_size": 64, "num_attention_heads": 2, "vocab_size": 3}
    special = {"<|startoftext|>": 0, "<|endoftext|>": 1, "<|pad|>": 2}
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    CLIPModel(CLIPConfig(text_config={**text, **ends}, vision_config={"patch_size": 32})).save_pretrained(folder)
    CLIPImageProcessorPil().save_pretrained(folder)
    CLIPTokenizer(vocab=special, merges=[], pad_token="<|pad|>").save_pretrained(folder)


def cpu_s(*command: str) -> float:
    """CPU seconds of a process and of those that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def recipe(folder: Path, pictures: Path, stages: list[Any]) -> Path:
    path = folder / f"recipe-{len(stages)}.json"  # JSON is YAML
    path.write_text(json.dumps({"name": "bench", "sources": [{"html": {"folder": str(pictures)}}], "stages": stages}))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures, none = folder / "pictures", folder / "none"
        for place in (pictures, none, folder / "model"):
            place.mkdir()
        for number, data in enumerate(jpegs(options.count)):
            (pictures / f"{number:05d}.jpg").write_bytes(data)
        save_encoder(folder / "model")
        stage = {"image.embedding": {"model": str(folder / "model"), "batch_size": BATCH}}
        without, with_stage = recipe(folder, pictures, []), recipe(folder, pictures, [stage])
        costs: dict[str, list[float]] = {
            "bare loop": [],
            "model loaded, no image": [],
            "build": [],
            "nothing to do": [],
        }
        for number in range(options.rounds):
            corpus = str(folder / f"corpus-{number}")
            build = (sys.executable, "-c", BUILD, "build", str(with_stage), "--corpus", corpus, "--workers", "1")
            cpu_s(*(argument if argument != str(with_stage) else str(without) for argument in build))
            costs["build"].append(cpu_s(*build))
            costs["nothing to do"].append(cpu_s(*build))
            bare = (sys.executable, "-c", textwrap.dedent(BARE), str(folder / "model"))
            costs["bare loop"].append(cpu_s(*bare, str(pictures)))
            costs["model loaded, no image"].append(cpu_s(*bare, str(none)))
    middle = {what: statistics.median(found) for what, found in costs.items()}
    for what, found in costs.items():
        print(f"  {what}: {middle[what]:.2f} CPU s ({', '.join(f'{value:.2f}' for value in found)})")
    ours, bare_s = middle["build"] - middle["nothing to do"], middle["bare loop"]
    passes = bare_s - middle["model loaded, no image"]
    print(f"  stage {ours:.2f} s; {1000 * passes / options.count:.1f} ms an image in the bare loop, beyond loading")
    share = ours / bare_s - 1
    print(f"embedding: {share:.3f} (goal {GOAL:.2f}) {'ok' if share <= GOAL else 'short'}")


if __name__ == "__main__":
    main()
