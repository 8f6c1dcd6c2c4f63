"""Pictures: pure functions from a `Routing`, or from results, to plotly figures.

Those below are for every chapter; what one chapter alone needs is in its own module.
Importing this package loads plotly; `import moe_lib` alone does not.
"""

from moe_lib.figures.cost import cost
from moe_lib.figures.flow import flow
from moe_lib.figures.history import history
from moe_lib.figures.load import load
from moe_lib.figures.parallel import timeline
from moe_lib.figures.probabilities import probabilities
from moe_lib.figures.routing_map import routing_map
from moe_lib.figures.simplex import simplex
from moe_lib.figures.slots import slots
from moe_lib.figures.territory import territory
from moe_lib.figures.tokens_text import tokens_text
from moe_lib.figures.traffic import traffic
from moe_lib.recorder import Event

__all__ = [
    "Event",
    "cost",
    "flow",
    "history",
    "load",
    "probabilities",
    "routing_map",
    "simplex",
    "slots",
    "territory",
    "timeline",
    "tokens_text",
    "traffic",
]
