"""What rows travel as. The exchange itself needs processes: tests/test_parallel.py."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from moe_lib.exchange import PAYLOADS, all_to_all, pack, payload_bytes, unpack

DTYPES = (torch.float32, torch.float64, torch.bfloat16)
rows_of_any_size = st.tuples(
    st.integers(0, 5), st.integers(1, 9), st.integers(-40, 30), st.integers(0, 2**16)
)


def make_rows(size, dtype=torch.float64):
    """Rows whose magnitudes differ by powers of ten, from ``10 ** smallest`` on."""
    num_rows, d_model, smallest, seed = size
    draw = torch.Generator().manual_seed(seed)
    rows = torch.randn(num_rows, d_model, generator=draw, dtype=torch.float64)
    powers = torch.arange(smallest, smallest + num_rows, dtype=torch.float64)
    return (rows * (10**powers).unsqueeze(1)).to(dtype)


@given(rows_of_any_size)
def test_int8_is_off_by_at_most_half_a_step(size):
    rows = make_rows(size)
    there = unpack(pack(rows, "int8"), "int8", rows.dtype)
    step = rows.abs().amax(dim=1, keepdim=True) / 127
    step = step.clamp(min=torch.finfo(torch.float32).tiny)
    # the step travels in float32, so 127 of them are off by 127 * 2**-24
    assert ((there - rows).abs() <= step * (0.5 + 2**-16)).all()


@given(rows_of_any_size)
def test_bfloat16_is_off_by_at_most_2_to_the_minus_8(size):
    rows = make_rows(size)
    there = unpack(pack(rows, "bfloat16"), "bfloat16", rows.dtype)
    smallest = 2.0**-134  # half the smallest step of bfloat16
    assert ((there - rows).abs() <= rows.abs() * 2**-8 + smallest).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("payload", PAYLOADS)
def test_rows_of_zeros_stay_zeros(payload, dtype):
    rows = torch.zeros(3, 5, dtype=dtype)
    assert torch.equal(unpack(pack(rows, payload), payload, dtype), rows)


def test_int8_keeps_whole_steps_and_both_ends():
    rows = torch.tensor([[-127.0, 127.0, 0.0, 64.0], [0.5, -1.0, 1.0, 0.0]]) * 127
    exact = torch.tensor([True, False]).unsqueeze(1)  # 0.5 is 63.5 steps
    there = unpack(pack(rows, "int8"), "int8", torch.float32)
    assert torch.equal(there[exact[:, 0]], rows[exact[:, 0]])
    assert there[1].tolist() == [64.0, -127.0, 127.0, 0.0]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_is_not_finite_does_not_become_a_number(payload):
    rows = torch.tensor([[1.0, torch.nan], [torch.inf, 2.0], [3.0, 4.0]])
    there = unpack(pack(rows, payload), payload, torch.float32)
    assert there.isfinite().all(dim=1).tolist() == [False, False, True]


@given(rows_of_any_size, st.sampled_from(DTYPES), st.sampled_from(PAYLOADS))
def test_payload_bytes_are_those_of_the_buffer(size, dtype, payload):
    rows = make_rows(size, dtype)
    packed = pack(rows, payload)
    assert payload_bytes(*rows.shape, dtype, payload) == packed.nbytes
    assert unpack(packed, payload, dtype).dtype == dtype


def test_arithmetic_of_bytes():
    assert payload_bytes(10, 512, torch.float32) == 10 * 512 * 4
    assert payload_bytes(10, 512, torch.float32, "bfloat16") == 10 * 512 * 2
    assert payload_bytes(10, 512, torch.float32, "int8") == 10 * (512 + 4)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="payload='fp8': choose one of same, "):
        payload_bytes(1, 2, torch.float32, "fp8")
    with pytest.raises(ValueError, match="payload='fp8'"):
        all_to_all(torch.ones(1, 2), [1], [1], payload="fp8")
    with pytest.raises(ValueError, match="kind='gather': choose one of dispatch"):
        all_to_all(torch.ones(1, 2), [1], [1], kind="gather")
