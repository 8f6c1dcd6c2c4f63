"""Many runs of one small model, trained side by side in the same arithmetic.

Twenty-five seeds of a 36-parameter mixture cost twenty-five times the Python of one;
stacked along a new first dimension they cost little more than one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from moe_lib.checks import require_count


class Ensemble(nn.Module):
    """S independently initialised copies of a model.

    Args:
        make: builds one model from the global random state.
        seeds: one per copy; copy i is what ``torch.manual_seed(seeds[i]); make()``
            gives. The global random state is left as it was.
    """

    def __init__(self, make: Callable[[], nn.Module], seeds: Sequence[int]) -> None:
        super().__init__()
        require_count("number of seeds", len(seeds))
        members = []
        with torch.random.fork_rng():
            for seed in seeds:
                torch.manual_seed(seed)
                members.append(make())
        stacked, _ = stack_module_state(members)
        self.names = list(stacked)
        self.stacked = nn.ParameterList([stacked[name] for name in self.names])
        # kept out of the module tree: its weights are only placeholders
        self._skeleton = [copy.deepcopy(members[0]).to("meta")]

    def __len__(self) -> int:
        return self.stacked[0].shape[0]

    def each(self, function: Callable[..., Any], *batched: Tensor) -> Any:
        """``function(member, *rows)`` for every member, results stacked ``[S, ...]``.

        ``batched`` tensors have S as first dimension; member i sees row i. Inside,
        call the member like the model.
        """

        def one(weights: dict[str, Tensor], *rows: Tensor) -> Any:
            def member(*args: Any) -> Any:
                return functional_call(self._skeleton[0], weights, args)

            return function(member, *rows)

        weights = dict(zip(self.names, self.stacked, strict=True))
        return vmap(one, in_dims=(0,) * (1 + len(batched)))(weights, *batched)
