"""The ideas of 1991 to today: the wall, the way around it, and what it builds on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from moe_lib.checks import require_choice

#: Who chooses which expert serves which token; the last for what serves any router.
LANES = (
    "experts compete",
    "tokens choose",
    "experts choose",
    "nobody chooses",
    "whoever chooses",
)
COMPETE, TOKENS, EXPERTS, NOBODY, ANY = LANES


FILES = (".py", ".ipynb")  # of a chapter


@dataclass(frozen=True)
class Idea:
    """One idea of the history.

    id: a short name that the others refer to. by: authors and where it appeared; the
    year is that of the first public version. wall: what people had hit. idea: the way
    around, in at most ten words. lane: one of `LANES`. chapter: name of the chapter
    that builds it, without suffix; None: no chapter does. builds_on: ids of earlier
    ideas which it uses or answers.
    """

    id: str
    year: int
    name: str
    by: str
    lane: str
    wall: str
    idea: str
    chapter: str | None = None
    builds_on: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_choice("lane", self.lane, LANES)


SHAZEER, GSHARD = (
    "Shazeer et al., arXiv 1701.06538",
    "Lepikhin et al., arXiv 2006.16668",
)
IDEAS = (
    Idea("mixture", 1991, "Competing experts",
         "Jacobs, Jordan, Nowlan, Hinton, Neural Computation 3", COMPETE,
         "one network learns several tasks, and they disturb each other",
         "a gate rewards the best fitting expert", "01_adaptive_mixtures"),
    Idea("tree", 1994, "Hierarchy and EM",
         "Jordan, Jacobs, Neural Computation 6", COMPETE,
         "gradient descent needs thousands of passes over the data",
         "a tree of gates, fitted by EM", "01b_from_one_gate_to_a_layer", ("mixture",)),
    Idea("conditional", 2013, "Conditional computation",
         "Bengio et al., arXiv 1305.0445 and 1308.3432", TOKENS,
         "every unit of a network computes for every input",
         "compute only what the input needs", "01b_from_one_gate_to_a_layer"),
    Idea("deep", 2013, "Deep mixture",
         "Eigen, Ranzato, Sutskever, arXiv 1312.4314", COMPETE,
         "a mixture was a whole model, never a part of one",
         "a mixture is a layer, and layers stack", "01b_from_one_gate_to_a_layer",
         ("mixture",)),
    Idea("noisy", 2017, "Noisy top-k", SHAZEER, TOKENS,
         "gates weighed all experts, so all had to run",
         "noise, the best k, losses for balance", "02_outrageously_large",
         ("deep", "conditional")),
    Idea("batch", 2017, "Shared batch", SHAZEER, ANY,
         "with many experts, each sees only a sliver of the batch",
         "all machines' batches meet at one expert", "02b_what_experts_cost",
         ("noisy",)),
    Idea("strict", 2017, "Strict balance", f"{SHAZEER}, appendix F", EXPERTS,
         "losses even out the load only on average",
         "an expert keeps its best of the batch", "05b_the_race", ("noisy",)),
    Idea("gshard", 2020, "GShard", GSHARD, TOKENS,
         "mixtures sat in recurrent networks, and crowds overran experts",
         "Transformer, top 2, groups, limited room", "03_gshard", ("noisy",)),
    Idea("sharding", 2020, "Sharded experts", GSHARD, ANY,
         "600 billion parameters fit on no machine",
         "experts live apart, and tokens travel",
         "03b_experts_on_other_machines", ("batch", "gshard")),
    Idea("switch", 2021, "Switch", "Fedus, Zoph, Shazeer, arXiv 2101.03961", TOKENS,
         "two experts a token double the work and the traffic",
         "one expert a token is enough", "04_switch", ("gshard",)),
    Idea("base", 2021, "BASE layers", "Lewis et al., arXiv 2103.16716", EXPERTS,
         "balance rests on losses and their coefficients",
         "one assignment for all, in equal shares", None, ("switch",)),
    Idea("hash", 2021, "Hash layers", "Roller et al., arXiv 2106.04426", NOBODY,
         "a router must be learnt, and moves while experts learn",
         "a fixed hash of the token decides", "05b_the_race", ("switch",)),
    Idea("laws", 2022, "Scaling laws", "Clark et al., arXiv 2202.01169", ANY,
         "nobody could say in advance what more experts would bring",
         "a law of loss by size and experts", None, ("base", "hash")),
    Idea("z-loss", 2022, "ST-MoE", "Zoph et al., arXiv 2202.08906", TOKENS,
         "large sparse models diverge, and fine-tune badly",
         "a small loss keeps router logits small", "04b_keeping_one_expert_in_line",
         ("switch",)),
    Idea("choice", 2022, "Expert choice", "Zhou et al., arXiv 2202.09368", EXPERTS,
         "tokens crowd at a few experts, and losses repair it only in part",
         "each expert takes its top k tokens", "05_expert_choice",
         ("strict", "switch")),
    Idea("blocks", 2022, "MegaBlocks", "Gale et al., arXiv 2211.15841", ANY,
         "fixed room either drops tokens or computes on padding",
         "block-sparse products, no token dropped", None, ("switch",)),
    Idea("upcycling", 2022, "Sparse upcycling",
         "Komatsuzaki et al., arXiv 2212.05055", ANY,
         "a mixture trained from nothing forgoes what a dense model learnt",
         "copy the dense layer into every expert", None, ("choice",)),
    Idea("soft", 2023, "Soft MoE", "Puigcerver et al., arXiv 2308.00951", NOBODY,
         "hard choices drop tokens and are no smooth function",
         "experts serve blends of all tokens", None, ("choice",)),
    Idea("bits", 2023, "QMoE", "Frantar, Alistarh, arXiv 2310.16795", ANY,
         "1.6 trillion weights take more than three terabytes",
         "less than one bit a weight", None, ("switch",)),
    Idea("mixtral", 2024, "Mixtral 8x7B", "Jiang et al., arXiv 2401.04088", TOKENS,
         "a strong dense model spends all its weights on each token",
         "softmax over the best 2 of 8", "05b_the_race", ("gshard", "blocks")),
    Idea("narrow", 2024, "DeepSeekMoE", "Dai et al., arXiv 2401.06066", TOKENS,
         "few wide experts each mix much, and learn common things twice",
         "many narrow experts, some shared by all", None, ("gshard",)),
    Idea("granular", 2024, "Granularity law", "Krajewski et al., arXiv 2402.07871", ANY,
         "a law foretold that the gain would vanish in large models",
         "the width of an expert enters the law", None, ("laws",)),
    Idea("depths", 2024, "Mixture of depths",
         "Raposo et al., arXiv 2404.02258", EXPERTS,
         "every token pays for every layer; experts' choices see the future",
         "a block takes some tokens, predictably", "05b_the_race", ("choice",)),
    Idea("bias", 2024, "Balance without a loss",
         "Wang et al., arXiv 2408.15664", TOKENS,
         "the balance loss pulls against the loss that matters",
         "a bias per expert, nudged each step", None, ("switch", "narrow")),
    Idea("v3", 2024, "DeepSeek-V3", "DeepSeek-AI, arXiv 2412.19437", TOKENS,
         "the repairs had been tried one at a time, in smaller models",
         "narrow, shared, balanced by bias", None, ("narrow", "bias")),
    Idea("today", 2025, "Qwen3, gpt-oss",
         "Qwen team, arXiv 2505.09388; OpenAI, arXiv 2508.10925", TOKENS,
         "models that think in long texts must be cheap at every token",
         "128 narrow experts, 8 or 4 at work", None, ("mixtral", "narrow")),
)  # fmt: skip


def leads_to(idea: Idea, ideas: Sequence[Idea] = IDEAS) -> list[Idea]:
    """What comes next: the ideas that build on this one or answer it."""
    return [later for later in ideas if idea.id in later.builds_on]


def chapters_here() -> set[str]:
    """Names of the chapters' files, without suffix; empty where there is no file.

    They are looked for beside the notebook that runs, and in the repository.
    """
    folders = (Path.cwd(), Path(__file__).parents[2] / "chapters")
    return {p.stem for f in folders for p in f.glob("[0-9]*_*") if p.suffix in FILES}


def chapter_number(name: str) -> str:
    """ "4b" of "04b_keeping_one_expert_in_line"."""
    return name.split("_")[0].lstrip("0")
