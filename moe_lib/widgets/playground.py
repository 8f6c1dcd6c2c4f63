"""`Playground`: the reader's sentence through a router, live, in every host."""

from __future__ import annotations

from typing import Any

import anywidget
import traitlets

from moe_lib.models.small_router import SmallRouter
from moe_lib.routing import Routing
from moe_lib.widgets.modules import module_text
from moe_lib.widgets.playground_routing import Routes, alt_text, routed, table
from moe_lib.widgets.playground_state import arguments, checked
from moe_lib.widgets.playground_tables import DEFAULTS, OWN, ROUTERS, SPEC

#: A playground as it is stored in a notebook, for pages without a kernel.
PLAYGROUND_MIME = "application/vnd.moe.playground+json"


class Playground(anywidget.AnyWidget):
    """A sentence, a router and its settings, in linked pictures.

    Every argument is a control of the page, too. The logits come from a small router
    that was trained in the course; a setting that the router does not have is kept,
    and does nothing.

    Args:
        router: one of `playground_tables.ROUTERS`, or an object with
            ``.route(logits [T, E]) -> Routing``, which then drives the picture.
        text: the sentence; its first 64 tokens are routed.
        num_experts: 2, 4, 8 or 16.
        top_k: k, for the routers of 2017 and 2024.
        capacity_factor: from 0.25 to 4, or None to drop nothing.
        noise: standard deviation of the Gaussian noise on the logits (2017).
        jitter_noise: share by which the router's input is shaken (2021).
        temperature: the logits are divided by it.
        group_size: tokens that share one set of buffers, or None; padding fills the
            last group.
        seed: of noise, jitter and the random hash.
        nudges: rows (token, expert, amount): added to that logit.
        locked: None, or a dict of these settings for a second picture beside the
            first; what it lacks has its default.

    Attributes:
        state: dict of all of the above, in step with the page; set it whole.

    Raises:
        ValueError: an argument out of range, in one line that says what to give.
    """

    _esm = module_text("playground")
    # As for `Player`: ipywidgets 7 would not ask for the bundle below.
    _ipython_display_ = None

    data = traitlets.Dict().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)
    pushed = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        router: str | Routes = DEFAULTS["router"],
        text: str = DEFAULTS["text"],
        **settings: Any,
    ) -> None:
        self._own = None if isinstance(router, str) else router
        name = router
        if self._own is not None:
            if not callable(getattr(router, "route", None)):
                raise ValueError(
                    f"router is a {type(router).__name__} without route(logits): give"
                    " such an object, or the name of a router"
                )
            name = OWN
        self._small = SmallRouter.load()
        data = {
            "model": self._small.model,
            "spec": SPEC,
            "own": None if self._own is None else type(self._own).__name__,
        }
        state = {**DEFAULTS, "router": name, "text": text, **settings}
        super().__init__(data=data, state=state)

    @traitlets.validate("state")
    def _valid_state(self, proposal: dict[str, Any]) -> dict[str, Any]:
        return checked(proposal["value"], own=self._own is not None)

    @traitlets.observe("state")
    def _routes_again(self, change: dict[str, Any]) -> None:
        if self._own is not None and OWN in (
            self.state["router"],
            (self.state["locked"] or {}).get("router"),
        ):
            self.pushed = self._push()

    @property
    def routing(self) -> Routing:
        """The table of the present state, from moe_lib."""
        return self._routing(self.state)

    @property
    def locked_routing(self) -> Routing | None:
        """The table of the locked settings, None where nothing is locked."""
        if self.state["locked"] is None:
            return None
        return self._routing({**self.state, **self.state["locked"]})

    @property
    def call(self) -> str:
        """The call that makes this state, as the page copies it."""
        return f"Playground({arguments(self.state)})"

    def _routing(self, state: dict[str, Any]) -> Routing:
        return routed(self._small, state, self._own)

    def _push(self) -> dict[str, Any]:
        """What the page draws of the reader's own router; an error as its text."""
        own = {"router": OWN}
        try:
            return table(self.state, self._routing({**self.state, **own}))
        except Exception as error:  # the reader's code: the view lives on and says it
            text = f"{type(error).__name__} in your router: {error}"
            return {**self.pushed, "error": text}

    def __repr__(self) -> str:
        return self.call

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict] | None:
        """anywidget's bundle, with the whole state for pages without a kernel."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle
        stored = {**self.data, "state": self.state, "pushed": self.pushed}
        if "error" not in self.pushed:
            called = ROUTERS[self.state["router"]][0]
            stored["alt"] = alt_text(called, self.routing)
        return {**data, "text/plain": repr(self), PLAYGROUND_MIME: stored}, metadata
