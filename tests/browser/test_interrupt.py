"""The stop button in a training cell: nothing is lost, and `run` goes on."""

from __future__ import annotations

import pytest
from lab_page import LabPage

nbformat = pytest.importorskip("nbformat")

SETUP = """\
import time
import torch
from moe_lib.training import Trainer

def fresh():
    torch.manual_seed(1)
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)
    )
    def objective(model, generator):
        time.sleep(pause)
        x = torch.randn(16, 3, generator=generator)
        loss = (model(x) - x.prod(1, keepdim=True)).square().mean()
        return loss, {"first": x[0, 0]}
    adam = torch.optim.Adam(model.parameters(), lr=0.01)
    return Trainer(model, objective, adam, seed=5)

pause = 0.01
trainer = fresh()
print("ready")"""
TRAIN = "trainer.run(10_000);"
LOOK = """\
stopped = trainer.step
assert trainer.interrupted and 0 < stopped < 10_000
assert {len(h) for h in trainer.history.values()} == {stopped}
assert trainer.history["loss"].isfinite().all()
assert trainer.model(torch.ones(2, 3)).isfinite().all()
print("usable")"""
RESUME = """\
pause = 0
trainer.run(stopped + 50)
other = fresh().run(stopped + 50)
assert not trainer.interrupted and trainer.step == other.step == stopped + 50
for a, b in zip(trainer.model.parameters(), other.model.parameters()):
    assert torch.equal(a, b)
for name in ("loss", "first"):
    assert torch.equal(trainer.history[name], other.history[name])
assert torch.equal(trainer.generator.get_state(), other.generator.get_state())
print("equal bit for bit after", stopped, "+ 50 steps")"""


@pytest.fixture
def scratch(browser, lab):
    """A new notebook with the cells above."""
    cells = [nbformat.v4.new_code_cell(c) for c in (SETUP, TRAIN, LOOK, RESUME)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    nbformat.write(notebook, lab.chapters / "scratch.ipynb")
    view = LabPage(browser, lab, "scratch")
    yield view
    view.close()


def test_stop_look_and_go_on(scratch):
    page = scratch.page
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    texts = [cell.locator(".jp-OutputArea").first for cell in cells.all()]

    def run_next(wait: bool = True) -> None:
        page.locator("[data-command='notebook:run-cell-and-select-next']").first.click()
        if wait:
            scratch.wait_until_run()

    cells.first.locator(".jp-InputPrompt").click()
    run_next()
    assert texts[0].inner_text().strip() == "ready"

    run_next(wait=False)
    bar = cells.nth(1).get_by_text("/10000")  # the progress bar: it trains
    bar.wait_for(state="attached")
    page.wait_for_timeout(200)
    page.locator("[data-command='notebook:interrupt-kernel']").first.click()
    scratch.wait_until_run()
    assert scratch.errors() == []
    assert "training: stopped by you at step" in texts[1].inner_text()
    assert "Traceback" not in texts[1].inner_text()

    run_next()
    assert texts[2].inner_text().strip() == "usable", scratch.errors()
    run_next()
    assert "equal bit for bit" in texts[3].inner_text(), scratch.errors()
    print(texts[1].inner_text().strip(), "|", texts[3].inner_text().strip())
    assert scratch.troubles == []
