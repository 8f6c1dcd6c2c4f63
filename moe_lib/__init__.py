"""moe_lib: mixtures of experts from 1991 to today, written to be read.

The one idea is the `Routing` table (`moe_lib.routing`): which token goes to which
expert, with which weight, in which slot. Routers produce it; losses, layers,
figures and widgets read it. `MoE` is the layer: a router, experts, and the way
between them. Importing the package loads torch and nothing else of size; plotly,
ipywidgets and the data sets load when a module that needs them does.
"""

from moe_lib.layer import MoE
from moe_lib.routing import Routing

__version__ = "0.1.0"
__all__ = ["MoE", "Routing"]
