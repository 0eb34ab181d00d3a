"""The screen itself: what is shown, and where the output goes once it is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def shell(command: str, code: str) -> subprocess.CompletedProcess[str]:
    program = f"import sys\nsys.path.insert(0, {str(ROOT / 'tools')!r})\n"
    program += f"from _screen import outlive_the_screen\noutlive_the_screen()\n{code}"
    return subprocess.run(
        ["bash", "-c", command, "bash", sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_closed_descriptor_is_not_given_to_the_next_file(tmp_path):
    """Else what libraries print would end up in it."""
    file = tmp_path / "file"
    code = (
        f"import os\nstream = open({str(file)!r}, 'w')\nassert stream.fileno() > 2\n"
        "os.write(1, b'printed by C')\nprint('printed by Python', flush=True)\nstream.write('own')"
    )
    assert shell('"$@" >&- 2>&- <&-', code).returncode == 0
    assert file.read_text() == "own"


def test_what_the_encoding_lacks_is_escaped():
    done = shell('PYTHONIOENCODING=ascii "$@"', "print('80.1 ± 0.2 · VasoMIM')")
    assert done.stdout == "80.1 \\xb1 0.2 \\xb7 VasoMIM\n"


def test_lines_arrive_in_order_and_whole():
    code = "for n in range(3000): print(n, flush=n % 7 == 0)\nprint('end', file=sys.stderr)"
    done = shell('"$@" 2>&1', code)
    lines = done.stdout.split()
    assert [line for line in lines if line != "end"] == [str(n) for n in range(3000)]


def test_children_share_the_lost_stream():
    """A program in C would die of the signal."""
    code = (
        "import subprocess, time\ntime.sleep(0.5)\nprint('lost', flush=True)\n"
        "done = subprocess.run(['sh', '-c', 'echo a && echo b'])\nsys.exit(40 + done.returncode)"
    )
    assert shell('"$@" | true; exit ${PIPESTATUS[0]}', code).returncode == 40
