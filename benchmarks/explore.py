"""Look at 10 million pairs through `tuwen explore`, as people would; run by `make bench NAME=explore`.

The corpus (`explore_corpus.py`) is real: Lance tables, two selections, an index of texts. The server is a process of
its own, asked over HTTP. Every kind of request is made with other values each time; what has to be prepared once (the
places of rows, verdicts) is timed apart, as people see it: until the page is there. Then 20 clients ask at once, and
connections are closed in the middle of work. Last, the first paint of the demo's corpus in Chromium, if there is one.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
from explore_corpus import synthetic
from search import words

from tuwen.corpus.corpus import Corpus

GOAL_INDEXED_S, GOAL_OTHER_S, GOAL_PAINT_S, GOAL_MB, GOAL_CANCEL_S = 1.0, 3.0, 1.0, 1_000, 0.5
CLIENTS, PER_CLIENT = 20, 6
PAINTED = "(performance.getEntriesByName('first-contentful-paint')[0] || {}).startTime"
CHROMIUM = Path("/usr/bin/chromium")
WAIT_S = 1_200.0  # for what is prepared once


class Server:
    """`tuwen explore` on a corpus, as a process."""

    def __init__(self, corpus: Path, port: int) -> None:
        self.port, started = port, time.perf_counter()
        command = [
            sys.executable,
            "-c",
            "from tuwen.cli import script; script()",
            "explore",
            str(corpus),
            "--no-browser",
        ]
        self.process = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.DEVNULL)
        while True:
            try:
                self.get("/static/icon.svg")
                break
            except OSError:
                time.sleep(0.02)
        self.ready("/")
        self.start_s = time.perf_counter() - started

    def get(self, path: str, part: bool = False) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path, headers={"X-Part": "1"} if part else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def ready(self, path: str, part: bool = False) -> float:
        """Seconds until a page is there, as one that refreshes itself sees it."""
        started = time.perf_counter()
        while time.perf_counter() - started < WAIT_S:
            status, _ = self.get(path, part)
            if status != 202:
                return time.perf_counter() - started
            time.sleep(0.5)
        raise TimeoutError(path)

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self, name: str) -> float:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def url(path: str, **parameters: object) -> str:
    return f"{path}?{urlencode({name: str(value) for name, value in parameters.items()})}"


def kinds(images: list[str], known: np.ndarray, rng: random.Random) -> dict[str, tuple[bool, bool, Callable[[], str]]]:
    """Name → (an indexed one, a part of a page, a request as somebody would make it)."""

    def some_words() -> str:
        return " ".join(str(known[2 * rng.randrange(500)]) for _ in range(rng.randrange(1, 3)))

    def score() -> str:
        return f"{rng.uniform(0.2, 0.98):.4f}"

    def selection() -> str:
        return rng.choice(["good", "!good", "large", "!large", "good:2", "good:4"])

    def size() -> int:
        return rng.randrange(100, 900)

    def grid(**parameters: object) -> str:
        return url("/", **({"unit": "pair"} | parameters))

    def part(path: str, **parameters: object) -> str:
        return url(path, unit="pair", **parameters)

    def rare() -> str:
        return f"tier_score < {rng.uniform(1e-6, 9e-6):.8f}"

    def numbers() -> str:
        return rng.choice(["num_characters", "image.width"])

    def columns() -> str:
        return rng.choice(["language", "text_source"])

    def moved() -> dict[str, object]:
        return {"selection": "good", "step": 4, "at": 0, "value": score()}

    indexed: dict[str, Callable[[], str]] = {
        "grid": lambda: grid(unit=rng.choice(["image", "pair", "document"])),
        "grid, own column": lambda: grid(where=f"tier_score >= {score()}"),
        "grid, column of the image": lambda: grid(where=f"image.width >= {size()}"),
        "grid, verdict": lambda: grid(**{"is": selection()}),
        "search by words": lambda: grid(q=some_words()),
        "search, images, filtered": lambda: grid(unit="image", q=some_words(), where=f"width >= {size()}"),
        "why page of an image": lambda: f"/image/{rng.choice(images)}",
        "thumbnail": lambda: f"/picture/{rng.choice(images)}",
    }
    others: dict[str, Callable[[], str]] = {
        "grid, rare rows": lambda: grid(where=rare()),
        "grid, sorted": lambda: grid(sort="tier_score desc", where=f"num_characters > {size() % 250}"),
        "funnel": lambda: url("/funnel", selection="good"),
        "thresholds": lambda: url("/thresholds", selection="good"),
        "compare": lambda: url("/compare", a="good", b="large"),
    }
    parts: dict[str, Callable[[], str]] = {
        "count, own columns": lambda: part("/count", where=f"tier_score >= {score()}"),
        "count, joined and verdict": lambda: part("/count", where=f"image.height < {size()}", **{"is": "good"}),
        "facet of texts": lambda: part("/facet", column="language", where=f"tier_score < {score()}"),
        "facet of numbers": lambda: part("/facet", column=numbers(), where=f"tier_score < {score()}"),
        "distribution of values": lambda: part("/spread", kind="values", columns=columns()),
        "distribution of hosts": lambda: part("/spread", kind="hosts", columns="image_ref"),
        "a threshold moved, crossing": lambda: url("/thresholds/crossing", **moved()),
    }
    return {
        **{name: (True, False, ask) for name, ask in indexed.items()},
        **{name: (False, False, ask) for name, ask in others.items()},
        **{name: (False, True, ask) for name, ask in parts.items()},
    }


def measured(server: Server, name: str, part: bool, ask: Callable[[], str], number: int) -> list[float]:
    walls, inexact = [], 0
    prepared = sum(server.ready(ask(), part) for _ in range(3))  # of what may differ from one to the next
    for _ in range(number):
        path, started = ask(), time.perf_counter()
        status, body = server.get(path, part)
        walls.append(time.perf_counter() - started)
        if status not in (200, 303):
            print(f"{name}: {status} of {path}: {body[:200]!r}")
        inexact += b"were read in time" in body or b"The time was up" in body or body.startswith("≥".encode())
    p50, p95 = np.percentile(walls, [50, 95])
    told = f"; {inexact} of {number} say that not all was read" if inexact else ""
    peak = server.memory_mb("VmHWM")
    line = f"{name:<28} p50 {p50:6.2f} s, p95 {p95:6.2f} s; three at first {prepared:5.1f} s; peak so far {peak:.0f} MB"
    print(line + told, flush=True)
    return walls


def cancelled(server: Server) -> float:
    """Seconds for which work goes on after its connection was closed: CPU seconds that are used from then on."""
    worst = 0.0
    for number in range(5):
        path = url(
            "/facet", unit="pair", column="tier_score", where=f"num_characters > {number} and image.width > {number}"
        )
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("GET", path, headers={"X-Part": "1"})
        time.sleep(0.4)
        connection.close()
        closed, last, busy = time.perf_counter(), server.cpu_s(), 0.0
        while time.perf_counter() - closed < 2.0:
            time.sleep(0.05)
            now = server.cpu_s()
            if now - last >= 0.02:
                busy = time.perf_counter() - closed
            last = now
        worst = max(worst, busy)
    return worst


def crowd(server: Server, asked: list[tuple[str, bool]]) -> tuple[int, float]:
    """Requests of many clients at once: how many failed, and the 95th percentile of thumbnails in seconds."""
    pictures: list[float] = []

    def client(number: int) -> int:
        failed = 0
        for path, part in asked[number * PER_CLIENT : (number + 1) * PER_CLIENT]:
            started = time.perf_counter()
            try:
                status, _ = server.get(path, part)
            except TimeoutError:
                status = 0
            if status not in (200, 202, 303):
                print(f"{status} of {path} after {time.perf_counter() - started:.1f} s")
                failed += 1
            if path.startswith("/picture"):
                pictures.append(time.perf_counter() - started)
        return failed

    with ThreadPoolExecutor(CLIENTS) as pool:
        failed = sum(pool.map(client, range(CLIENTS)))
    return failed, float(np.percentile(pictures, 95)) if pictures else 0.0


def first_paint(corpus: Path, port: int) -> float:
    """Seconds from the request to the first contentful paint, the median of five, in Chromium."""
    from playwright.sync_api import sync_playwright

    server = Server(corpus, port)
    try:
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
            found = []
            for _ in range(5):
                page = browser.new_context().new_page()
                page.goto(f"http://127.0.0.1:{port}/", wait_until="load")
                while not (at := page.evaluate(PAINTED)):  # the policy forbids what Playwright would wait with: eval
                    time.sleep(0.01)
                found.append(at / 1e3)
            browser.close()
        return float(np.median(found))
    finally:
        server.close()


def told(name: str, value: float, goal: float, unit: str, digits: int = 2) -> None:
    print(f"explore_{name}: {value:.{digits}f} {unit} (goal {goal:g}) {'ok' if value <= goal else 'short'}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10_000_000)
    parser.add_argument("--requests", type=int, default=20, help="of each kind")
    parser.add_argument("--corpus", type=Path, help="keep the corpus here, or use the one that is here")
    parser.add_argument("--demo", type=Path, default=Path("demo/corpus"), help="corpus whose first paint is measured")
    parser.add_argument("--port", type=int, default=8_640)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.corpus or Path(folder) / "corpus"
        if not (path / "recipe.json").exists():
            synthetic(path, options.pairs)
        measure(path, options.port, options.requests)
    if CHROMIUM.exists() and (options.demo / "corpus.json").exists():
        told("first_paint", first_paint(options.demo, options.port + 1), GOAL_PAINT_S, "s")


def measure(path: Path, port: int, number: int) -> None:
    images = Corpus.open(path).dataset("images").take(list(range(0, 60_000, 700)), columns=["image_id"])["image_id"]
    asked = kinds(images.to_pylist(), words(), random.Random(5))
    server = Server(path, port)
    print(f"first page {server.start_s:.1f} s after the start", flush=True)
    try:
        walls: dict[bool, list[float]] = {True: [], False: []}
        worst: dict[bool, float] = {True: 0.0, False: 0.0}
        absent: set[str] = set()
        for name, (indexed, part, ask) in asked.items():
            if server.get(ask(), part)[0] in (400, 404):
                print(f"{name}: there is no such page")
                absent.add(name)
                continue
            found = measured(server, name, part, ask, number)
            walls[indexed] += found
            worst[indexed] = max(worst[indexed], float(np.percentile(found, 95)))
        judged = url("/thresholds/funnel", selection="good", step=4, at=0, value=0.6)
        print(f"a moved threshold's whole funnel, judged anew: {server.ready(judged, True):.1f} s", flush=True)
        rng = random.Random(6)
        mixed = [
            (ask(), part) for _, part, ask in (rng.choice(list(asked.values())) for _ in range(CLIENTS * PER_CLIENT))
        ]
        failed, pictures = crowd(server, mixed)
        print(f"{CLIENTS} clients at once: thumbnails p95 {pictures:.2f} s")
        busy = cancelled(server)
        print(f"load {os.getloadavg()[0]:.1f}; anonymous memory {server.memory_mb('RssAnon'):.0f} MB at the end")
        told("crowd", failed, 0, "failed", 0)
        told("cancelled", busy, GOAL_CANCEL_S, "s")
        told("memory", server.memory_mb("VmHWM"), GOAL_MB, "MB at the peak", 0)
        told("others_p95", float(np.percentile(walls[False], 95)), GOAL_OTHER_S, "s")
        told("others_worst_kind_p95", worst[False], GOAL_OTHER_S, "s")
        told("indexed_p95", float(np.percentile(walls[True], 95)), GOAL_INDEXED_S, "s")
        told("indexed_worst_kind_p95", worst[True], GOAL_INDEXED_S, "s")
    finally:
        server.close()


if __name__ == "__main__":
    main()
