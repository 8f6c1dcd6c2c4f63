"""What holds for every exercise: its stub, solution, mistakes, budget and chapter."""

import ast
import inspect
import re
import textwrap
import time

import pytest
import torch

from moe_lib.course import exercise, hint, solution
from moe_lib.course.checking import FAILS, NOT_WRITTEN, PASSES, check
from moe_lib.course.exercises import Exercise, chapters, exercises, find
from sources import CHAPTERS, chapter_names, filled, source_cells

ALL = [item for chapter in chapters() for item in exercises(chapter)]
EACH = pytest.mark.parametrize("item", ALL, ids=lambda item: item.id)
#: What stands in a chapter's code: its name, the exercise's id.
USED = [
    (name, id)
    for name in chapter_names()
    for cell in source_cells(CHAPTERS / f"{name}.py")
    if cell["cell_type"] == "code"
    for id in re.findall(r'@exercise\("([^"]*)"', cell["source"])
]


def body(function) -> list[str]:
    """Lines of code in a function, without its head, docstring and comments."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    statements = tree.body[1:] if ast.get_docstring(tree) else tree.body
    return "\n".join(map(ast.unparse, statements)).splitlines()


def arguments(item) -> str:
    return ", ".join(inspect.signature(item.solution).parameters)


def written(item, *lines):
    """A reader's function with these lines, as a cell would make it."""
    names = {}
    code = "\n    ".join([f"def answer({arguments(item)}):", *lines])
    exec(code, names)
    return names["answer"]


@EACH
@pytest.mark.parametrize(
    "line", ["raise NotImplementedError", "pass", "...", '"""x"""']
)
def test_the_stub_is_not_written_yet(item, line, progress_path):
    verdict = check(item, written(item, line))
    assert (verdict.state, verdict.message) == (NOT_WRITTEN, item.title)
    assert exercise(item.id)(written(item, line)) is item.solution
    assert not progress_path.exists()


@EACH
def test_the_solution_passes_within_its_budget(item):
    verdict = check(item, item.solution)
    assert verdict.state == PASSES and f"all {len(item.cases)} cases" in repr(verdict)
    assert 1 <= len(body(item.solution)) <= item.lines


@EACH
def test_a_function_that_passes_is_the_reader_s_own_from_then_on(item):
    def mine(*args):
        return item.solution(*args)

    assert exercise(item.id)(mine) is mine


@EACH
def test_each_mistake_is_known_by_its_name(item):
    assert len(item.mistakes) >= 2
    for name, mistake in item.mistakes.items():
        verdict = check(item, mistake)
        assert (verdict.state, verdict.likely) == (FAILS, name)
        assert exercise(item.id)(mistake) is item.solution


@EACH
def test_the_failing_input_that_is_shown_can_be_read_and_typed(item):
    for mistake in item.mistakes.values():
        verdict = check(item, mistake)
        number = int(re.match(r"case (\d+) of", verdict.place)[1])
        for grid, value in zip(verdict.inputs, item.cases[number - 1], strict=True):
            shown = [
                float(x) for row in grid.rows for x in re.findall(r"[-\d.]+", str(row))
            ]
            assert len(shown) <= 24
            if isinstance(value, torch.Tensor) and "row" not in grid.caption:
                assert shown == pytest.approx(value.flatten().tolist())
    sizes = [sum(x.numel() for x in c if hasattr(x, "numel")) for c in item.cases]
    assert sizes == sorted(sizes)


@EACH
def test_an_endless_answer_is_stopped_and_the_chapter_goes_on(item, capsys):
    lines = ["while True:", "    try:", "        pass", "    except Exception:",
             "        pass"]  # fmt: skip
    started = time.monotonic()
    function = exercise(item.id, seconds=0.1)(written(item, *lines))
    assert time.monotonic() - started < 5
    assert function is item.solution
    assert "still running after 0.1 seconds" in capsys.readouterr().out


@EACH
def test_an_answer_that_raises_is_shown_with_its_line(item, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        f"import torch\ndef answer({arguments(item)}):\n"
        "    first = torch.ones(2, 3)\n    return first @ first  # oops\n"
    )
    names = {}
    exec(compile(file.read_text(), file, "exec"), names)
    verdict = check(item, names["answer"])
    assert verdict.state == FAILS
    assert verdict.message.startswith("it raises RuntimeError: mat1 and mat2")
    assert verdict.line.place == "line 4 of mine.py"
    start, end = verdict.line.marked
    assert verdict.line.text[start:end] == "first @ first"
    assert exercise(item.id)(names["answer"]) is item.solution


@pytest.mark.parametrize(("chapter", "id"), USED)
def test_the_chapters_use_exercises_that_there_are(chapter, id):
    assert chapter.startswith(id.partition(".")[0] + "_")
    find(id)


def test_every_exercise_stands_in_its_chapter():
    assert {id for _, id in USED} == {item.id for item in ALL}


def test_a_statement_stands_with_its_exercise_and_is_filled_in():
    item = find("01.1")
    text = "**01.1 (warm-up, about 3 lines).** The responsibilities $h_i$"
    assert item.markdown().startswith(text)
    assert filled("a\n@EXERCISE 01.1@\nb", "01_x") == f"a\n{item.markdown()}\nb"
    assert find("01.4").markdown().startswith("**01.4 (1 line).** The number")
    with pytest.raises(ValueError, match=r"01_x\.py: exercise '01\.9' is unknown: .*"):
        filled("@EXERCISE 01.9@", "01_x")


def test_an_id_that_there_is_not_says_which_there_are(capsys):
    with pytest.raises(ValueError, match=r"exercise '01.9' is unknown: .* has 01.1, "):
        hint("01.9")
    with pytest.raises(ValueError, match="chapter '77' has none; those with exercises"):
        solution("77.1")

    def mine():
        return 3

    assert exercise("77.1")(mine) is mine
    assert exercise(mine) is mine
    shown = capsys.readouterr().out
    assert "77.1  fails: exercise '77.1' is unknown" in shown
    assert '@exercise  fails: write the id as well, such as @exercise("01.2")' in shown
    assert "hint(" not in shown


def test_hint_and_solution_show_themselves(capsys):
    hint("01.1")
    solution("01.1")
    shown = capsys.readouterr().out
    assert shown.startswith("01.1  hint: Bayes") and "def responsibilities(" in shown


def test_a_check_leaves_the_random_state_and_gives_both_sides_the_same_numbers():
    item = Exercise(
        "99.1", title="", statement="", lines=1, hint="", mistakes={},
        solution=lambda n: torch.rand(n), cases=[(2,), (3,)],
    )  # fmt: skip
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    assert check(item, lambda n: torch.rand(n)).passed
    assert not check(item, lambda n: torch.rand(n) + 0.1).passed
    assert torch.equal(torch.rand(1), expected)
