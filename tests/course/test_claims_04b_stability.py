"""The claims on few bits and the z-loss: their verdicts from made-up columns."""

import pytest
import torch

from moe_lib.course import claims_04b_stability as claims
from moe_lib.course import measurements_04b_stability as long
from moe_lib.course import stability_tables as tables
from moe_lib.course.precision import Probe
from moe_lib.course.switch_setup import Setup
from moe_lib.data.domain_text import DomainText

SMALL = Setup(num_experts=4, d_model=16, d_ff=16, tokens=128, steps=22, warmup=2)


def probe(dtype=torch.float32):
    draw = torch.Generator().manual_seed(1)
    x, weight = (torch.randn(n, 16, generator=draw, dtype=dtype) for n in (300, 8))
    return Probe(x, weight, None)


@pytest.fixture
def small_text(monkeypatch):
    draw = torch.Generator().manual_seed(0)
    train, held = (
        torch.randint(256, (2, n), generator=draw, dtype=torch.uint8)
        for n in (4000, 9000)
    )
    text = DomainText(train, held, ("a", "b"), ("", ""))
    monkeypatch.setattr(long, "load_text", lambda: text)


def verdicts(found):
    return {claim.id: claim.verdict for claim in found}


def precision_columns(bits, seconds):
    wobble = torch.tensor([-0.001, 0.0, 0.001])
    return {
        f"{arm}: {what}": values[arm] + wobble
        for what, values in (("bits", bits), ("seconds", seconds))
        for arm in long.ARMS
    }


def test_bf16_is_judged_against_float32():
    bits = {"float32": 3.0, "selective": 3.005, "bfloat16": 3.4}
    seconds = {"float32": 0.2, "selective": 0.1, "bfloat16": 0.1}
    assert verdicts(claims.precision_claims(precision_columns(bits, seconds))) == {
        "M4.table-2-diverges": "holds",
        "M4.selective": "holds",
        "M4.selective-time": "holds",
    }
    bits = {"float32": 3.0, "selective": 3.2, "bfloat16": 2.9}
    seconds["selective"] = 0.4
    found = verdicts(claims.precision_claims(precision_columns(bits, seconds)))
    assert set(found.values()) == {"does not hold here"}


def z_columns(with_z, without):
    """Each number at the end of two looks, three seeds that hardly differ."""
    wobble = 1e-4 * torch.arange(3)[:, None]
    columns = {}
    for lr in long.STABILITY.config["rates"]:
        for w_z in long.STABILITY.config["coefficients"]:
            arm, values = long.arm_name(lr, w_z), with_z if w_z else without
            for name, value in values.items():
                columns[f"{arm}: {name}"] = torch.tensor([[9.0, value]]) + wobble
            columns[f"{arm}: jump"] = 0.25 + wobble[:, 0]
            columns[f"{arm}: flipped"] = 0.025 + wobble
    return columns


GOOD = {"lse": 1.0, "max logit": 4.0, "error": 0.001, "bits": 2.9, "changed": 0.2}
BAD = {"lse": 3.0, "max logit": 6.0, "error": 0.01, "bits": 2.905, "changed": 0.2}


def test_the_z_loss_is_judged_by_what_it_lowers():
    assert set(verdicts(claims.z_claims(z_columns(GOOD, BAD))).values()) == {"holds"}
    turned = verdicts(claims.z_claims(z_columns(BAD, GOOD)))
    for id in ("M4.z-lse", "M4.z-logits", "M4.z-rounding"):
        assert turned[id] == "does not hold here"


def test_the_exact_claims_are_exact():
    found = [claims.island_claim(probe()), *claims.z_loss_claims(probe())]
    assert [claim.verdict for claim in found] == ["exact"] * 3


def test_the_printed_table_stands_above_ours():
    table = tables.stability_table(z_columns(GOOD, BAD))
    assert len(table.rows) == 7 + 6
    baseline = ("ST-MoE: baseline", "4 of 6 runs", "-1.755 ± 0.02 (log p)", "")
    assert table.rows[0] == baseline
    assert table.rows[7][3] == "2.5"
    assert table.rows[7][0] == "here: rate 0.014, z 0"
    assert "jumps by 0.25" in table.rows[7] and "2.905" not in repr(table)


def test_table_2_stands_beside_ours():
    columns = {f"{arm}: flipped by the model": torch.tensor([0.01, 0.03])
               for arm in long.ARMS}  # fmt: skip
    for k, arm in enumerate(long.ARMS):
        columns[f"{arm}: bits"] = torch.tensor([3.0, 3.2]) + k
        columns[f"{arm}: seconds"] = torch.tensor([0.05, 0.05])
    table = tables.precision_table(columns)
    assert table.rows[2] == (
        "bfloat16", "\u22123.780", "5.100 \u00b1 0.141", "1,390", "50", "2.0"
    )  # fmt: skip


def test_cited_claims_cite():
    assert {c.verdict for c in claims.cited_claims()} == {"cited only"}


def test_precision_is_measured(small_text):
    config = {"base": SMALL.but(steps=2).config, "arms": long.ARMS}
    columns = long.measure_precision(config, [0, 1])
    assert {len(values) for values in columns.values()} == {2}
    for arm in ("float32", "selective"):
        assert (columns[f"{arm}: flipped by the router"] == 0).all()
    assert (columns["float32: flipped by the model"] == 0).all()
    assert (columns["bfloat16: flipped by the router"] > 0).all()
    assert len(claims.precision_claims(columns)) == 3


def test_stability_is_measured(small_text):
    config = {
        "base": SMALL.config, "rates": (0.01,), "coefficients": (0.0, 1.0),
        "checkpoints": (11, 22),
    }  # fmt: skip
    columns = long.measure_stability(config, [0, 1])
    assert columns["0.01, z 0: changed"].shape == (2, 1)
    assert columns["0.01, z 0: jump"].shape == (2,)
    assert columns["0.01, z 1: lse"].shape == (2, 2)
    with_z, without = (columns[f"0.01, z {z}: lse"][:, -1] for z in (1, 0))
    assert (with_z < without).all()
