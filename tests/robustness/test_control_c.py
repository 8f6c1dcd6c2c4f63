"""Ctrl-C while chapters are executed: the old notebooks stay, no kernel is left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "tools" / "notebooks.py"
SLOW = """\
# %%
import os, time
from pathlib import Path
Path("draft").write_text(str(os.getpid()))
os.rename("draft", "begun")
time.sleep(100)
"""


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and ") Z " in stat.read_text())


def test_stopped_in_a_chapter(tmp_path):
    (tmp_path / "01_slow.py").write_text(SLOW)
    (tmp_path / "01_slow.ipynb").write_text("the old one")
    process = subprocess.Popen(
        [sys.executable, TOOL, "--folder", tmp_path], stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 60
    while not (tmp_path / "begun").exists():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said.splitlines()[-1] == "interrupted: the notebooks are as they were"
    names = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
    assert names == ["01_slow.ipynb", "01_slow.py", "begun"]
    assert (tmp_path / "01_slow.ipynb").read_text() == "the old one"
    kernel = int((tmp_path / "begun").read_text())
    while alive(kernel) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(kernel)
