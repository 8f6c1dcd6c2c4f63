"""The house style keeps its promises: contrast in every theme, alt text required."""

import pytest

from moe_lib.figures.palette import PAPER, THEMES, contrast
from moe_lib.figures.style import LOOKS, figure

PAPERS = {"light": [PAPER["light"]], "dark": [PAPER["dark"]]}
PAPERS["both"] = [*PAPER.values(), "#111111"]


@pytest.mark.parametrize("theme", LOOKS)
def test_words_and_lines_show_on_their_paper(theme):
    for paper in PAPERS[theme]:
        assert contrast(LOOKS[theme].ink, paper) >= (4.5 if theme != "both" else 3)


@pytest.mark.parametrize("theme", LOOKS)
def test_a_figure_wears_its_theme(theme):
    fig = figure(alt="a line", theme=theme, x="steps", height=200, barmode="stack")
    assert fig.layout.paper_bgcolor == LOOKS[theme].paper
    assert fig.layout.font.color == LOOKS[theme].ink
    assert fig.layout.xaxis.gridcolor == LOOKS[theme].grid
    assert fig.layout.colorway == THEMES[theme]
    assert (fig.layout.height, fig.layout.barmode) == (200, "stack")
    assert fig.layout.xaxis.title.text == "steps"


def test_what_the_caller_asks_goes_on_top():
    fig = figure(alt="a line", margin=dict(l=5), yaxis=dict(range=[0, 1]))
    assert (fig.layout.margin.l, fig.layout.margin.r) == (5, 20)
    assert fig.layout.yaxis.gridcolor == LOOKS["both"].grid


def test_a_figure_without_alt_text_or_of_no_theme_is_refused():
    with pytest.raises(ValueError, match="alt is empty: say in a sentence"):
        figure(alt=" ")
    with pytest.raises(ValueError, match="theme='sepia': choose one of"):
        figure(alt="a line", theme="sepia")
    assert figure(alt="a line").layout.meta["alt"] == "a line"
