"""Cells on their way to mdBook: mathematics, links, and outputs."""

from __future__ import annotations

import pytest

from book_cells import code_cell, data_script, markdown_cell
from book_math import MathError, with_mathml
from sources import colab_url, filled, repository
from tidy import PLOTLY


def test_inline_and_display_mathematics_become_mathml():
    text = with_mathml("Is $a_i$ more than\n\n$$\\sum_j p_j$$\n\nhere?")
    assert text.count("<math") == 2 and 'display="block"' in text
    assert "$" not in text and text.startswith("Is <math")


@pytest.mark.parametrize(
    "text",
    [
        "`$a$` stays",
        "``a ` $b$`` stays",
        "```python\nx = '$a$'\n```",
        "it costs $5 or $6 today",
        r"a \$ sign and another \$ sign",
    ],
)
def test_what_is_no_mathematics_stays(text):
    assert with_mathml(text) == text


def test_markdown_finds_nothing_of_its_own_inside_a_formula():
    inside = with_mathml(r"| $a * b * |c|$ |")[2:-2]
    assert not set("*|_[]") & set(inside)


def test_large_norms_are_understood():
    assert with_mathml(r"$\Big\lVert d \Big\rVert$").count("\u2016") == 2


@pytest.mark.parametrize("formula", [r"\nosuchcommand{a}", r"\left( a"])
def test_a_broken_formula_is_named(formula):
    with pytest.raises(MathError) as problem:
        with_mathml(f"${formula}$")
    assert repr(formula) in str(problem.value)


def test_links_to_chapters_and_to_the_repository():
    text = markdown_cell("[a](01_x.ipynb#part) [b](../README.md)", "00_y")
    assert text == f"[a](01_x.md#part) [b]({repository()}/blob/main/README.md)"


def test_the_badge_is_a_plain_link_in_the_book():
    text = markdown_cell(filled("# T\n@COLAB@\nMore", "01_x"), "01_x")
    assert f'href="{colab_url("01_x")}"' in text
    assert ".svg" not in text and "\n\nMore" in text


def test_json_cannot_close_its_script():
    assert "</" not in data_script({"a": "</script>"})[:-9]


def code(*outputs: dict, tags: tuple = ()) -> dict:
    cell = {"cell_type": "code", "source": "x = 1", "outputs": list(outputs)}
    return {**cell, "metadata": {"tags": list(tags)}}


def test_the_set_up_cell_is_left_out(tmp_path):
    assert code_cell(code(tags=("setup",)), tmp_path) == ""
    assert code_cell(code(), tmp_path) == "```python\nx = 1\n```"


def test_printed_text_is_escaped(tmp_path):
    out = {"output_type": "stream", "name": "stdout", "text": ["<b>\n", "\n", "&\n"]}
    text = code_cell(code(out), tmp_path)
    assert '<pre class="output">&lt;b&gt;\n\n&amp;</pre>' in text


def test_a_figure_keeps_its_data_its_still_and_its_words(tmp_path):
    figure = {"data": [], "layout": {"meta": {"alt": 'a "curve"'}, "height": 300}}
    data = {PLOTLY: figure, "image/png": "iVBORw0K"}
    out = {"output_type": "display_data", "data": data, "metadata": {"still": "k"}}
    text = code_cell(code(out), tmp_path)
    assert 'alt="a &quot;curve&quot;"' in text and 'src="assets/k.png"' in text
    assert "min-height:300px" in text and '"height":300' in text
    assert (tmp_path / "k.png").read_bytes() == b"\x89PNG\r\n"


def test_a_figure_s_links_to_chapters_lead_to_the_book_s_pages(tmp_path):
    label = "<a href='04_switch.ipynb' style='x'>4</a> <a href='data.csv'>d</a>"
    figure = {"data": [], "layout": {"annotations": [{"text": label}]}}
    out = {"output_type": "display_data", "data": {PLOTLY: figure}, "metadata": {}}
    text = code_cell(code(out), tmp_path)
    assert "href='04_switch.html' style" in text and "href='data.csv'" in text
    assert ".ipynb" not in text
