"""The long measurements of chapter 3's translation: dense, with experts, and deeper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from moe_lib.course.checkpoints import arms_of, interpolated
from moe_lib.course.columns import Columns, Config
from moe_lib.course.stored_results import Measurement
from moe_lib.course.translation_runs import TranslationRun, train_in_turns
from moe_lib.course.translation_setup import Setup, arms
from moe_lib.data.phrases import SHARES
from moe_lib.data.translation import SIZES, Translation, load_translation

GROUPS = ("high", "mid", "low")
MANY = {
    **dict.fromkeys(("fr", "es", "de", "it", "pt", "ru"), 8000),
    **dict.fromkeys(("nl", "pl", "tr", "sv", "cs", "uk"), 4000),
    **dict.fromkeys(("fi", "ja", "hu", "ro", "da", "bg"), 2000),
    **dict.fromkeys(("hi", "ar", "he", "id", "vi", "hr"), 1000),
    **dict.fromkeys(("sw", "el", "et", "lv", "sk", "ca"), 500),
}


def resources(data: Translation) -> dict[str, Tensor]:
    """Group -> its languages' numbers: "high" have more than half of the pairs that
    the largest has, "low" at most an eighth, "mid" are between."""
    size = data.train.language.bincount(minlength=len(data.languages))
    share = size / size.max()
    masks = (share > 1 / 2, (share <= 1 / 2) & (share > 1 / 8), share <= 1 / 8)
    return {
        name: mask.nonzero().flatten()
        for name, mask in zip(GROUPS, masks, strict=True)
        if mask.any()
    }


def parts(data: Translation) -> dict[str, Tensor]:
    """Part of the test phrases -> ``[N]`` bool: all, kinds, groups, languages."""
    test = data.test
    return {
        "all": torch.ones_like(test.kind, dtype=torch.bool),
        **{name: test.kind == k for k, name in enumerate(data.kinds)},
        **{g: torch.isin(test.language, who) for g, who in resources(data).items()},
        **{code: test.language == n for n, code in enumerate(data.languages)},
    }


def columns_of(
    runs: Mapping[str, Sequence[TranslationRun]], data: Translation
) -> dict[str, Tensor]:
    """Arm -> its runs; "arm: nats, part" and "arm: exact, part", ``[S, C]`` each, and
    "arm: seconds". Of single languages, exact matches only."""
    columns = {}
    for arm, group in runs.items():
        columns[f"{arm}: seconds"] = torch.stack([run.seconds for run in group])
        nats = torch.stack([run.nats for run in group])  # [S, C, N]
        right = torch.stack([run.right.float() for run in group])
        for name, mask in parts(data).items():
            if name not in data.languages:
                columns[f"{arm}: nats, {name}"] = nats[:, :, mask].mean(dim=2)
            columns[f"{arm}: exact, {name}"] = right[:, :, mask].mean(dim=2)
    return columns


def at_the_end(columns: Columns, what: str) -> dict[str, Tensor]:
    """Arm -> ``[S]`` after the same number of steps: at the last checkpoint."""
    return {arm: columns[f"{arm}: {what}"][:, -1] for arm in arms_of(columns)}


def at_equal_time(columns: Columns, what: str) -> dict[str, Tensor]:
    """Arm -> ``[S]`` when the quickest arm of the seed is done; as `interpolated`."""
    names = arms_of(columns)
    seconds = {arm: columns[f"{arm}: seconds"] for arm in names}
    when = torch.stack([taken[:, -1] for taken in seconds.values()]).amin(dim=0)
    return {
        arm: interpolated(seconds[arm], columns[f"{arm}: {what}"], when)
        for arm in names
    }


def gaps(columns: Columns, part: str, *, equal_time: bool = False) -> Tensor:
    """``[S, C]``: nats per character that experts save against dense at the dense
    model's checkpoints, after as many steps or in as much time."""
    dense, experts = (columns[f"{arm}: nats, {part}"] for arm in ("dense", "experts"))
    if equal_time:
        when, taken = (columns[f"{arm}: seconds"] for arm in ("dense", "experts"))
        at = [interpolated(taken, experts, moment) for moment in when.unbind(dim=1)]
        experts = torch.stack(at, dim=1)
    return dense - experts


def measure_translation(config: Config, seeds: Sequence[int]) -> dict[str, Tensor]:
    """As `columns_of`; the arms of a seed train in turns, in one process."""
    data = load_translation(
        config["sizes"], config["shares"], num_test=config["num_test"]
    )
    setups = arms(Setup(**config["base"]))
    setups = {name: setups[name] for name in config["arms"]}
    runs = [train_in_turns(setups, data, seed, config["checkpoints"]) for seed in seeds]
    return columns_of({name: [run[name] for run in runs] for name in setups}, data)


SHORT = Measurement(
    "03-translation",
    "ten languages into English: dense, experts, twice as deep",
    {
        "version": 1, "base": Setup(steps=1600).config, "sizes": SIZES,
        "shares": SHARES, "num_test": 80, "arms": ("dense", "experts", "deep"),
        "checkpoints": (200, 400, 800, 1200, 1600),
    },
    range(3), 1, measure_translation,
)  # fmt: skip
LONG = Measurement(
    "03-translation-long",
    "thirty languages into English for longer, with few dates: dense, experts",
    {
        "version": 1, "base": Setup(steps=5000).config, "sizes": MANY,
        "shares": {"date": 1, "territories": 5, "unit": 1, "time span": 1,
                   "languages": 5},
        "num_test": 39, "arms": ("dense", "experts"),
        "checkpoints": (500, 1000, 2000, 3000, 4000, 5000),
    },
    range(2), 1, measure_translation,
)  # fmt: skip
MEASUREMENTS = (SHORT, LONG)
