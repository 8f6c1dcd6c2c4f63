"""GShard's tables: what can be recomputed is, and what a price makes of it."""

import pytest

from moe_lib.course.cost_quality import (
    ALL,
    DENSE,
    MODELS,
    best_buys,
    cost_table,
    find,
    next_points,
    price_table,
    step_time_ratio,
)
from moe_lib.course.parallel_facts import odd_cells
from moe_lib.figures.cost_quality import cost_quality


def test_a_core_year_is_a_core_for_a_year():
    most = find(2048, 36)
    assert most.core_years_of_days == pytest.approx(2048 * 4 / 365)
    assert most.days_of_steps == pytest.approx(1e12 / 4e6 / 0.72 / 86400)
    assert DENSE.days_of_steps is None and find(0, 96) is DENSE
    assert most.euros(2.0) == pytest.approx(22.4 * 8760 * 2)
    with pytest.raises(ValueError, match="experts=64, layers=36: choose one of 2,048"):
        find(64, 36)


def test_three_cells_of_two_rows_do_not_fit():
    assert odd_cells() == [find(2048, layers).name for layers in (36, 12)]
    assert find(2048, 36).experts_total - 2048 * 18 == 36684 - 36864  # a misprint
    odd = find(2048, 12)
    assert round(odd.days_of_steps, 1) == 1.3 != odd.days
    assert abs(2048 * 1.3 / 365 - odd.core_years) < 2048 * 0.05 / 365 + 0.05


def test_a_step_takes_longer_at_equal_tokens_on_a_core():
    one, other = find(2048, 36), find(128, 36)
    assert one.tokens_per_core * 4 == other.tokens_per_core
    assert step_time_ratio(one, other) == pytest.approx(4 * 0.67 / 0.72)
    assert step_time_ratio(one, one) == 1


def test_nobody_cheaper_is_better_than_a_best_buy():
    bought = best_buys()
    for model in ALL:
        beaten = any(
            other.bleu >= model.bleu and other.core_years < model.core_years
            for other in ALL
        )
        assert beaten == (model not in bought)
    assert DENSE not in bought
    prices = [cost for _, cost in next_points(1.0)][1:]
    assert prices == sorted(prices)  # each further point costs more
    assert prices[0] == pytest.approx(8760 * (4.9 - 1.9) / (40.0 - 36.7))


def test_the_tables_say_what_was_counted():
    table = cost_table()
    assert repr(table) == "cost and quality, 7 models"
    assert table.rows[0] == (
        "2,048 experts, 36 layers", "600", "2,048", "22.4", "22.4", "4.0", "44.3",
        "+7.4",
    )  # fmt: skip
    assert table.rows[-1][5] == "-"
    one, ten = price_table(1.0), price_table(10)
    assert repr(ten) == "what 10 euros a core-hour buy, 7 rows"
    assert [row[0] for row in one.rows] == [row[0] for row in ten.rows]
    for a, b in zip(one.rows, ten.rows, strict=True):
        assert float(b[1].replace(",", "")) == 10 * float(a[1].replace(",", ""))
    dense = one.rows[-1]
    assert dense[0] == DENSE.name and dense[4] == "a cheaper one is better"
    with pytest.raises(ValueError, match="price=0: give a finite number above 0"):
        price_table(0)


@pytest.mark.parametrize("theme", ["light", "dark", "both"])
def test_every_model_has_its_mark(theme):
    fig = cost_quality(theme=theme)
    drawn = {
        (x, y) for trace in fig.data for x, y in zip(trace.x, trace.y, strict=True)
    }
    assert drawn == {(model.core_years, model.bleu) for model in ALL}
    alt = fig.layout.meta["alt"]
    assert all(model.name in alt for model in (*MODELS, DENSE))
    assert fig.to_json()
