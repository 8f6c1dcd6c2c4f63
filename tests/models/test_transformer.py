"""Transformers: attention by hand, who sees what, padding, tied tables, generation."""

import math

import pytest
import torch

from moe_lib.data.characters import PADDING, START
from moe_lib.experts import Experts
from moe_lib.layer import MoE
from moe_lib.models.attention import Attention
from moe_lib.models.ffn import DenseFFN
from moe_lib.models.generate import translate
from moe_lib.models.transformer import (
    EncoderDecoder,
    TransformerLM,
)
from moe_lib.routers import TopKRouter

SHAPE = (8, 2, 2)  # d_model, num_heads, num_layers


def dense(layer):
    return DenseFFN(8, 16)


def moe(layer):
    return MoE(TopKRouter(8, 4, top_k=2), Experts(4, 8, 16))


def make(kind, *first, make_ffn=moe, **more):
    torch.manual_seed(0)
    return kind(*first, *SHAPE, make_ffn, max_length=12, **more).double().eval()


def padded(tokens, mask, with_):
    return tokens.masked_fill(~mask, with_)


def test_attention_by_hand():
    torch.manual_seed(0)
    attention = Attention(6, 2).double()
    x, memory = torch.randn(2, 4, 6).double(), torch.randn(2, 5, 6).double()
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]).bool()
    for b in range(2):
        for what, y in [
            ("self", attention(x)),
            ("causal", attention(x, causal=True)),
            ("memory", attention(x, memory, mask)),
        ]:
            other = (memory if what == "memory" else x)[b]
            q, kv = (
                x[b] @ attention.query.weight.T,
                other @ attention.key_value.weight.T,
            )
            heads = []
            for h in range(2):
                part = slice(3 * h, 3 * h + 3)
                score = q[:, part] @ kv[:, :6][:, part].T / math.sqrt(3)
                if what == "memory":
                    score[:, ~mask[b]] = -torch.inf
                if what == "causal":
                    score += torch.full((4, 4), -torch.inf).triu(1)
                heads.append(score.softmax(dim=1) @ kv[:, 6:][:, part])
            by_hand = torch.cat(heads, dim=1) @ attention.out.weight.T
            torch.testing.assert_close(y[b], by_hand)


@pytest.mark.parametrize("byte_width", [None, 4])
def test_a_decoder_looks_back_only(byte_width):
    model = make(TransformerLM, 256, byte_width=byte_width)
    tokens = torch.randint(256, (3, 9))
    logits, routings = model(tokens)
    assert logits.shape == (3, 9, 256)
    assert [r.num_tokens for r in routings] == [27, 27]
    for t in (0, 4, 8):
        other = tokens.clone()
        other[:, t] = (other[:, t] + 1) % 256
        changed = model(other)[0]
        torch.testing.assert_close(changed[:, :t], logits[:, :t])
        assert ((changed - logits)[:, t].abs().amax(dim=1) > 1e-6).all()


def test_an_encoder_sees_both_sides():
    model = make(TransformerLM, 256, causal=False)
    tokens = torch.randint(256, (1, 9))
    before = model(tokens)[0]
    tokens[0, 8] = (tokens[0, 8] + 1) % 256
    assert (model(tokens)[0] - before)[0, 0].abs().max() > 1e-6


@pytest.mark.parametrize(
    "model",
    [
        lambda: make(TransformerLM, 20),
        lambda: make(TransformerLM, 20, causal=False),
    ],
)
def test_what_stands_in_the_padding_does_not_matter(model):
    model = model()
    tokens = torch.randint(20, (3, 9))
    mask = torch.arange(9) < torch.tensor([[9], [5], [2]])
    logits, routings = model(padded(tokens, mask, 7), mask)
    other, _ = model(padded(tokens, mask, 13), mask)
    torch.testing.assert_close(logits[mask], other[mask])
    assert all(r.demand_per_expert.sum() == 2 * 16 for r in routings)
    alone, _ = model(tokens[1:2, :5])
    ours = logits[1:2, :5] if logits.ndim == 3 else logits[1:2]
    torch.testing.assert_close(ours, alone)


def test_padding_on_either_side_of_a_translation_does_not_matter():
    model = make(EncoderDecoder, 20)
    source, target = torch.randint(20, (2, 8)), torch.randint(20, (2, 6))
    from_mask = torch.arange(8) < torch.tensor([[8], [3]])
    to_mask = torch.arange(6) < torch.tensor([[6], [4]])
    logits, routings = model(
        padded(source, from_mask, 1), padded(target, to_mask, 1), from_mask, to_mask
    )
    other, _ = model(
        padded(source, from_mask, 2), padded(target, to_mask, 2), from_mask, to_mask
    )
    torch.testing.assert_close(logits[to_mask], other[to_mask])
    assert [int(r.demand_per_expert.sum()) for r in routings] == [22, 22, 20, 20]
    alone, _ = model(source[1:, :3], target[1:, :4])
    torch.testing.assert_close(logits[1:, :4], alone)


def test_the_decoder_reads_the_source_and_looks_back_only():
    model = make(EncoderDecoder, 20)
    source, target = torch.randint(20, (1, 8)), torch.randint(20, (1, 6))
    logits, _ = model(source, target)
    other = target.clone()
    other[0, 3] = (other[0, 3] + 1) % 20
    torch.testing.assert_close(model(source, other)[0][:, :3], logits[:, :3])
    source[0, 7] = (source[0, 7] + 1) % 20
    assert (model(source, target)[0] - logits)[0, 0].abs().max() > 1e-6


def test_the_decoder_may_be_dense_where_the_encoder_is_not():
    model = make(EncoderDecoder, 20, make_decoder_ffn=dense)
    source, target = torch.randint(20, (1, 8)), torch.randint(20, (1, 6))
    _, routings = model(source, target)
    assert [r.num_tokens for r in routings] == [8, 8]


def test_tied_tables_are_one_parameter():
    for model in (make(TransformerLM, 20), make(EncoderDecoder, 20)):
        of_vocabulary = [n for n, p in model.named_parameters() if 20 in p.shape]
        assert of_vocabulary == ["tokens.table"]
    untied = make(TransformerLM, 256, byte_width=4)
    assert "tokens.head.weight" in dict(untied.named_parameters())


def test_translate_goes_on_until_the_end():
    model = make(EncoderDecoder, 9, make_ffn=dense)
    source = torch.randint(4, 9, (40, 5))
    mask = torch.ones_like(source, dtype=torch.bool)
    how = dict(steps=6, start=START, padding=PADDING)
    never = translate(model, source, mask, end=-1, **how)
    end = int(never[:, 3].mode().values)  # something that it does write
    out = translate(model, source, mask, end=end, **how)
    assert out.shape == (40, 6) and (out == end).any()
    for n, row in enumerate(out.tolist()):
        so_far = torch.tensor([[START, *row]])
        length = row.index(end) + 1 if end in row else 6
        logits, _ = model(source[n : n + 1], so_far[:, :length])
        assert logits[0].argmax(dim=1).tolist() == row[:length]
        assert row[length:] == [PADDING] * (6 - length)


def test_bad_input():
    with pytest.raises(ValueError, match="num_heads=3: give a divisor of d_model=8"):
        Attention(8, 3)
    with pytest.raises(ValueError, match="13 tokens but max_length=12: shorten"):
        make(TransformerLM, 20)(torch.zeros(1, 13, dtype=torch.int64))
    with pytest.raises(ValueError, match="num_layers=0"):
        TransformerLM(20, 8, 2, 0, dense, max_length=4)
