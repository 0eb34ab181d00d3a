"""Two processes that take a step together, which one of them may never finish."""

from __future__ import annotations

import os
import signal

import pytest

from benchmark.checks import two_processes
from benchmark.checks.two_processes import ProcessPair


@pytest.mark.slow
def test_a_process_that_does_not_answer_is_not_waited_for(monkeypatch):
    """Nor does it outlive the two_processes."""
    monkeypatch.setattr(two_processes, "_LIMIT", 2.0)
    with ProcessPair() as processes:
        processes._start()
        started = [process for _, process in processes._workers]
        for process in started:
            os.kill(process.pid, signal.SIGSTOP)
        with pytest.raises(RuntimeError, match=rf"process {started[0].pid} did not answer in 2 s"):
            processes.gradients({})
    for process in started:
        process.join(10)
        assert process.exitcode == -signal.SIGKILL
