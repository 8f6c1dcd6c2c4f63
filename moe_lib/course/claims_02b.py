"""What Shazeer et al. (2017) say that experts cost, to be judged in chapter 2b."""

from __future__ import annotations

from moe_lib.course import cost_facts
from moe_lib.course import measurements_02 as long
from moe_lib.course.claims import Claim, with_origin
from moe_lib.course.evidence import Below, Cited, Exact
from moe_lib.course.measurements import stored
from moe_lib.course.shrinking_batch import ExpertBatches, ProductSpeed

PAPER = "Shazeer et al. 2017"


def cost_claims(batches: ExpertBatches, speed: ProductSpeed) -> list[Claim]:
    """On the batch that shrinks, on traffic, and on two levels."""
    few, many = speed.rows[1], speed.rows[-1]
    return [
        Claim(
            "M2.shrink", "of a batch of b tokens each of n experts sees k b / n"
            " (here: on average)", f"{PAPER}, section 3.1", "k b / n",
            Exact(cost_facts.batch_off(batches), len(batches.loads), "sizes"),
        ),
        Claim(
            "M2.slow", f"small products are slow (here: {few} rows against {many}, the"
            " same FLOPs)", f"{PAPER}, section 3.1", "stated",
            Below(speed.at(few), speed.at(many), "GFLOP/s", 1),
        ),
        Claim(
            "M2.traffic", "an expert's computation over its traffic is its hidden size"
            " (in multiply-adds for each number)", f"{PAPER}, section 3.2", "h",
            Exact(cost_facts.ratio_off(), len(cost_facts.WIDTHS) ** 2, "shapes", 1e-9),
        ),
        Claim(
            "M2.twenty", "with k = 5 of 20 experts, the experts' arithmetic is a"
            " quarter", "a popular example", "4 times less",
            Exact(cost_facts.twenty_off(), 1, "layer", 1e-9),
        ),
        Claim(
            "M2.levels", "the load of expert (i, j) is Load_primary,i Load_i,j / |X_i|",
            f"{PAPER}, eq. 14", "defined", Exact(cost_facts.load_off(40), 40, "routers",
            1e-9),
        ),
        Claim(
            "M2.nested", "two levels are a mixture of mixtures", f"{PAPER}, appendix B",
            "defined", Exact(cost_facts.nested_off(10), 10, "layers", 1e-9),
        ),
    ]  # fmt: skip


def stored_claims() -> list[Claim]:
    """On learning from little and from much text, from the long measurement.

    Raises:
        ResultsError: a stored result that may not be shown.
    """
    result = stored(long.DATA)
    little, much = (
        1 - result[f"{name}, 16: perplexity"] / result[f"{name}, 1: perplexity"]
        for name in ("little", "much")
    )
    claim = Claim(
        "M2.data", "experts gain more from more text (here: how much lower the"
        " perplexity of 16 experts is than the dense model's)",
        f"{PAPER}, tables 7 and 8", "24 % < 39 %",
        Below(100 * little, 100 * much, "%", 1),
    )  # fmt: skip
    return with_origin(result, [claim])


def cited_claims() -> list[Claim]:
    """What two cores cannot show."""
    return [
        Claim(
            "M2.thousands", "a GPU computes thousands of times as much as it can send",
            f"{PAPER}, section 3.2", "thousands to one",
            Cited("no network of GPUs here; chapter 3b measures between processes"),
        ),
        Claim(
            "M2.share", "the experts do about 40 % of all operations, at .74 to 1.56"
            " TFLOPS on each GPU", f"{PAPER}, tables 7 and 8", "37 to 46 %",
            Cited("taken over as the share in the table above"),
        ),
    ]  # fmt: skip
