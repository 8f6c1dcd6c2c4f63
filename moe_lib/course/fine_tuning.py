"""Fine-tune chapter 4's models on small tasks, with and without expert dropout.

Fedus et al. (2021), section 2.4: a mixture has so many weights that a small task
overfits. Their remedy: dropout 0.1 everywhere, and more of it inside the experts.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moe_lib.checks import require_count, require_share
from moe_lib.course.configuration import Configuration
from moe_lib.data.tasks import Examples, Task
from moe_lib.experts import Experts
from moe_lib.language_modelling import auxiliary_losses
from moe_lib.layer import MoE
from moe_lib.losses import load_balancing_loss
from moe_lib.models.ffn import DenseFFN
from moe_lib.models.transformer import TransformerLM
from moe_lib.routers import ExpertChoiceRouter
from moe_lib.routers.slots import SlotRule
from moe_lib.routing import Routing
from moe_lib.running import evaluating
from moe_lib.training import Metrics, Objective, Trainer


@dataclass(frozen=True)
class FineTuning(Configuration):
    """How a pre-trained model goes on to learn a task.

    Args:
        dropout: of what each part of a block adds, and of hidden units.
        expert_dropout: of the hidden units of experts; None: ``dropout``.
        steps, batch: of the run, and examples of each step.
        lr: of AdamW, constant, as in the paper.
        w_balance: coefficient of the load balancing loss.
    """

    dropout: float = 0.1
    expert_dropout: float | None = None
    steps: int = 150
    batch: int = 32
    lr: float = 2e-3
    w_balance: float = 0.01

    def __post_init__(self) -> None:
        require_share("dropout", self.dropout)
        if self.expert_dropout is not None:
            require_share("expert_dropout", self.expert_dropout)
        require_count("steps", self.steps)
        require_count("batch", self.batch)


class Classifier(nn.Module):
    """A language model's body, its outputs averaged: one answer for each text.

    Args:
        model: its weights are shared, not copied; its head is not used.
    """

    def __init__(self, model: TransformerLM, num_classes: int) -> None:
        super().__init__()
        self.body = model
        width = model.tokens.positions.shape[1]
        self.classify = nn.Linear(width, require_count("num_classes", num_classes))

    def forward(
        self, tokens: Tensor, token_mask: Tensor
    ) -> tuple[Tensor, list[Routing]]:
        """``[B, L]`` int64 and bool (False: padding) -> ``[B, num_classes]``."""
        h, routings = self.body.hidden(tokens, token_mask)
        real = token_mask.unsqueeze(2)
        mean = h.masked_fill(~real, 0).sum(dim=1) / real.sum(dim=1)
        return self.classify(mean), routings


@dataclass(frozen=True, eq=False)
class FineTuned:
    """One fine-tuned model, judged at its end.

    Accuracies are shares of 1; losses are nats per text.
    """

    model: Classifier
    train_accuracy: float
    test_accuracy: float
    train_loss: float
    test_loss: float
    history: dict[str, Tensor]


def set_dropout(model: nn.Module, dropout: float, expert_dropout: float) -> None:
    """Set every block's dropout in place, and that of hidden units.

    ``expert_dropout`` goes to the experts of each `MoE`, ``dropout`` everywhere else.
    """
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = require_share("dropout", dropout)
        elif isinstance(module, DenseFFN):
            module.expert.expert_dropout = require_share("dropout", dropout)
        elif isinstance(module, MoE) and isinstance(module.experts, Experts):
            share = require_share("expert_dropout", expert_dropout)
            module.experts.expert_dropout = share


def fine_tune(
    pretrained: TransformerLM, task: Task, setting: FineTuning, seed: int = 0
) -> FineTuned:
    """Learn a task from a copy of a pre-trained model; no token is dropped.

    Raises:
        KeyboardInterrupt: after the step in hand.
    """
    body = copy.deepcopy(pretrained)
    expert_dropout = setting.expert_dropout
    if expert_dropout is None:
        expert_dropout = setting.dropout
    set_dropout(body, setting.dropout, expert_dropout)
    for module in body.modules():
        if isinstance(module, MoE):  # texts differ in length: buffers would overflow
            if not isinstance(module.router, ExpertChoiceRouter):  # its are always full
                module.router.slots = SlotRule(None)
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        model = Classifier(body, len(task.classes))
    weights = [*model.parameters()]
    trainer = Trainer(
        model,
        task_objective(task.train, setting),
        torch.optim.AdamW(weights, lr=setting.lr, betas=(0.9, 0.98), fused=True),
        clip_norm=1.0,
        seed=seed,
        label=task.name,
    )
    trainer.run(setting.steps, whole=True)
    train, test = judge(model, task.train), judge(model, task.test)
    return FineTuned(model, train[0], test[0], train[1], test[1], trainer.history)


def task_objective(examples: Examples, setting: FineTuning) -> Objective:
    """Cross entropy of the labels plus the balancing loss, on random examples."""

    def objective(
        model: nn.Module, generator: torch.Generator
    ) -> tuple[Tensor, Metrics]:
        rows = torch.randperm(len(examples), generator=generator)[: setting.batch]
        text, mask, label = _cut(examples, rows)
        logits, routings = model(text, mask)
        nats = F.cross_entropy(logits, label)
        extra, _ = auxiliary_losses(routings, {load_balancing_loss: setting.w_balance})
        return nats + extra, {"nats": nats.detach()}

    return objective


def judge(model: nn.Module, examples: Examples, batch: int = 64) -> tuple[float, float]:
    """Share of right answers, and nats per text, without dropout."""
    right, nats = 0, 0.0
    with evaluating(model):
        for rows in torch.arange(len(examples)).split(batch):
            text, mask, label = _cut(examples, rows)
            logits, _ = model(text, mask)
            right += int((logits.argmax(dim=1) == label).sum())
            nats += F.cross_entropy(logits, label, reduction="sum").item()
    return right / len(examples), nats / len(examples)


def _cut(examples: Examples, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Bytes, mask and labels of some examples, no longer than the longest."""
    mask = examples.mask[rows]
    length = int(mask.sum(dim=1).max())
    return examples.bytes[rows, :length], mask[:, :length], examples.label[rows]
