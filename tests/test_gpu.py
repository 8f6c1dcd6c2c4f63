"""The chapters' training on a GPU: the same run as on the CPU, and what GPUs refuse.

There is none here. `pretend_gpu` stands in for the device; bf16 is the CPU's.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext

import pytest
import torch

import pretend_gpu
from moe_lib import devices, training
from moe_lib.course import setup, start
from moe_lib.course.byte_runs import train_bytes
from moe_lib.course.byte_setup import Setup as ByteSetup
from moe_lib.course.leak_setup import Setup as LeakSetup
from moe_lib.course.leak_setup import ways_to_choose
from moe_lib.course.race_runs import run_race
from moe_lib.course.race_setup import Setup, field
from moe_lib.course.switch_runs import train_in_turns
from moe_lib.course.translation_runs import train_translation
from moe_lib.course.translation_setup import QUICK, arms
from moe_lib.data.text import load_text
from moe_lib.data.translation import load_translation


def text():
    return load_text(240_000)


def small(setup):
    return setup.but(steps=3, tokens=128, num_experts=4, warmup=2)


def race(device):
    setups = field(small(Setup()))
    runs = run_race(setups, text(), checkpoints=(1, 3), device=device)
    return {name: tell(r.model, r.bits, r.history["loss"]) for name, r in runs.items()}


def others(device):
    """Who looks ahead, and is repaired; who tells hidden bytes."""
    setups = ways_to_choose(small(LeakSetup()))
    setups["masked"] = small(Setup(masked=True, router="expert choice"))
    runs = train_in_turns(setups, text(), device=device)
    return {name: tell(r.model, r.bits, r.history["loss"]) for name, r in runs.items()}


def bytes_of_chapter_2(device):
    base = ByteSetup(num_experts=4, top_k=2, d_ff=32, steps=51, tokens=128)
    setups = {"window": base, "dense": base.but(num_experts=1, top_k=1)}
    setups["LSTM"] = base.but(model="lstm")
    runs = {n: train_bytes(s, text(), device=device) for n, s in setups.items()}
    return {name: [r.curve[:20].tolist()] for name, r in runs.items()}


def phrases_of_chapter_3(device):
    data = load_translation({"de": 40, "fr": 30}, num_test=8, max_length=32)
    setups = arms(QUICK.but(steps=2, pairs=8, num_layers=2))
    runs = {
        name: train_translation(setups[name], data, device=device)
        for name in ("dense", "experts")
    }
    return {name: tell(r.model, r.curve, r.nats[0]) for name, r in runs.items()}


def tell(model, *found):
    weights = torch.cat([weight.flatten() for weight in model.parameters()])
    assert all(type(t) is torch.Tensor for t in (weights.detach(), *found))
    return [weights.tolist(), *(value.tolist() for value in found)]


def there_and_here(run):
    """In the other process: the run's numbers there, and here."""
    with pretend_gpu.pretend_gpu() as gpu:
        there = run(gpu)
    return there, run("cpu")


def said(action):
    """In the other process: what the GPU says of it."""
    with pretend_gpu.pretend_gpu() as gpu, pytest.raises(RuntimeError) as error:
        action(gpu)
    return str(error.value)


@pytest.fixture(scope="module")
def elsewhere():
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=pretend_gpu.install) as pool:
        yield lambda *call: pool.submit(*call).result(timeout=240)


@pytest.mark.parametrize(
    "run",
    [
        race,
        others,
        bytes_of_chapter_2,
        phrases_of_chapter_3,
    ],
)
def test_a_run_there_is_the_run_here(elsewhere, run):
    there, here = elsewhere(there_and_here, run)
    assert there.keys() == here.keys()
    for name in here:
        for pair in zip(there[name], here[name], strict=True):
            one, other = map(torch.tensor, pair)
            # a single weight may stray: Adam divides small gradients by themselves
            assert (one - other).norm() < 1e-3 * other.norm(), name


def tried():
    """In the other process: what `start` would choose, and whether it drew anything."""
    before = torch.get_rng_state()
    with pretend_gpu.pretend_gpu() as gpu:
        setup.one_step(gpu)
    return torch.equal(torch.get_rng_state(), before)


def test_start_tries_a_step_there_and_leaves_no_trace(elsewhere):
    assert elsewhere(tried)


def mix(gpu):
    torch.zeros(2, device=gpu) + torch.zeros(2)


def draw(gpu):
    torch.rand(2, device=gpu, generator=torch.Generator())


def read(gpu):
    torch.zeros(2, device=gpu).numpy()


@pytest.mark.parametrize("action", [mix, draw, read])
def test_the_pretended_gpu_refuses_what_a_gpu_refuses(elsewhere, action):
    assert elsewhere(said, action)


def bf16_on_the_cpu(monkeypatch):
    def precision(device):
        return torch.autocast("cpu", torch.bfloat16)

    monkeypatch.setattr(training, "mixed_precision", precision)


def test_every_router_learns_in_mixed_precision(monkeypatch):
    setups = {**field(small(Setup())), **ways_to_choose(small(LeakSetup()))}
    plain = train_in_turns(setups, text())
    bf16_on_the_cpu(monkeypatch)
    mixed = train_in_turns(setups, text())
    for name in setups:
        bits = [run[name].history["bits_per_byte"] for run in (plain, mixed)]
        assert not torch.equal(*bits), f"{name} is in float32"
        assert torch.allclose(*bits, atol=0.05), name
        assert all(w.dtype == torch.float32 for w in mixed[name].model.parameters())


@pytest.mark.parametrize(
    ("kind", "capability", "expected"),
    [
        ("cpu", None, nullcontext),
        ("cuda", (7, 5), nullcontext),  # Colab's T4
        ("cuda", (8, 0), torch.autocast),
        ("cuda", (9, 0), torch.autocast),
    ],
)
@pytest.mark.filterwarnings("ignore:.*CUDA is not available")
def test_mixed_precision_where_the_gpu_multiplies_bf16(
    monkeypatch, kind, capability, expected
):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    context = devices.mixed_precision(torch.device(kind))
    assert isinstance(context, expected)
    if expected is torch.autocast:
        assert (context.device, context.fast_dtype) == ("cuda", torch.bfloat16)


def test_without_a_gpu_the_processor_and_with_a_broken_one_too(monkeypatch):
    assert start().device == torch.device("cpu")
    assert start(device="meta").device.type == "meta"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)

    def too_old(*shape, **kwargs):
        raise RuntimeError("CUDA error: no kernel image is available\nand more")

    monkeypatch.setattr(setup, "one_step", too_old)
    with pytest.warns(UserWarning, match="no kernel image is available\\): every"):
        assert start().device == torch.device("cpu")
