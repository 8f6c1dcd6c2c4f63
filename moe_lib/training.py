"""One training loop for the whole course: progress, history, Ctrl-C, resume."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from moe_lib import saved_runs
from moe_lib.checks import require_count
from moe_lib.devices import mixed_precision
from moe_lib.randomness import ModulesRandomness
from moe_lib.running import deferred_interrupt, progress

Metrics = dict[str, Tensor]
Objective = Callable[[nn.Module, torch.Generator], "Tensor | tuple[Tensor, Metrics]"]


class Trainer:
    """Minimise ``objective(model, generator)``; stop, look, and go on as you like.

    Args:
        model: any module; it is trained in place, and where it is now. On a GPU that
            multiplies bf16 the objective runs in mixed precision.
        objective: returns the loss (0-d), or ``(loss, metrics)`` with tensors to
            record each step. Draw random numbers from the generator that it is given,
            never from a fresh one: then a resumed run repeats an uninterrupted one
            bit for bit.
        optimizer: over the model's parameters.
        scheduler: of the learning rate, steps once per step; `warmup_then_linear`
            makes the usual one.
        clip_norm: scale the whole gradient down to this norm where it is longer; its
            norm before that is recorded as "gradient_norm".
        seed: of the generator, and of torch's global one while `run` is at work
            (dropout and router noise draw from that); outside it is left alone.
        label: shown beside the progress bar.
        keep: steps at which a copy of the model's state is kept in `snapshots`
            (0 is the untrained model).

    Attributes:
        step: steps done. history: name -> ``[steps, ...]`` tensor on the CPU.
        snapshots: step -> state dict. interrupted: whether Ctrl-C ended the last run.
        device: where it trains.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        *,
        scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
        clip_norm: float | None = None,
        seed: int = 0,
        label: str = "training",
        keep: tuple[int, ...] = (),
    ) -> None:
        if clip_norm is not None and not clip_norm > 0:
            raise ValueError(f"clip_norm={clip_norm}: give a positive number, or None")
        self.model, self.objective, self.optimizer = model, objective, optimizer
        self.scheduler, self.clip_norm = scheduler, clip_norm
        self.device = next(model.parameters()).device
        self.generator = torch.Generator(device=self.device).manual_seed(seed)
        self.modules_randomness = ModulesRandomness(self.device, seed)
        self.label, self.keep = label, frozenset(keep)
        self.step, self.interrupted = 0, False
        self.snapshots: dict[int, dict[str, Tensor]] = {}
        # Lists of numbers: small tensors kept between a step's large ones would
        # fragment the heap, hundreds of MB in a thousand steps.
        self._records: dict[str, list] = {}
        self._dtypes: dict[str, torch.dtype] = {}
        self._snapshot_if_due()

    def run(
        self,
        steps: int,
        *,
        until: Callable[[Metrics], bool] | None = None,
        whole: bool = False,
    ) -> Trainer:
        """Train up to step ``steps`` in all, and return the trainer.

        After Ctrl-C the step in hand is finished first, so model, optimiser and
        history always agree; the same call goes on where it stopped.

        Args:
            until: given the step's metrics ("loss" among them), ends the run early.
            whole: half of it is of no use, it would mislead where runs are compared.

        Raises:
            KeyboardInterrupt: Ctrl-C, where the run is of use only as a whole.
            ValueError: the loss is NaN or infinite (the model keeps the last good
                step's weights), or ``steps`` is not a whole number.
        """
        require_count("steps", steps, minimum=0)
        self.interrupted = False
        with (
            self.modules_randomness.in_force(),
            deferred_interrupt() as asked,
            progress(steps, self.label, self.step) as bar,
        ):
            while self.step < steps:
                metrics = self._one_step()
                bar.update()
                if until is not None and until(metrics):
                    bar.total = bar.n  # arrived early: a full bar, not a failed one
                    break
                if asked.is_set():
                    self.interrupted = True
                    break
        if self.interrupted:
            told = f"{self.label}: stopped by you at step {self.step} of {steps}."
            if whole:
                raise KeyboardInterrupt(f"{told} Run this cell again before the next.")
            print(f"{told} What was learnt is kept; run(...) again goes on from here.")
        return self

    @property
    def history(self) -> dict[str, Tensor]:
        """Every recorded metric, one row a step."""
        return {
            name: torch.tensor(rows, dtype=self._dtypes[name])
            for name, rows in self._records.items()
        }

    def save(self, path: str | Path) -> None:
        """Write everything that `load` needs to go on; an old file stays until then.

        Raises:
            OSError: a full disk, or a folder that is not there or has no write access.
        """
        path = Path(path)
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler and self.scheduler.state_dict(),
            "generator": self.generator.get_state(),
            "modules_randomness": self.modules_randomness.states,
            "step": self.step,
            "records": self.history,
            "snapshots": self.snapshots,
        }
        saved_runs.write(state, path)

    def load(self, path: str | Path) -> Trainer:
        """Take up a run saved by `save`: the next `run` repeats it bit for bit.

        Raises:
            ValueError: no such file, a broken one, or one of another model, optimiser,
                scheduler or kind of device; the trainer is as it was.
        """
        state = saved_runs.read(Path(path))
        saved_runs.refuse_another(state, self, path)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        self.generator.set_state(state["generator"])
        self.modules_randomness.states = state["modules_randomness"]
        self.step, self.snapshots = state["step"], state["snapshots"]
        self._records = {k: rows.tolist() for k, rows in state["records"].items()}
        self._dtypes = {k: rows.dtype for k, rows in state["records"].items()}
        return self

    def _one_step(self) -> Metrics:
        with mixed_precision(self.device):
            answer = self.objective(self.model, self.generator)
        loss, metrics = answer if isinstance(answer, tuple) else (answer, {})
        if not bool(torch.isfinite(loss)):
            raise ValueError(
                f"{self.label}: the loss is {loss.item()} at step {self.step}:"
                " lower the learning rate or look for NaN in the data"
            )
        self.optimizer.zero_grad()
        loss.backward()
        if self.clip_norm is not None:
            weights = self.model.parameters()
            norm = nn.utils.clip_grad_norm_(weights, self.clip_norm)
            metrics = {**metrics, "gradient_norm": norm}
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()
        metrics = {k: v.detach().cpu() for k, v in {"loss": loss, **metrics}.items()}
        for name, value in metrics.items():
            self._records.setdefault(name, []).append(value.tolist())
            self._dtypes[name] = value.dtype
        self.step += 1
        self._snapshot_if_due()
        return metrics

    def _snapshot_if_due(self) -> None:
        if self.step in self.keep:
            self.snapshots[self.step] = copy.deepcopy(self.model.state_dict())
