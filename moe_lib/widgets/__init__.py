"""Live views for notebooks and the book: `Player` and the scenes it shows.

Importing this module loads anywidget; `import moe_lib` alone does not.
"""

from moe_lib.widgets.compact import compact
from moe_lib.widgets.player import MIME, MODULE, Player
from moe_lib.widgets.scene import check

__all__ = ["MIME", "MODULE", "Player", "check", "compact"]
