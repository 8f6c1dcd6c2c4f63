"""`Calculator`: what experts cost in parameters, arithmetic, rows and memory, live."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anywidget
import traitlets

from moe_lib.checks import require_choice
from moe_lib.widgets import calculator_numbers, parallel_numbers
from moe_lib.widgets.calculator_numbers import filled
from moe_lib.widgets.calculator_tables import SPEC
from moe_lib.widgets.compact import compact
from moe_lib.widgets.modules import module_text

#: A calculator as it is stored in a notebook, for pages without a kernel.
CALCULATOR_MIME = "application/vnd.moe.calculator+json"
#: What a spec can name as its formulas; `js/calculator.js` has the same two.
FORMULAS = {"layer": calculator_numbers, "parallel": parallel_numbers}


class Calculator(anywidget.AnyWidget):
    """Sliders for the sizes of an MoE layer, and what follows from them.

    Args:
        preset: name of a button of the page, whose settings are taken first.
        spec: what is asked and shown (see `moe_lib.widgets.calculator_tables`); its
            "formulas" are "layer", or "parallel" (`moe_lib.widgets.parallel_tables`).
        settings: a number for each setting that is to differ, e.g.
            ``num_experts=256``; one of the values of its slider.

    Attributes:
        state: dict of all settings, in step with the page; set it whole.

    Raises:
        ValueError: a setting or preset that is not there, in one line that says what
            to give.
    """

    _esm = module_text("calculator")
    # As for `Player`: ipywidgets 7 would not ask for the bundle below.
    _ipython_display_ = None

    data = traitlets.Dict().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        preset: str | None = None,
        *,
        spec: Mapping[str, Any] = SPEC,
        **settings: float,
    ) -> None:
        self._spec = compact(spec, digits=15)
        self._formulas = FORMULAS[spec.get("formulas", "layer")]
        state = dict(self._start)
        if preset is not None:
            presets = dict(self._spec["presets"])
            require_choice("preset", preset, presets)
            state |= presets[preset]
        super().__init__(data={"spec": self._spec}, state=state | settings)

    @traitlets.validate("state")
    def _valid_state(self, proposal: dict[str, Any]) -> dict[str, Any]:
        for key in proposal["value"]:
            require_choice("setting", key, self._start)
        state = self._start | proposal["value"]
        for name, _, values, *_ in self._spec["inputs"]:
            if state[name] not in (
                possible := self._formulas.allowed(name, values, state)
            ):
                known = ", ".join(map(str, possible))
                raise ValueError(f"{name}={state[name]!r}: give one of {known}")
            state[name] = values[values.index(state[name])]  # 4.0 is 4
        return state

    @property
    def _start(self) -> dict[str, float]:
        return {name: start for name, _, _, _, start, _ in self._spec["inputs"]}

    @property
    def numbers(self) -> dict[str, float]:
        """All that the page shows, from the spec's formulas."""
        return self._formulas.numbers(self.state)

    @property
    def alt(self) -> str:
        """The title, the answer and what each section says, as one text."""
        spec = self._spec
        lines = [spec["answer"], *(section["line"] for section in spec["sections"])]
        told = [filled(line, self.numbers, spec["units"]) for line in lines]
        return " ".join([spec["title"], *told])

    def __repr__(self) -> str:
        start = self._start
        given = (f"{k}={v}" for k, v in self.state.items() if v != start[k])
        return f"Calculator({', '.join(given)})"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict] | None:
        """anywidget's bundle, with the whole state for pages without a kernel."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle
        stored = {**self.data, "state": self.state, "alt": self.alt}
        return {**data, "text/plain": repr(self), CALCULATOR_MIME: stored}, metadata
