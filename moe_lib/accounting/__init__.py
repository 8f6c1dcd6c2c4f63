"""What a layer and a model cost, from their sizes alone: nothing is built.

Parameters (all, and those that one token uses), FLOPs (a multiply-add is 2),
memory. `FeedForward` is one layer, dense or a mixture; `Transformer` is a model.
Tests hold the counts to built modules, to torch's FLOP counter and to measured memory.
"""

from moe_lib.accounting.feed_forward import FeedForward
from moe_lib.accounting.memory import Memory
from moe_lib.accounting.transformer import Transformer

__all__ = ["FeedForward", "Memory", "Transformer"]
