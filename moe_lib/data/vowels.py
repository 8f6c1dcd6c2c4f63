"""The vowels of 1952: 76 speakers, ten words, said twice, measured in Hz.

G. E. Peterson and H. L. Barney (1952), "Control methods used in a study of the
vowels", JASA 24:175-184. Jacobs et al. (1991) trained on four of the ten vowels and
75 speakers; which speaker they left out, and how they ordered them, is not known.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import torch
from torch import Tensor

from moe_lib.checks import require_count, require_finite

WORDS = {
    "iy": "heed", "ih": "hid", "eh": "head", "ae": "had", "ah": "hud",
    "aa": "hod", "ao": "hawed", "uh": "hood", "uw": "who'd", "er": "heard",
}  # fmt: skip
IPA = {"iy": "i", "ih": "ɪ", "eh": "ɛ", "ae": "æ", "ah": "ʌ",
       "aa": "ɑ", "ao": "ɔ", "uh": "ʊ", "uw": "u", "er": "ɝ"}  # fmt: skip
SPEAKERS = {"m": "man", "w": "woman", "c": "child"}
VOWELS_OF_1991 = ("iy", "ih", "aa", "ah")


@dataclass(frozen=True, eq=False)
class Vowels:
    """N spoken vowels.

    formants: ``[N, 2]`` float64, F1 and F2 in Hz.
    label: ``[N]`` int64, position in ``names``.
    speaker: ``[N]`` int64, 1 to 76; ``kind``: ``[N]`` of "man", "woman", "child".
    names: the vowels, as keys of `WORDS`.
    """

    formants: Tensor
    label: Tensor
    speaker: Tensor
    kind: tuple[str, ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        require_finite("formants", self.formants)

    def __len__(self) -> int:
        return len(self.label)

    def __repr__(self) -> str:
        people = len(self.speaker.unique())
        return f"Vowels({len(self)} of {people} speakers: {', '.join(self.names)})"

    @property
    def one_hot(self) -> Tensor:
        """``[N, number of names]`` float64: 1 for the vowel said."""
        return torch.nn.functional.one_hot(self.label, len(self.names)).double()

    def of_speakers(self, speakers: Tensor) -> Vowels:
        """Only what these speakers (``[n]`` int64) said."""
        rows = torch.isin(self.speaker, speakers).nonzero().squeeze(1)
        return Vowels(
            self.formants[rows],
            self.label[rows],
            self.speaker[rows],
            tuple(self.kind[i] for i in rows.tolist()),
            self.names,
        )


def load_vowels(names: Sequence[str] = VOWELS_OF_1991) -> Vowels:
    """The measurements of the named vowels, in the table's order (men first).

    Raises:
        ValueError: a name that is not one of the ten vowels.
    """
    for name in names:
        if name not in WORDS:
            raise ValueError(
                f"vowel {name!r} is unknown: choose from {', '.join(WORDS)}"
            )
    text = files("moe_lib.data").joinpath("vowels.csv").read_text(encoding="utf-8")
    rows = [r for r in csv.DictReader(text.splitlines()) if r["vowel"] in names]
    formants = [[float(r["f1"]), float(r["f2"])] for r in rows]
    return Vowels(
        torch.tensor(formants, dtype=torch.float64),
        torch.tensor([list(names).index(r["vowel"]) for r in rows]),
        torch.tensor([int(r["speaker"]) for r in rows]),
        tuple(SPEAKERS[r["type"]] for r in rows),
        tuple(names),
    )


def split_by_speaker(
    vowels: Vowels, train: int = 50, test: int = 25, *, seed: int = 0
) -> tuple[Vowels, Vowels]:
    """Draw ``train`` speakers to learn from and ``test`` others to be judged by.

    Raises:
        ValueError: more speakers asked for than there are.
    """
    require_count("train", train)
    require_count("test", test)
    speakers = vowels.speaker.unique()
    if train + test > len(speakers):
        raise ValueError(
            f"train={train} and test={test} ask for {train + test} speakers but there"
            f" are {len(speakers)}: lower one of them"
        )
    order = torch.randperm(len(speakers), generator=torch.Generator().manual_seed(seed))
    parts = speakers[order[:train]], speakers[order[train : train + test]]
    learn, judge = (vowels.of_speakers(part) for part in parts)
    check_split(learn, judge)
    return learn, judge


def check_split(train: Vowels, test: Vowels) -> None:
    """Raise a ValueError if somebody's voice is on both sides."""
    both = sorted(set(train.speaker.tolist()) & set(test.speaker.tolist()))
    if both:
        raise ValueError(
            f"speaker {both[0]} is in both train and test ({len(both)} such):"
            " split by speaker, with split_by_speaker"
        )


@dataclass(frozen=True)
class Scaler:
    """Standardise columns with the mean and spread of the training set alone."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, x: Tensor) -> Scaler:
        """From ``x`` ``[T, d]``."""
        require_finite("x", x)
        return cls(x.mean(dim=0), x.std(dim=0, correction=0))

    def __call__(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std
