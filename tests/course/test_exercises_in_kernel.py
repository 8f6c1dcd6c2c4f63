"""A notebook with answers of every kind, run by a real kernel to its end."""

import json

import nbformat
import pytest
from nbclient import NotebookClient

CELLS = [
    "from moe_lib.course import exercise, hint, progress, solution\nprogress()",
    '@exercise("01.1")\ndef responsibilities(outputs, gates, targets):\n'
    '    """outputs, gates, targets"""\n    raise NotImplementedError',
    '@exercise("01.2")\ndef competitive_gradient(outputs, gates, targets):\n'
    "    error = (targets.unsqueeze(1) - outputs).square().sum(-1)\n"
    "    return gates * error",
    '@exercise("01.3", seconds=0.5)\ndef stable_loss(outputs, gates, targets):\n'
    "    n = 0\n    while True:\n        n += 1",
    '@exercise("01b.1")\ndef tree_responsibilities(top, low, density):\n'
    "    joint = top * low\n    return joint @ density.nothing",
    '@exercise("01.4")\ndef alive_experts(gates):\n'
    "    return int((gates.mean(0) > 0.05).sum())",
    'hint("01.1")\nsolution("01.4")',
    "import torch\n"
    "half, ones = torch.tensor([[0.5, 0.5]]), torch.ones(1, 2, 3)\n"
    "x = torch.tensor([[[0.0], [2.0]]]), half, torch.zeros(1, 1)\n"
    "print(responsibilities(*x).shape, competitive_gradient(*x).shape)\n"
    "print(stable_loss(*x).shape, alive_experts(half))\n"
    "print(tree_responsibilities(half, ones, ones).sum())",
    "progress()",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The executed cells' outputs, and the folder."""
    folder = tmp_path_factory.mktemp("chapter")
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MOE_LIB_PROGRESS", raising=False)
        NotebookClient(
            notebook, timeout=120, kernel_name="python3",
            resources={"metadata": {"path": str(folder)}},
        ).execute()  # fmt: skip
    return [cell.outputs for cell in notebook.cells], folder


def text(outputs) -> str:
    return "".join(o.get("text") or o["data"]["text/plain"] for o in outputs)


def test_each_answer_has_its_verdict(run):
    outputs, _ = run
    start, stub, wrong, endless, raising, right = outputs[:6]
    assert text(start).startswith("no exercise passed yet, of ")
    assert text(stub).startswith("01.1  not written yet: the responsibilities")
    assert "likely: the comparison with the average error is missing" in text(wrong)
    assert "it was stopped: still running after 0.5 seconds" in text(endless)
    assert "of the cell: " in text(endless)
    assert "01b.1  fails: it raises AttributeError: 'Tensor' object" in text(raising)
    assert "line 4 of the cell: return joint @ density.nothing" in text(raising)
    assert "^^^^^^^^^^^^^^^" in text(raising)
    assert text(right).startswith("01.4  passes: all 6 cases")


def test_they_are_rich(run):
    for cell in run[0][:7]:
        for output in cell:
            assert "<" in output["data"]["text/html"]


def test_the_rest_of_the_chapter_runs(run):
    printed = text(run[0][7])
    assert printed == (
        "torch.Size([1, 2]) torch.Size([1, 2])\ntorch.Size([1]) 2\ntensor(1.)\n"
    )


def test_progress_lies_beside_the_notebook(run):
    outputs, folder = run
    kept = json.loads((folder / "progress.json").read_text())["exercises"]
    assert {id: entry["state"] for id, entry in kept.items()} == {
        "01.2": "tried", "01.3": "tried", "01.4": "passed", "01b.1": "tried",
    }  # fmt: skip
    assert text(outputs[8]).startswith("exercises passed: 1 of ")
