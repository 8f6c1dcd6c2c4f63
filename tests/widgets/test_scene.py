"""What a scene may hold, and what is said about one that cannot be shown."""

import copy
import math
import subprocess
import sys

import numpy as np
import pytest

from moe_lib.widgets import MIME, Player, check, compact
from moe_lib.widgets.compact import pack, unpack

from . import scenes


def _put(path: str, value: object):
    """A change to the scene: ``path`` leads to the place, from the scene's root."""
    *way, last = [int(k) if k.isdigit() else k for k in path.split(".")]

    def change(scene: dict) -> None:
        place = scene
        for key in way:
            place = place[key]
        place[last] = value

    return change


LINE = "states.0.3.panels.0.0"
WRONG = {
    "layer type": (_put(f"{LINE}.type", "scatter"), "'scatter'", "use one of band"),
    "slider values": (_put("slider.values", ["a"]), "5 states", "one text per state"),
    "no values": (_put("slider.values", []), "slider.values is empty", "give one text"),
    "unequal": (
        _put(f"{LINE}.x", [0, 1, 2]),
        "x has 3, y has 2 numbers",
        "equally many",
    ),
    "nan": (
        _put(f"{LINE}.y", [0, math.nan]),
        "states[0][3].panels[0][0].y[1] is nan",
        "leave such a point out",
    ),
    "none": (_put(f"{LINE}.y", [0, None]), "y[1] is None", "finite numbers"),
    "text": (_put(f"{LINE}.x", [0, "1"]), "x[1] is '1'", "finite numbers"),
    "colour": (_put(f"{LINE}.color", "red"), "'red'", "ink, muted, accent"),
    "true": (_put(f"{LINE}.color", True), "color is True", "expert's number"),
    "key": (_put(f"{LINE}.colour", 1), "'colour'", "line knows clip, color"),
    "shared": (
        _put("states.0.3.panels.0", [1]),
        "states[0][3].panels[0][0] is 1",
        "there are 0 lists in shared",
    ),
    "in shared": (
        _put("shared", [[{"type": "scatter"}]]),
        "shared[0][0].type is 'scatter'",
        "use one of band",
    ),
    "no list": (
        lambda scene: scene.update(states=scene["states"][0]),
        "states[0] is no list",
        "states[variant][i]",
    ),
    "variants": (
        _put("variants", {"label": "k", "names": ["1", "2"]}),
        "1 lists for 2 variants",
        "one list of states per name",
    ),
    "range": (_put("panels.0.x.range", [1, 1]), "panels[0].x.range is [1, 1]", "two"),
    "panels": (_put("states.0.3.panels", []), "0 lists for 1 panels", "per panel"),
    "start": (_put("start", 5), "start is 5", "0 to 4"),
    "handle": (
        _put("states.0.3.handle", {"panel": 1, "x": 0, "y": 0}),
        "states[0][3].handle is {'panel': 1",
        "give panel, x and y",
    ),
    "legend": (
        _put("legend", [{"shape": "star", "text": ""}]),
        "legend[0].shape is 'star'",
        "use one of badge, diamond",
    ),
    "owner": (
        _put(
            "panels.0.layers",
            [
                {"type": "regions", "x": [0, 1], "y": [0, 1], "nx": 2, "ny": 2}
                | {"owner": "012"}
            ],
        ),
        "panels[0].layers[0].owner has 3 digits",
        "nx * ny = 4",
    ),
    "colours": (
        _put(
            "panels.0.layers",
            [{"type": "points", "x": [0, 1], "y": [0, 1], "color": [0, 1, 2]}],
        ),
        "color has 3 items, x has 2",
        "match x",
    ),
}


@pytest.mark.parametrize("change, fault, remedy", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_scene_is_refused_in_one_line(change, fault, remedy):
    scene = scenes.small()
    check(scene)
    change(scene)
    with pytest.raises(ValueError) as error:
        Player(scene)
    message = str(error.value)
    assert fault in message and remedy in message and "\n" not in message


@pytest.mark.parametrize("key", ["title", "slider", "panels", "states"])
def test_a_missing_part_is_named(key):
    scene = scenes.small()
    del scene[key]
    with pytest.raises(ValueError, match=f"no '{key}'"):
        Player(scene)


def test_a_list_is_no_scene():
    with pytest.raises(ValueError, match="scene is a list; give a dict"):
        Player([])


def test_compact_shortens_floats_and_keeps_the_rest():
    import torch

    given = {
        "a": np.array([1.23456, 2.0]),
        "b": torch.tensor([[12345.6], [0.000123456]]),
        "c": (True, None, "x", 10050, np.float64(3.14159), np.int64(7)),
    }
    before = copy.deepcopy(given["c"])
    assert compact(given) == {
        "a": [1.235, 2],
        "b": [[12350], [0.0001235]],
        "c": [True, None, "x", 10050, 3.142, 7],
    }
    assert given["c"] == before
    with pytest.raises(ValueError, match="give numbers, texts"):
        compact({"a": object()})


def test_the_digits_of_regions_are_packed_without_loss():
    rng = np.random.default_rng(0)
    for wide in (1, 3, 40):
        digits = "".join(c * wide for c in rng.choice(list("0123456789.a"), 200))
        assert unpack(pack(digits)) == digits
    layer = scenes.rich(5)["states"][0][2]["panels"][1][0]
    small = compact(layer)
    assert unpack(small["owner"]) == layer["owner"]
    assert len(small["owner"]) < len(layer["owner"]) / 2


def test_repr_is_stable_and_names_the_question():
    one, other = Player(scenes.small()), Player(scenes.small())
    assert (
        repr(one) == repr(other) == "Player('How far does the line reach?', 5 states)"
    )
    assert "3 x 5 states" in repr(Player(scenes.small(variants=3)))


def test_the_bundle_holds_the_view_and_the_scene():
    player = Player(scenes.rich(5))
    data, _ = player._repr_mimebundle_()
    view = data["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] == player.model_id
    assert data[MIME] == player.scene == check(compact(scenes.rich(5)))
    assert data["text/plain"] == repr(player)
    # ipywidgets 7 would otherwise be asked first, and show itself without the scene
    assert not callable(getattr(player, "_ipython_display_", None))


def test_ipython_shows_the_bundle():
    from IPython.core.formatters import DisplayFormatter

    data, _ = DisplayFormatter().format(Player(scenes.small()))
    assert {MIME, "application/vnd.jupyter.widget-view+json", "text/plain"} <= set(data)


def test_state_and_variant_stay_in_range():
    player = Player(scenes.small(variants=2) | {"start": 3})
    assert (player.state, player.variant) == (3, 0)
    player.state, player.variant = 4, 1
    with pytest.raises(ValueError, match="state is 5; give 0 to 4"):
        player.state = 5
    with pytest.raises(ValueError, match="variant is 2; give 0 to 1"):
        player.variant = 2
    assert (player.state, player.variant) == (4, 1)
    with pytest.raises(ValueError, match="no 'panels'"):
        player.scene = {"title": "x", "slider": {"values": ["1"]}}
    player.scene = scenes.small(states=2)
    assert (player.state, player.variant) == (1, 0)


def test_the_package_alone_loads_no_widgets():
    code = (
        "import sys, moe_lib; "
        "print([m for m in ('anywidget', 'ipywidgets') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
