"""Fetching: CPU per image beside img2dataset, and memory over 100,000 URLs of which a third fails.

    python benchmarks/fetch.py [--images 3000] [--urls 100000] [--no-peer] [--runs 3]

Smooth random JPEGs of about 27 KB in four sizes are served on loopback (by nginx where it is installed, else by a small
server in a process of its own). Each contender runs over all of them and over 30 of them, in turn; the difference gives
CPU per image, the rest is start-up. CPU is of all processes but the server's; Python may keep what it compiles, as it
does wherever it is installed. `--tuwen PATH` measures another installation: extras cost start-up (pyarrow imports
pandas where it finds it), so the figure of users is that of `pip install .`. tuwen's road is `tuwen build` and
`tuwen release` to WebDataset shards; img2dataset 1.47 does its own equivalent from a virtual environment of its own,
which the first run makes in `.venv-img2dataset`. Goals are printed twice: in CPU time, which holds on the machine that
they were set on, and as shares of what img2dataset takes in the same run.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

PEER = Path(__file__).parents[1] / ".venv-img2dataset"
PEER_VERSION = "1.47.0"
SIZES = ((640, 480), (480, 640), (800, 600), (512, 512))
FEW = 30
SHARD = 375
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
PEER_MS, PEER_STARTUP_S = 4.3, 5.2  # img2dataset on the machine that the goals were set on
GOALS = {"fetch_resize": 2.8, "fetch_original": 0.7, "fetch_startup": 1.5, "fetch_memory": 1.2}
# The same goals in units of img2dataset, for machines of another speed.
GOALS |= {
    "fetch_resize_share": round(GOALS["fetch_resize"] / PEER_MS, 3),
    "fetch_original_share": round(GOALS["fetch_original"] / PEER_MS, 3),
    "fetch_startup_share": round(GOALS["fetch_startup"] / PEER_STARTUP_S, 3),
}


def make_images(folder: Path, count: int) -> None:
    """Noise of a few pixels blown up, with a little grain: compresses like photographs."""
    random_numbers = np.random.default_rng(0)
    for number in range(count):
        width, height = SIZES[number % len(SIZES)]
        coarse = Image.fromarray(random_numbers.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
        grain = random_numbers.integers(-4, 5, (height, width, 1), dtype=np.int16)
        Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8)).save(folder / f"{number:05d}.jpg", quality=68)


@contextlib.contextmanager
def served(folder: Path, port: int) -> Iterator[str]:
    """The folder over HTTP on loopback."""
    if nginx := shutil.which("nginx"):
        configuration = folder.parent / "nginx.conf"
        configuration.write_text(
            f"daemon off; worker_processes 1; pid {folder.parent}/nginx.pid; error_log {folder.parent}/nginx.err;\n"
            f"{'user root;' if os.geteuid() == 0 else ''} events {{ worker_connections 2048; }}\n"
            "http { access_log off; sendfile on; keepalive_requests 100000; types { image/jpeg jpg; }\n"
            f" server {{ listen 127.0.0.1:{port}; root {folder}; }} }}\n"
        )
        server = subprocess.Popen([nginx, "-c", configuration], stderr=subprocess.DEVNULL)
    else:
        server = subprocess.Popen([sys.executable, __file__, "--serve", str(folder), "--port", str(port)])
    try:
        wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def wait_for(port: int) -> None:
    import socket

    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.05)
    raise SystemExit(f"no server on port {port}")


def serve(folder: Path | None, port: int) -> None:
    """Files of a folder; without one, the mixed crowd of `mixed_urls`."""
    from aiohttp import web

    picture = io.BytesIO()
    Image.effect_noise((64, 64), 40).convert("RGB").save(picture, "JPEG")
    body = picture.getvalue()

    async def answer(request: web.Request) -> web.StreamResponse:
        kind, number = request.match_info["kind"], request.match_info["number"]
        if kind == "ok":  # every image another one: a comment after the first marker
            return web.Response(
                body=body[:2] + b"\xff\xfe\0\x0a" + f"{number:>8}".encode() + body[2:], content_type="image/jpeg"
            )
        if kind == "html":
            return web.Response(text="<html>sorry</html>", content_type="text/html")
        if kind == "loop":
            raise web.HTTPFound(f"/loop/{number}")
        if kind == "cut":
            response = web.StreamResponse(headers={"Content-Length": str(len(body))})
            await response.prepare(request)
            await response.write(body[:200])
            if request.transport is not None:
                request.transport.close()
            return response
        return web.Response(status=int(kind) if kind.isdigit() else 404)

    application = web.Application()
    if folder is None:
        application.router.add_get("/{kind}/{number}", answer)
    else:
        application.router.add_static("/", folder)
    web.run_app(application, host="127.0.0.1", port=port, print=None, access_log=None)


def mixed_urls(site: str, count: int) -> Iterator[str]:
    """Seven tenths good; the rest fails in nine ways, spread over many names and two dead ports."""
    chance = random.Random(0)
    bad = ("404", "403", "410", "500", "503", "html", "loop", "cut")
    for number in range(count):
        draw = chance.random()
        if draw < 0.7:
            yield f"{site}/ok/{number}"
        elif draw < 0.74:
            yield f"http://gone-{number % 997}.invalid/{number}.jpg"
        elif draw < 0.76:
            yield f"http://127.0.0.1:{9 + number % 2}/{number}.jpg"
        else:
            yield f"{site}/{chance.choice(bad)}/{number}"


def cpu_and_peak(command: list[str], environment: dict[str, str] | None = None) -> tuple[float, float]:
    """(CPU seconds, peak MB of the largest process) of a command and its children."""
    code = (
        "import json, resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], capture_output=True, text=True)\n"
        "assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**_ENVIRONMENT, **(environment or {})},
    )
    cpu_s, peak_mb = json.loads(done.stdout.splitlines()[-1])
    return cpu_s, peak_mb


def write_recipe(path: Path, urls: Path, **fetch: object) -> None:
    recipe = {
        "name": "bench",
        "sources": [{"url_list": {"paths": [str(urls)], "columns": {"url": "url", "text": "caption"}}}],
        "fetch": {
            "contact": "https://example.org/bench",
            "allow_addresses": ["127.0.0.0/8"],
            "host_concurrency": 16,
            "host_requests_per_s": 1e9,
            **fetch,
        },
        "stages": ["pair.resolve"],
        "selections": {"all": {"unit": "pair", "steps": [{"rule": {"where": "fetch_error is null"}}]}},
    }
    path.write_text(json.dumps(recipe))  # JSON is YAML


def tuwen_run(tuwen: list[str], folder: Path, urls: Path, reencode: bool) -> float:
    """CPU seconds from the list to WebDataset shards."""
    recipe, corpus, out = folder / "recipe.yaml", folder / "corpus", folder / "out"
    for path in (corpus, out):
        shutil.rmtree(path, ignore_errors=True)
    write_recipe(recipe, urls)
    resize = ["--set", "reencode.short_side=256", "--set", "reencode.quality=95"] if reencode else []
    cpu_s, _ = cpu_and_peak([*tuwen, "build", str(recipe), "--corpus", str(corpus), "--json"])
    release = ["release", str(corpus), "--selection", "all", "--to", str(out), "--format", "webdataset"]
    more, _ = cpu_and_peak([*tuwen, *release, "--set", f"samples_per_shard={SHARD}", *resize])
    return cpu_s + more


def peer_run(folder: Path, urls: Path) -> float:
    out = folder / "img2dataset"
    shutil.rmtree(out, ignore_errors=True)
    options = {
        "url_list": urls,
        "input_format": "tsv",
        "url_col": "url",
        "caption_col": "caption",
        "output_format": "webdataset",
        "output_folder": out,
        "processes_count": 2,
        "thread_count": 32,
        "image_size": 256,
        "resize_mode": "keep_ratio",
        "resize_only_if_bigger": False,
        "number_sample_per_shard": SHARD,
        "enable_wandb": False,
    }
    arguments = [f"--{name}={value}" for name, value in options.items()]
    cpu_s, _ = cpu_and_peak([str(PEER / "bin" / "img2dataset"), *arguments], {"NO_ALBUMENTATIONS_UPDATE": "1"})
    return cpu_s


def make_peer() -> None:
    if not (PEER / "bin" / "img2dataset").exists():
        print(f"installing img2dataset {PEER_VERSION} into {PEER}, once")
        subprocess.run([sys.executable, "-m", "venv", PEER], check=True)
        subprocess.run([PEER / "bin" / "pip", "install", "-q", f"img2dataset=={PEER_VERSION}"], check=True)


def list_of(path: Path, urls: Iterator[str]) -> Path:
    lines = (f"{url}\tpicture {number}\n" for number, url in enumerate(urls))
    path.write_text("url\tcaption\n" + "".join(lines))
    return path


def per_image(runs: int, contenders: dict[str, Callable[[Path], float]], many: Path, few: Path, count: int) -> dict:
    """{name: (CPU-ms per image, start-up CPU-s)}: medians of runs in turn."""
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for _ in range(runs):
        for name, run in contenders.items():
            large, small = run(many), run(few)
            slope = (large - small) / (count - FEW)
            figures[name].append((1000 * slope, small - FEW * slope))
            print(f"{name:<22} {large:6.2f} CPU-s for {count}, {small:5.2f} for {FEW}: {1000 * slope:.2f} ms per image")
    return {
        name: tuple(float(np.median(values)) for values in zip(*rows, strict=True)) for name, rows in figures.items()
    }


def speed(options: argparse.Namespace, folder: Path) -> None:
    images = folder / "images"
    images.mkdir()
    make_images(images, options.images)
    with served(images, options.port) as site:
        addresses = [f"{site}/{path.name}" for path in sorted(images.iterdir())]
        many = list_of(folder / "many.tsv", iter(addresses))
        few = list_of(folder / "few.tsv", iter(addresses[:FEW]))
        contenders = {
            "tuwen, resized": lambda urls: tuwen_run([str(options.tuwen)], folder, urls, True),
            "tuwen, originals": lambda urls: tuwen_run([str(options.tuwen)], folder, urls, False),
        }
        if not options.no_peer:
            make_peer()
            contenders["img2dataset, resized"] = lambda urls: peer_run(folder, urls)
        found = per_image(options.runs, contenders, many, few, options.images)
    resized, original = found["tuwen, resized"], found["tuwen, originals"]
    verdict("fetch_startup", resized[1])
    verdict("fetch_original", original[0])
    verdict("fetch_resize", resized[0])
    if "img2dataset, resized" in found:
        peer = found["img2dataset, resized"]
        print(f"img2dataset {peer[0]:.2f} CPU-ms per image, start-up {peer[1]:.2f} CPU-s; of these:")
        verdict("fetch_startup_share", resized[1] / peer[1])
        verdict("fetch_original_share", original[0] / peer[0])
        verdict("fetch_resize_share", resized[0] / peer[0])


def memory(options: argparse.Namespace, folder: Path) -> None:
    """Peak memory over a tenth of the URLs and over all of them, and whether every URL has its class."""
    server = subprocess.Popen([sys.executable, __file__, "--serve-mixed", "--port", str(options.port + 1)])
    peaks = []
    try:
        wait_for(options.port + 1)
        for count in (options.urls // 10, options.urls):
            urls = list_of(folder / f"mixed-{count}.tsv", mixed_urls(f"http://127.0.0.1:{options.port + 1}", count))
            recipe, corpus = folder / f"mixed-{count}.yaml", folder / f"mixed-{count}"
            write_recipe(recipe, urls, backoff_s=0.05, host_failures=1000, host_concurrency=64)
            command = [str(options.tuwen), "build", str(recipe), "--corpus", str(corpus)]
            started = time.monotonic()
            cpu_s, peak_mb = cpu_and_peak([*command, "--workers", "1", "--json"])
            peaks.append(peak_mb)
            print(f"{count} URLs: {cpu_s:.1f} CPU-s, {time.monotonic() - started:.0f} s, peak {peak_mb:.0f} MB")
            check_classes(corpus, count)
    finally:
        server.terminate()
        server.wait()
    verdict("fetch_memory", peaks[1] / peaks[0])


def check_classes(corpus: Path, count: int) -> None:
    import tuwen

    rows = tuwen.open(corpus).relation("fetches", ["url", "error", "image_id"])
    urls, bare = rows.aggregate("count(distinct url), count(*) filter (error is null and image_id is null)").fetchall()[
        0
    ]
    classes = rows.aggregate("coalesce(error, 'ok') as class, count(*) as n", "1").order("n desc").fetchall()
    print("  " + ", ".join(f"{name} {number}" for name, number in classes))
    assert urls == count and bare == 0, f"{count - urls} URLs without an attempt, {bare} without a class"


def verdict(name: str, figure: float) -> None:
    print(f"{name}: {figure:.3g} (goal {GOALS[name]}) {'ok' if figure <= GOALS[name] else 'short'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=3_000)
    parser.add_argument("--urls", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--tuwen", type=Path, default=Path(sys.executable).with_name("tuwen"))
    parser.add_argument("--port", type=int, default=18_200)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--serve-mixed", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve or options.serve_mixed:
        serve(options.serve, options.port)
        return
    with tempfile.TemporaryDirectory() as name:
        memory(options, Path(name))
        speed(options, Path(name))


if __name__ == "__main__":
    main()
