"""`tuwen explore`: a real process on loopback."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tuwen.cli import main
from tuwen.corpus.corpus import Corpus

TUWEN = [sys.executable, "-c", "from tuwen.cli import script; script()"]


@contextmanager
def explorer(corpus: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The running explorer and the port that it says it is at."""
    command = [*TUWEN, "explore", str(corpus), "--no-browser", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        assert found, line + process.stdout.read()
        try:
            yield process, int(found[1])
        finally:
            process.kill()


def status(port: int, host: str) -> int:
    """What the first page answers to a request for this host."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/", headers={"Host": host})
    return connection.getresponse().status


def test_it_serves_this_machine_until_interrupted(tmp_path: Path) -> None:
    Corpus.create(tmp_path / "corpus")
    with explorer(tmp_path / "corpus") as (process, port):
        assert status(port, f"127.0.0.1:{port}") == 200
        assert status(port, "elsewhere.example") == 403
        process.send_signal(signal.SIGINT)
        assert process.wait(20) in (0, 130)
        assert "Traceback" not in (process.stdout.read() if process.stdout else "")


def test_it_listens_on_loopback_alone(tmp_path: Path) -> None:
    Corpus.create(tmp_path / "corpus")
    with explorer(tmp_path / "corpus") as (_, port):
        listening = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
        local = [line.split()[1] for line in listening if line.split()[3] == "0A"]
        assert [address for address in local if address.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]


def test_a_port_that_is_taken_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Corpus.create(tmp_path / "corpus")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["explore", str(tmp_path / "corpus"), "--no-browser", "--port", str(port)]) == 1
    assert f"port {port} is taken on 127.0.0.1" in capsys.readouterr().err


def test_a_folder_without_a_corpus_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", str(tmp_path), "--no-browser"]) == 2
    assert "holds no corpus" in capsys.readouterr().err
