"""Memory: the peak of one step, and whether a thousand steps need more than a hundred.

``python -m benchmarks.memory DEVICE`` is the second, in a process of its own.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.candidates import Candidate, ours
from benchmarks.shapes import Bank, Shape

WARM, STEPS = 100, 1000


def peak_bytes(candidate: Candidate, device: str) -> int:
    """Most bytes that forward + backward holds above what stood before.

    The weights and the input stood before; activations, temporaries and all gradients
    are counted: exactly, from the allocator's own record, not from the process's size.
    """
    for parameter in candidate.parameters:
        parameter.grad = None
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        candidate.forward_backward()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        candidate.forward_backward()
    events = record.profiler.kineto_results.events()
    changes = [event for event in events if event.name() == "[memory]"]
    live = peak = 0
    for change in sorted(changes, key=lambda event: event.start_ns()):
        live += change.nbytes()
        peak = max(peak, live)
    return peak


def growth_in_a_process(device: str) -> dict[str, int]:
    """Bytes held after 100 steps and after 1,000 more, with the usual malloc."""
    usual = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    command = [sys.executable, "-m", "benchmarks.memory", device]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=usual
    )
    return json.loads(done.stdout.splitlines()[-1])


def growth(device: str) -> dict[str, int]:
    torch.set_num_threads(1)
    bank = Bank(Shape(num_tokens=256, d_model=64, d_ff=128), device, torch.float32)
    candidate = ours(bank)
    optimiser = torch.optim.SGD(candidate.module.parameters(), lr=1e-6)

    def held_after(steps: int) -> int:
        for _ in range(steps):
            candidate.forward_backward()
            optimiser.step()
        if device == "cuda":
            return torch.cuda.max_memory_allocated()
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    before = held_after(WARM)
    return {"steps": STEPS, "before": before, "after": held_after(STEPS)}


if __name__ == "__main__":
    print(json.dumps(growth(sys.argv[1])))
