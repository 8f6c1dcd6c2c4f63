"""The files of `Trainer.save`: replaced in one step, refused unless they fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from moe_lib.locking import LockError, locked

if TYPE_CHECKING:
    from moe_lib.training import Trainer

PARTS = {"model", "optimizer", "scheduler", "generator", "modules_randomness", "step",
         "records", "snapshots"}  # fmt: skip


def write(state: dict[str, Any], path: Path) -> None:
    """The old file stays until the new one is whole.

    Raises:
        OSError: a full disk, or a folder that is not there or has no write access.
    """
    draft = path.with_name(path.name + ".part")  # of whoever has the lock
    try:
        with locked(path):
            try:
                with draft.open("wb") as file:
                    torch.save(state, file)
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)
    except LockError as error:
        raise OSError(f"{path} is not saved: {error}") from None
    except (OSError, RuntimeError) as error:  # torch's zip writer raises the latter
        raise OSError(
            f"{path} is not saved ({str(error).splitlines()[0]}): make room there, or"
            " save in another folder; the trainer, and an older file, are as they were"
        ) from None


def read(path: Path) -> dict[str, Any]:
    """What `write` wrote. ValueError where that is not to be had."""
    if not path.exists():
        raise ValueError(f"{path} does not exist: save a run there first")
    try:
        file = path.open("rb")
    except OSError as error:  # a folder, or a file of somebody else
        raise ValueError(f"{path} cannot be read ({error.strerror})") from None
    try:
        with file:
            state = torch.load(file, map_location="cpu", weights_only=True)
        strange = sorted(PARTS ^ state.keys())
    except Exception:  # of many kinds, according to where the file breaks off
        raise ValueError(
            f"{path} is broken or no file of Trainer.save: load another, or train and"
            " save again"
        ) from None
    if strange:
        raise ValueError(
            f"{path} is of another edition, or no file of Trainer.save (only there or"
            f" only here: {', '.join(map(str, strange))}): train and save again"
        )
    return state


def refuse_another(state: dict[str, Any], trainer: Trainer, path: str | Path) -> None:
    """Raise ValueError where the state is of another model, optimiser, scheduler or
    kind of device than the trainer's.

    torch itself would have changed half of them before it complains.
    """
    if len(state["generator"]) != len(trainer.generator.get_state()):
        raise ValueError(
            f"{path} was not saved on a {trainer.device.type}: random numbers go on"
            " only on the kind of device where they began; build the model there"
        )
    model, optimizer = trainer.model, trainer.optimizer
    scheduler = trainer.scheduler
    pairs = {
        "model": (_shapes(state["model"]), _shapes(model.state_dict())),
        "scheduler": tuple(
            {"scheduler": sorted(one or [])}
            for one in (state["scheduler"], scheduler and scheduler.state_dict())
        ),
        "optimizer": (_groups(state["optimizer"]), _groups(optimizer.state_dict())),
    }
    for what, (there, here) in pairs.items():
        for name in [*there, *here]:
            sides = [str(side.get(name, "missing")) for side in (there, here)]
            if sides[0] != sides[1]:
                raise ValueError(
                    f"{path} is of another {what}: {name} is {sides[0]} there,"
                    f" {sides[1]} here; build the {what} as it was when it was saved"
                )


def _shapes(weights: dict[str, Any]) -> dict[str, Any]:
    return {name: list(getattr(w, "shape", [])) for name, w in weights.items()}


def _groups(state: dict[str, Any]) -> dict[str, Any]:
    """Of each group of weights how many there are, and the optimiser's settings."""
    return {
        f"group {k}": f"{len(group['params'])} weights with {', '.join(sorted(group))}"
        for k, group in enumerate(state["param_groups"])
    }
