"""A pool that is given up leaves nothing behind: no process, and no semaphore that Python warns of."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import os, sys, time
from tuwen.engine.local import Workers

def wait(number):
    print("begun", os.getpid(), flush=True)
    time.sleep(60)

if __name__ == "__main__":
    try:
        with Workers(2) as pool:
            for _ in pool.ordered(wait, list(range(8))):
                pass
    except KeyboardInterrupt:
        pass
    os._exit(130)  # as tuwen ends: Python takes nothing apart
"""


def test_ctrl_c_leaves_no_process_and_no_semaphore(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    hears = ["env", "--default-signal=INT"]  # where the tests run in the background, Ctrl-C is ignored
    command = [*hears, sys.executable, str(script)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout is not None
    workers = [int(running.stdout.readline().split()[1]) for _ in range(2)]
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=60)  # the tracker of semaphores, which warns, holds it open until it ends
    assert (running.returncode, told) == (130, "")
    assert not [worker for worker in workers if Path(f"/proc/{worker}").exists()]
