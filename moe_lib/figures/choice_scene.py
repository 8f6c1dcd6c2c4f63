"""The reader's sentence from token choice to expert choice: one slider."""

from __future__ import annotations

from moe_lib.course.one_bar import Choice, one_bar
from moe_lib.figures.words import counted
from moe_lib.models.small_router import SmallRouter, tokenize
from moe_lib.notation import letter

MOST = 24  # words, in two columns
STEPS = 10  # of the slider
WORD = 6.5  # room for a word, in columns of the map


def choice_scene(sentence: str, *, num_experts: int = 8, top_k: int = 2) -> dict:
    """A Player scene: a small router, trained in the course, gives each word a
    probability for each expert; the slider moves the bar, `one_bar`.

    Args:
        sentence: its first 24 tokens are routed.
        num_experts: E: 2, 4, 8 or 16.
        top_k: experts of a token, and expert choice's capacity factor.

    Raises:
        ValueError: a sentence without a word; no gate for so many experts.
    """
    tokens = tokenize(sentence)[:MOST]
    if not tokens:
        raise ValueError(f"sentence={sentence!r} has no word: give at least one")
    probs = SmallRouter.load().logits(tokens, num_experts).softmax(dim=1)
    choices = [one_bar(probs, top_k, step / STEPS) for step in range(STEPS + 1)]
    half = -(-len(tokens) // 2)  # rows of the map
    spots = [((t // half) * (WORD + num_experts + 1), t % half) for t in range(MOST)]
    spots = spots[: len(tokens)]
    heads = [
        {"type": "text", "x": x + WORD + e, "y": -1, "text": letter(e),
         "anchor": "middle", "color": e}
        for x in sorted({x for x, _ in spots}) for e in range(num_experts)
    ]  # fmt: skip
    words = [
        {"type": "text", "x": x, "y": y, "text": token}
        for token, (x, y) in zip(tokens, spots, strict=True)
    ]
    pairs = {
        "type": "points", "color": "muted", "opacity": 0.35,
        "x": [x + WORD + e for x, _ in spots for e in range(num_experts)],
        "y": [y for _, y in spots for _ in range(num_experts)],
        "size": [round(1.5 + 6 * p**0.5, 2) for row in probs.tolist() for p in row],
    }  # fmt: skip
    busiest = max(int(choice.asked.max()) for choice in choices)
    most = max(int(choice.experts.bincount().max()) for choice in choices)
    values = [f"{step / STEPS:g}" for step in range(STEPS + 1)]
    values[0], values[-1] = "words choose", "experts choose"
    return {
        "title": "Who chooses whom?",
        "alt": f"A map of {counted(len(tokens), 'word')} by {num_experts} experts with"
        " the same probabilities throughout; a filled mark is a pair that is computed."
        f" Where words choose: {_story(choices[0])} Where experts choose:"
        f" {_story(choices[-1])}",
        "caption": "A row is a word, a column an expert; the larger the mark, the"
        " larger the probability. Filled: computed. Hollow: it came too late. Grey: not"
        " taken. Struck out: no expert reads the word.",
        "slider": {"label": "the bar", "values": values},
        "start": 0,
        "play": False,
        "panels": [
            {"title": "Words (rows) and experts (columns)", "weight": 2.1,
             "layers": [*heads, *words, pairs],
             "x": {"range": [-0.5, 2 * (WORD + num_experts) + 1], "ticks": []},
             "y": {"range": [half - 0.4, -1.8], "ticks": []}},
            {"title": "Words of each expert", "weight": 1, "layers": [],
             "x": {"range": [-0.7, num_experts - 0.3], "ticks": []},
             "y": {"label": "words", "range": [0, busiest + 1]}},
            {"title": "Experts of each word", "weight": 1, "layers": [],
             "x": {"label": "experts", "range": [-0.7, num_experts + 0.7],
                   "ticks": list(range(0, num_experts + 1, 2))},
             "y": {"label": "words", "range": [0, most + 1]}},
        ],
        "states": [[_state(choice, pairs, spots, tokens, busiest)
                    for choice in choices]],
    }  # fmt: skip


def _state(
    choice: Choice,
    pairs: dict,
    spots: list[tuple[float, int]],
    tokens: list[str],
    busiest: int,
) -> dict:
    num_experts = choice.taken.shape[1]
    experts = list(range(num_experts))
    taken, kept = choice.taken.flatten(), choice.kept.flatten()
    sizes = zip(pairs["size"], taken.tolist(), strict=True)
    marks = {
        "type": "points", "x": pairs["x"], "y": pairs["y"],
        "size": [size if there else 0 for size, there in sizes],
        "color": experts * len(tokens),
        "hollow": (taken & ~kept).tolist(),
    }  # fmt: skip
    struck = [
        {"type": "line", "x": [spots[t][0], spots[t][0] + 0.58 * len(tokens[t])],
         "y": [spots[t][1]] * 2, "color": "accent", "front": True}
        for t, count in enumerate(choice.experts.tolist()) if count == 0
    ]  # fmt: skip
    asked, load = choice.asked.tolist(), choice.load.tolist()
    demand = [
        {"type": "band", "x": [e - 0.4, e + 0.4], "low": [0, 0], "high": [a, a],
         "color": e, "opacity": 0.25}
        for e, a in enumerate(asked)
    ]  # fmt: skip
    wall = [
        {"type": "line", "x": [-0.6, num_experts - 0.4], "y": [choice.places] * 2,
         "color": "ink", "width": 2.5},
        {"type": "text", "x": num_experts - 0.4, "y": choice.places + 0.045 * busiest,
         "text": f"C = {choice.places}", "anchor": "end"},
    ]  # fmt: skip
    served = choice.experts.bincount(minlength=num_experts + 1).tolist()
    return {
        "panels": [
            [marks, *struck],
            [*demand, {"type": "bars", "x": experts, "value": load, "color": experts,
                       "label": [letter(e) for e in experts]}, *wall],
            [{"type": "bars", "x": list(range(num_experts + 1)), "value": served,
              "color": ["accent"] + ["ink"] * num_experts}],
        ],
        "readout": [
            ["places of each expert", str(choice.places)],
            ["taken", str(sum(asked))],
            ["too late", str(choice.late)],
            ["words that nobody reads", str(served[0])],
            ["CV of the load", f"{choice.load_cv:.2f}"],
        ],
        "caption": _story(choice),
    }  # fmt: skip


def _story(choice: Choice) -> str:
    load, experts = choice.load.tolist(), choice.experts.tolist()
    return (
        f"An expert reads {_range(load)} words, a word is read by {_range(experts)}"
        f" experts, by none {experts.count(0)} times; {choice.late} pairs are too late."
    )


def _range(counts: list[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"
