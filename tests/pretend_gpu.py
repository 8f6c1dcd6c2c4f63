"""A GPU that is not there, so that a machine without one finds what a GPU would refuse.

Its tensors say that they lie on ``pretend:0``, while their numbers are in CPU memory.
As on CUDA, tensors of two devices do not mix, a generator draws where it was made, and
nothing reads a tensor without a way home. All numbers are those of the CPU, so a run
there must equal the same run here.
"""

import contextlib
from functools import partial
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

NAME = "pretend"
MOVES = {"aten::_to_copy", "aten::copy_"}  # between devices
READS_AN_INDEX = {"aten::index", "aten::index_put_", "aten::_index_put_impl_"}


class There(torch.Tensor):
    """A tensor of the GPU; ``raw`` has its numbers."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, raw):
        return torch.Tensor._make_wrapper_subclass(
            cls, raw.shape, strides=raw.stride(), dtype=raw.dtype, device=f"{NAME}:0",
            storage_offset=raw.storage_offset(),
        )  # fmt: skip

    def __init__(self, raw):
        self.raw = raw

    def tolist(self):
        return self.raw.tolist()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return call(func, args, kwargs or {})


def call(func, args, kwargs):
    """Run an operator as the GPU would, or refuse it as the GPU would."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if is_tensor(leaf)]
    there = [t for t in tensors if isinstance(t, There)]
    name, device = func._schema.name, kwargs.get("device")
    if name == "aten::_fused_sdp_choice":
        return 0  # plain products; the CPU's own kernel is no GPU's
    if there and name not in MOVES:
        here = [t for t in tensors if not isinstance(t, There) and t.dim()]
        if here and not (name in READS_AN_INDEX and isinstance(args[0], There)):
            raise RuntimeError(f"{name}: tensors of two devices")
    raw_args, raw_kwargs = tree_map(to_raw, (args, kwargs))
    result = func(*raw_args, **raw_kwargs)
    if name == "aten::copy_":
        return args[0]
    stays = bool(there) if device is None else is_there(device)
    known = {id(t.raw): t for t in there}  # operators in place give back their own

    def wrap(leaf):
        if not (stays and is_tensor(leaf)):
            return leaf
        return known[id(leaf)] if id(leaf) in known else There(leaf)

    return tree_map(wrap, result)


def is_tensor(leaf):
    return isinstance(leaf, torch.Tensor)


def is_there(device):
    return torch.device(device).type == NAME


def to_raw(leaf):
    if isinstance(leaf, torch.device):
        return torch.device("cpu")
    return leaf.raw if isinstance(leaf, There) else leaf


class Operators(TorchDispatchMode):
    """Of calls whose tensors do not tell, such as ``torch.zeros(3, device=gpu)``."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return call(func, args, kwargs or {})


class Generator(torch.Generator):
    """Knows where it was made; draws what the CPU's would."""

    def __new__(cls, device="cpu"):
        made = super().__new__(cls)
        made.there = is_there(device)
        return made

    def __init__(self, device="cpu"):
        pass

    def manual_seed(self, seed):
        super().manual_seed(seed)
        return self


class Calls(TorchFunctionMode):
    """Refuses a generator of another device; ``torch.tensor`` is no operator."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        generator, device = kwargs.get("generator"), kwargs.get("device")
        if generator is not None:
            leaves = tree_leaves((args, kwargs))
            wanted = any(isinstance(leaf, There) for leaf in leaves)
            wanted = wanted if device is None else is_there(device)
            if generator.there != wanted:
                raise RuntimeError(f"{func.__name__}: a generator of another device")
        if func is torch.tensor and device is not None:
            return func(*args, **{**kwargs, "device": "cpu"}).to(device)
        return func(*args, **kwargs)


def lstm(lstm_of_torch, x, state, weights, bias, layers, *how):
    """torch's own has a kernel of its own for each kind of GPU."""
    if not isinstance(x, There):
        return lstm_of_torch(x, state, weights, bias, layers, *how)
    hidden, cell = ([*part] for part in state)
    x = x.transpose(0, 1)  # batch first
    for layer in range(layers):
        w_x, w_h, b_x, b_h = weights[4 * layer : 4 * layer + 4]
        out = []
        for step in x:
            gates = step @ w_x.t() + b_x + hidden[layer] @ w_h.t() + b_h
            i, f, g, o = gates.chunk(4, dim=-1)
            cell[layer] = f.sigmoid() * cell[layer] + i.sigmoid() * g.tanh()
            hidden[layer] = o.sigmoid() * cell[layer].tanh()
            out.append(hidden[layer])
        x = torch.stack(out)
    return x.transpose(0, 1), torch.stack(hidden), torch.stack(cell)


class Module(backend_registration._DummyBackendModule):
    """What torch asks of a device beside its operators."""

    def get_rng_state(self, device=None):
        return torch.get_rng_state()

    def set_rng_state(self, state, device=None):
        pass

    def get_amp_supported_dtype(self):
        return [torch.bfloat16]


def install():
    """Tell torch of the device: once, in a process that has run no backward yet."""
    backend_registration._setup_privateuseone_for_python_backend(NAME, Module())
    import torch._dynamo  # names torch.Generator in its annotations

    # a weight that moves stays the same object, its ``raw`` too
    torch.__future__.set_swap_module_params_on_conversion(True)


@contextlib.contextmanager
def pretend_gpu():
    """Inside, there is one."""
    rnn = torch.nn.modules.rnn._VF
    with (
        mock.patch.object(torch, "Generator", Generator),
        mock.patch.object(torch, "inference_mode", torch.no_grad),  # for wrappers
        mock.patch.object(rnn, "lstm", partial(lstm, rnn.lstm)),
        Calls(),
        Operators(),
    ):
        yield torch.device(NAME, 0)
