"""Routers, one file per idea; each answers with a `moe_lib.Routing`."""

from moe_lib.routers.softmax_gate import SoftmaxGate

__all__ = ["SoftmaxGate"]
