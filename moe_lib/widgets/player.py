"""`Player`: precomputed pictures with a slider, for notebook, Colab and book."""

from __future__ import annotations

from typing import Any

import anywidget
import traitlets

from moe_lib.widgets.compact import compact
from moe_lib.widgets.modules import module_text
from moe_lib.widgets.scene import check

#: The scene as it is stored in a notebook, for pages without a kernel.
MIME = "application/vnd.moe.player+json"


class Player(anywidget.AnyWidget):
    """A slider over the states of a scene.

    Args:
        scene: dict as described in `moe_lib.widgets.scene`; floats are kept to
            four significant digits.

    Attributes:
        state: int, where the slider stands; set it to move the slider.
        variant: int, which variant is chosen (0 where the scene has none).

    Raises:
        ValueError: the scene cannot be shown, or `state` or `variant` is out of
            range; the message names the value and the remedy.
    """

    _esm = module_text("player")
    # ipywidgets 7 would show itself without the scene; None leads IPython on to
    # _repr_mimebundle_, as with ipywidgets 8.
    _ipython_display_ = None

    scene = traitlets.Dict().tag(sync=True)
    state = traitlets.Int(0).tag(sync=True)
    variant = traitlets.Int(0).tag(sync=True)

    def __init__(self, scene: dict[str, Any], **kwargs: Any) -> None:
        self._checked = check(compact(scene))
        start = self._checked.get("start", 0)
        super().__init__(scene=self._checked, **{"state": start, **kwargs})

    @traitlets.validate("scene")
    def _valid_scene(self, proposal: dict[str, Any]) -> dict[str, Any]:
        if proposal["value"] is not self._checked:
            self._checked = check(compact(proposal["value"]))
        return self._checked

    @traitlets.observe("scene")
    def _new_scene(self, change: dict[str, Any]) -> None:
        self.state = min(self.state, len(self._values) - 1)
        self.variant = min(self.variant, len(self.scene["states"]) - 1)

    @traitlets.validate("state")
    def _valid_state(self, proposal: dict[str, Any]) -> int:
        return self._index("state", proposal["value"], len(self._values))

    @traitlets.validate("variant")
    def _valid_variant(self, proposal: dict[str, Any]) -> int:
        return self._index("variant", proposal["value"], len(self.scene["states"]))

    @staticmethod
    def _index(name: str, value: int, size: int) -> int:
        if not 0 <= value < size:
            raise ValueError(f"{name} is {value}; give 0 to {size - 1}")
        return value

    @property
    def _values(self) -> list[str]:
        return self.scene["slider"]["values"]

    def __repr__(self) -> str:
        count = f"{len(self._values)} states"
        if (variants := len(self.scene["states"])) > 1:
            count = f"{variants} x {count}"
        return f"Player({self.scene['title']!r}, {count})"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict] | None:
        """anywidget's bundle, with the scene for pages without a kernel."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle
        return {**data, "text/plain": repr(self), MIME: self.scene}, metadata
