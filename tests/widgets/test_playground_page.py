"""The playground in a plain page: picture against moe_lib, controls, speed, looks."""

import random
import statistics

import pytest

from moe_lib.models.small_router import tokenize
from moe_lib.widgets import PLAYGROUND_MIME, Playground
from moe_lib.widgets.playground_tables import OWN, ROUTERS, SETTINGS

from .page import PAPER, frame
from .test_playground import MySwitch, call_to_state

NAMED = [name for name in ROUTERS if name != OWN]
SIXTEEN = "The wall stands at C : who comes late , my token , waits outside ."
LONG = (
    "A long sentence of many words goes to the small router , which sends each token "
    "to the experts that it likes ; the rivers of France and the goals of the second "
    "half are far from the interest of a bank , the butter in a pan , the rain over "
    "hills . Who comes late finds a wall where a slot had been , and nobody asks why ."
)
assert len(tokenize(SIXTEEN)) == 16 and len(tokenize(LONG)) >= 64

# What is to be seen of each picture: marks, slots, bars, and the numbers below.
READ = """() => {
  const shown = node => !node.closest('[display=none]');
  const boxes = node => (node.getAttribute('d').match(/h/g) ?? []).length / 2;
  return [...document.querySelectorAll('.plot')].filter(svg => svg.clientWidth)
    .map(svg => {
      const [sentence, frame, marks] = svg.querySelectorAll(':scope > g');
      const all = (group, css) => [...group.querySelectorAll(css)].filter(shown);
      const standing = node => Math.abs(
        +node.getAttribute('y') + +node.getAttribute('height') - 86) < 0.1;
      const height = node => +node.getAttribute('height');
      return {
        map: ['kept', 'lost'].map(name => all(sentence, `path.${name}`).length),
        queue: all(marks, '.t').map(g =>
          [g.spot.t, g.spot.e, g.firstChild.classList.contains('kept')]),
        slots: ['empty', 'full'].map(name => all(frame, `path.${name}`).map(boxes)),
        load: all(frame, 'rect.solid').filter(standing).map(height),
        over: all(frame, 'rect.lost').map(height),
        words: all(sentence, 'text').map(n => n.textContent),
        beyond: frame.textContent.includes('beyond the edge'),
        wall: all(frame, 'path.rule.t').length,
        numbers: [...svg.parentNode.querySelectorAll('.row b')]
          .map(b => b.textContent),
        label: svg.getAttribute('aria-label'),
      } }) }"""


def data_of(**state) -> dict:
    """What a notebook stores of such a playground."""
    return Playground(**{"text": SIXTEEN, **state})._repr_mimebundle_()[0][
        PLAYGROUND_MIME
    ]


@pytest.fixture
def open_page(show):
    """open_page(width, theme, **state) -> page"""

    def open_page(width=1200, theme="light", options=None, **state):
        return show(data_of(**state), width, theme, "playground", **(options or {}))

    return open_page


def state_of(page) -> dict:
    return page.evaluate("playground.state")


def slider(page, key):
    return page.locator(f"[data-key={key}] input")


def random_state(router: str, draw: random.Random) -> dict:
    state = {key: draw.choice(values) for key, (_, values, *_) in SETTINGS.items()}
    state["top_k"] = min(state["top_k"], state["num_experts"])
    if router == "expert_choice":
        state["capacity_factor"] = state["capacity_factor"] or 0.5
    words = LONG.split()
    draw.shuffle(words)
    state["text"] = " ".join(words[: draw.randint(1, 70)])
    nudges = [(draw.randrange(20), draw.randrange(16), draw.choice((-2, 1, 3)))]
    return {**state, "router": router, "nudges": nudges, "seed": draw.randrange(9)}


def compare(picture: dict, routing, num_tokens: int, group: int) -> None:
    """The picture of one group's buffers, and of the whole map, against the table."""
    columns = (
        routing.token_index,
        routing.expert_index,
        routing.kept,
        routing.position_in_expert,
    )
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    rows = [row for row in rows if row[0] < num_tokens]
    kept = sum(row[2] for row in rows)
    size = routing.group_size or routing.num_tokens
    here = [row for row in rows if row[0] // size == group]
    assert picture["map"] == [kept, len(rows) - kept]
    assert sorted(picture["queue"]) == sorted(list(row[:3]) for row in here)

    E, capacity = routing.num_experts, routing.capacity
    slots = capacity and capacity * E * routing.num_tokens // size
    served = len({row[0] for row in rows if row[2]})
    demand = routing.demand_per_expert
    ratio = demand.max().item() * E / len(rows)
    numbers = picture["numbers"]
    assert numbers[0] == f"{kept} / {len(rows)}"
    assert numbers[1] == f"{num_tokens - served} / {num_tokens}"
    assert numbers[2] == ("no" if slots is None else f"{slots - kept} / {slots}")
    assert float(numbers[3][:-1]) == pytest.approx(ratio, abs=0.0501)
    if capacity is None:
        assert picture["slots"] == [[0] * E, [0] * E] and not picture["wall"]
    elif not picture["beyond"]:
        taken = [sum(r[1] == e and r[2] for r in here) for e in range(E)]
        assert picture["slots"] == [[capacity - n for n in taken], taken]
        assert picture["wall"] == 1
    load = routing.tokens_per_expert.tolist()
    over = (demand - routing.tokens_per_expert).tolist()
    unit = 52 / max(max(demand.tolist()), 1.5 * len(rows) / E)
    assert picture["load"] == pytest.approx([n * unit for n in load], abs=0.02)
    assert picture["over"] == pytest.approx([n * unit for n in over], abs=0.02)


@pytest.mark.parametrize("router", NAMED)
def test_the_picture_is_moe_lib_s_table(open_page, router):
    page = open_page()
    draw = random.Random(router)
    beyond = 0
    for _ in range(8):
        playground = Playground(**random_state(router, draw))
        routing, state = playground.routing, playground.state
        tokens = min(64, len(tokenize(state["text"])))
        groups = routing.num_tokens // (routing.group_size or routing.num_tokens)
        group = draw.randrange(groups)
        page.evaluate(
            "([state, group]) => { playground.group = group;"
            "playground.change(state, false) }",
            [state, group],
        )
        frame(page)
        (picture,) = page.evaluate(READ)
        compare(picture, routing, tokens, group)
        padding = routing.num_tokens - tokens
        assert picture["words"].count("padding") == padding
        beyond += picture["beyond"]
    assert beyond < 8


def test_every_control_moves_the_picture(open_page):
    page = open_page(router="noisy_top_k", capacity_factor=4)
    plot = page.locator(".plot").first

    def changes(act) -> None:
        before = plot.screenshot(animations="disabled")
        act()
        frame(page)
        assert plot.screenshot(animations="disabled") != before

    for key in ("num_experts", "top_k", "noise", "temperature"):
        changes(lambda key=key: slider(page, key).press("ArrowRight"))
    changes(lambda: page.locator("select").select_option("switch"))
    for key in ("capacity_factor", "group_size"):
        changes(lambda key=key: slider(page, key).press("Home"))
    changes(lambda: slider(page, "jitter_noise").press("End"))
    changes(lambda: slider(page, "text").fill("Another sentence altogether"))
    for name in ROUTERS:
        if name not in (OWN, "switch"):
            changes(lambda name=name: page.locator("select").select_option(name))


def test_what_a_router_does_not_have_is_off_and_says_why(open_page):
    page = open_page()
    for name in NAMED:
        page.locator("select").select_option(name)
        frame(page)
        for key, (label, *_) in SETTINGS.items():
            has = key == "num_experts" or key in ROUTERS[name][1]
            assert slider(page, key).is_enabled() == has
            title = page.locator(f"[data-key={key}]").get_attribute("title")
            assert title == ("" if has else f"{ROUTERS[name][0]} has no {label}")


def test_settings_stay_possible(open_page):
    page = open_page(router="top_k", top_k=8, capacity_factor=None)
    slider(page, "num_experts").press("Home")
    assert (state_of(page)["num_experts"], state_of(page)["top_k"]) == (2, 2)
    frame(page)
    assert slider(page, "top_k").get_attribute("max") == "1"
    page.locator("select").select_option("expert_choice")
    assert state_of(page)["capacity_factor"] == 1.25
    slider(page, "text").fill("  ")
    assert state_of(page)["text"] == SIXTEEN
    Playground(**state_of(page))


def test_at_most_64_tokens_and_it_says_so(open_page):
    page = open_page()
    count = page.locator("[data-key=text] b")
    assert count.inner_text() == "16 tokens"
    slider(page, "text").fill("word " * 70)
    frame(page)
    assert count.inner_text() == "the first 64 of 70 tokens"
    assert page.evaluate(READ)[0]["map"][0] < page.evaluate(READ)[0]["map"][1] + 64
    assert page.evaluate("playground.pictures[0].now.tokens.length") == 64


def test_keys_alone_do_everything(open_page):
    page = open_page()
    outer = "window.outer = []; document.addEventListener('keydown',"
    page.evaluate(outer + "e => outer.push(e.key))")
    seen = []

    def tab() -> str:
        page.keyboard.press("Tab")
        at = page.evaluate(
            "(() => { const n = document.activeElement; return n.dataset.act"
            " ?? n.parentNode.dataset.key ?? n.classList[0] })()"
        )
        seen.append(at)
        return at

    def tab_to(name: str) -> None:
        assert any(tab() == name for _ in range(15)), seen

    assert tab() == "text"
    page.keyboard.press("End")
    page.keyboard.type(" Late again")
    assert tab() == "router"
    page.keyboard.press("ArrowUp")  # GShard
    frame(page)
    assert tab() == "num_experts"
    page.keyboard.press("ArrowLeft")
    assert tab() == "capacity_factor"  # k is off
    page.keyboard.press("ArrowLeft")
    frame(page)
    state = state_of(page)
    assert state["text"] == SIXTEEN + " Late again"
    assert (state["router"], state["num_experts"], state["capacity_factor"]) == (
        "gshard",
        4,
        1,
    )
    tab_to("lock")
    page.keyboard.press("Enter")
    frame(page)
    assert len(page.evaluate(READ)) == 2
    page.keyboard.press("Space")
    tab_to("plot")
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "+", "+", "-", "ArrowRight"):
        page.keyboard.press(key)
    page.keyboard.press("-")
    frame(page)
    assert state_of(page)["nudges"] == [[2, 1, 1], [2, 2, -1]]
    assert page.locator(".line").inner_text().startswith("3 stands → C: probability")
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")  # undo pushes
    assert state_of(page)["nudges"] == []
    # neither JupyterLab nor mdBook saw a key that the playground used
    assert set(page.evaluate("outer")) <= {"Tab", "Shift"}


def test_a_focused_control_has_a_ring(open_page):
    page = open_page()
    for _ in range(12):
        page.keyboard.press("Tab")
        style = page.evaluate(
            "(() => { const s = getComputedStyle(document.activeElement);"
            "return [s.outlineStyle, s.outlineWidth] })()"
        )
        assert style == ["solid", "2px"]


def test_the_lock_keeps_one_router_while_the_other_changes(open_page):
    page = open_page(router="switch", capacity_factor=1)
    page.get_by_role("button", name="lock, to compare").click()
    page.locator("select").select_option("gshard")
    slider(page, "num_experts").press("ArrowLeft")
    slider(page, "text").fill(LONG)
    frame(page)
    state = state_of(page)
    playground = Playground(**state)
    assert state["locked"]["router"] == "switch"
    assert state["locked"]["num_experts"] == 8
    live, locked = page.evaluate(READ)
    compare(live, playground.routing, 64, 0)
    compare(locked, playground.locked_routing, 64, 0)
    assert live["label"].startswith("GShard (2020): ")
    assert locked["label"].startswith("Switch (2021): ")
    boxes = [plot.bounding_box() for plot in page.locator(".plot").all()]
    assert boxes[0]["y"] == boxes[1]["y"]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
    page.set_viewport_size({"width": 600, "height": 900})
    page.wait_for_function("playground.width < 600")
    frame(page)
    boxes = [plot.bounding_box() for plot in page.locator(".plot").all()]
    assert boxes[0]["y"] + boxes[0]["height"] <= boxes[1]["y"]
    page.get_by_role("button", name="unlock").click()
    frame(page)
    assert len(page.evaluate(READ)) == 1


CELL = """([t, e]) => { const { mapX, cell, rowH } = playground.pictures[0].now;
  const { left, top } = document.querySelector('.plot').getBoundingClientRect();
  return [left + mapX + (e + 0.5) * cell, top + 112 + (t + 0.5) * rowH] }"""


def test_a_click_pushes_a_token_to_another_expert(open_page):
    page = open_page(router="top_k", top_k=1)
    before = Playground(**state_of(page)).routing
    away = (before.expert_index[4].item() + 1) % 8
    page.mouse.click(*page.evaluate(CELL, [4, away]))
    for _ in range(8):
        page.mouse.click(*page.evaluate(CELL, [4, away]))
    frame(page)
    assert state_of(page)["nudges"] == [[4, away, 9]]
    queue = page.evaluate(READ)[0]["queue"]
    assert [4, away, True] in queue
    assert ", pushed by 9, kept" in page.locator(".line").inner_text()
    marked = page.locator(".plot g.t path.rule.dash:not([d='M0 0'])")
    assert marked.count() == 1
    page.keyboard.down("Shift")
    page.mouse.click(*page.evaluate(CELL, [4, away]))
    page.keyboard.up("Shift")
    assert state_of(page)["nudges"] == [[4, away, 8]]
    page.get_by_role("button", name="lower").click()
    assert state_of(page)["nudges"] == [[4, away, 7]]
    page.get_by_role("button", name="undo pushes").click()
    frame(page)
    assert state_of(page)["nudges"] == [] and marked.count() == 0


def test_pointing_at_a_token_fades_the_others_everywhere(open_page):
    page = open_page(router="gshard", num_experts=4, locked={"router": "switch"})
    page.mouse.move(*page.evaluate(CELL, [6, 1]))
    frame(page)
    lit = page.evaluate(
        "[...document.querySelectorAll('.lit .t:not([display=none]).on')]"
        ".filter(n => !n.matches('.rule')).map(n => n.spot?.t ?? 'row')"
    )
    rows = Playground(**state_of(page)).routing.token_index.tolist().count(6)
    assert lit == ["row", *[6] * rows, "row", 6]
    mark = page.locator(".plot").first.locator("> g:nth-of-type(3) .t").nth(3)
    token = mark.evaluate("g => g.spot.t")
    mark.hover()
    frame(page)
    assert page.evaluate("playground.spot.t") == token
    page.mouse.move(5, 5)
    frame(page)
    assert page.locator(".lit").count() == 0


def test_pointing_at_a_row_shows_its_group(open_page):
    page = open_page(router="switch", group_size=8, text=LONG)
    heading = page.locator(".plot text", has_text="Buffers, group")
    assert heading.first.text_content().startswith("Buffers, group 1 of 8")
    page.mouse.move(*page.evaluate(CELL, [20, 1]))
    frame(page)
    frame(page)
    assert heading.first.text_content().startswith("Buffers, group 3 of 8")
    state = Playground(**state_of(page))
    compare(page.evaluate(READ)[0], state.routing, 64, 2)


def test_the_copied_call_makes_this_state(open_page):
    options = {"permissions": ["clipboard-read", "clipboard-write"]}
    page = open_page(options=options, router="gshard")
    slider(page, "text").fill('Say "no" \\ and\tno é漢')
    slider(page, "capacity_factor").press("End")
    slider(page, "temperature").press("ArrowLeft")
    page.get_by_role("button", name="lock").click()
    page.locator("select").select_option("noisy_top_k")
    slider(page, "noise").press("ArrowRight")
    page.mouse.click(*page.evaluate(CELL, [1, 2]))
    page.get_by_role("button", name="copy as Python").click()
    call = page.evaluate("navigator.clipboard.readText()")
    assert call_to_state(call) == state_of(page)
    assert call == Playground(**state_of(page)).call
    field = page.get_by_label("Python call")
    assert field.input_value() == call
    selected = field.evaluate("f => f.value.slice(f.selectionStart, f.selectionEnd)")
    assert selected == call and field.evaluate("f => f === document.activeElement")


TIMER = """() => { window.times = []; addEventListener('keydown', e =>
  requestAnimationFrame(() => { const c = new MessageChannel();
    c.port1.onmessage = () => times.push(performance.now() - e.timeStamp);
    c.port2.postMessage(0) }), true) }"""


@pytest.mark.parametrize(
    "text, num_experts, promised", [(SIXTEEN, 8, 40), (LONG, 16, 80)]
)
def test_a_key_press_is_painted_in_time(
    open_page, record_property, text, num_experts, promised
):
    page = open_page(router="gshard", text=text, num_experts=num_experts)
    page.evaluate(TIMER)
    control = slider(page, "capacity_factor")
    control.press("Home")
    page.wait_for_timeout(300)
    page.evaluate("times.length = 0")
    pictures = set()
    for step in range(20):
        page.keyboard.press("ArrowRight" if step < 14 else "ArrowLeft")
        page.wait_for_timeout(200)
        pictures.add(str(page.evaluate(READ)[0]["slots"]))
    times = page.evaluate("times")
    median = statistics.median(times)
    print(f"median {median:.0f} ms, {min(times):.0f} to {max(times):.0f}")
    record_property(f"playground_ms_{num_experts}", round(median))
    assert len(times) == 20 and len(pictures) >= 10
    assert median <= 2.5 * promised


def test_a_drag_settles_and_makes_no_nodes(open_page, record_property):
    page = open_page(router="gshard", text=LONG, num_experts=16)
    drag = """async () => {
      const input = document.querySelector('[data-key=capacity_factor] input');
      const go = value => { input.value = value;
        input.dispatchEvent(new Event('input', { bubbles: true })) };
      const wait = ms => new Promise(done => setTimeout(done, ms));
      // what is seen for the first time may add nodes, the same again adds none
      for (let i = 0; i < 10; i++) { go(1 + i); await wait(40) }
      await wait(400);
      let added = 0, last = 0;
      new MutationObserver(all => { last = performance.now();
        added += all.filter(m => m.target.closest('.plot'))
          .reduce((n, m) => n + [...m.addedNodes].filter(a => a.tagName).length, 0) })
        .observe(document.querySelector('.columns'),
          { childList: true, attributes: true, subtree: true });
      for (let i = 0; i < 20; i++) { go(1 + i % 10); await wait(12) }
      const end = performance.now();
      while (performance.now() < end + 600
        && document.getAnimations().length) await wait(5);
      return { added, settled: Math.max(last, performance.now()) - end,
        shown: playground.pictures[0].now.capacity } }"""
    result = page.evaluate(drag)
    print(f"settled after {result['settled']:.0f} ms")
    record_property("playground_settled_ms", round(result["settled"]))
    assert result["added"] == 0
    assert result["settled"] <= 500  # 200 are promised on a quiet machine
    assert result["shown"] == Playground(**state_of(page)).routing.capacity


def test_marks_glide_unless_motion_is_to_be_reduced(open_page):
    move = """() => { playground.change({ capacity_factor: 2 }, false);
      return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(
        () => done(document.getAnimations().length)))) }"""
    assert open_page(router="gshard").evaluate(move) > 0
    calm = open_page(router="gshard", options={"reduced_motion": "reduce"})
    assert calm.evaluate(move) == 0


# Words and marks that lie on each other, and what sticks out of the page.
OVERLAPS = """() => {
  const found = [];
  const shown = node => !node.closest('[display=none]');
  const box = node => node.getBoundingClientRect();
  const meet = (a, b, by) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > by
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > by;
  for (const svg of document.querySelectorAll('.plot')) {
    if (!svg.clientWidth) continue;
    const all = [...svg.querySelectorAll('text')]
      .filter(n => shown(n) && n.textContent);
    const boxes = all.map(box);
    all.forEach((n, i) => all.slice(i + 1).forEach((other, j) => {
      if (meet(boxes[i], boxes[i + 1 + j], 2.5))
        found.push(`${n.textContent} | ${other.textContent}`) }));
    const queue = [...svg.querySelectorAll(':scope > g:nth-of-type(3) > .t')]
      .filter(shown).map(g => box(g.firstChild));
    queue.forEach((a, i) => queue.slice(i + 1).forEach(b =>
      meet(a, b, 1.5) && found.push(`marks at ${a.left} ${a.top}`)));
    const outer = box(svg);
    for (const b of [...boxes, ...queue])
      if (b.right > outer.right + 1 || b.left < outer.left - 1
        || b.bottom > outer.bottom + 1) found.push(`out at ${b.left} ${b.top}`);
  }
  const parts = [...document.querySelectorAll(
    '.bar label, .moe-playground button, .columns > div, .line, .legend')]
    .filter(n => n.clientWidth).map(box);
  parts.forEach((a, i) => parts.slice(i + 1).forEach(b =>
    meet(a, b, 0.5) && found.push(`controls at ${a.left} ${a.top}`)));
  for (const span of document.querySelectorAll('.bar span'))
    if (span.scrollWidth > span.clientWidth + 1) found.push(span.textContent);
  if (document.documentElement.scrollWidth > innerWidth) found.push('scrolls sideways');
  return found }"""


@pytest.mark.parametrize("width, scale", [(390, 1), (1024, 1), (512, 2), (750, 1)])
def test_nothing_overlaps(open_page, width, scale):
    page = open_page(width, options={"device_scale_factor": scale})
    for state in (
        {"router": "gshard"},
        {"router": "gshard", "num_experts": 16, "capacity_factor": 0.25},
        {"router": "gshard", "num_experts": 2, "capacity_factor": 4},
        {"router": "softmax_gate", "num_experts": 16, "text": LONG},
        {"router": "switch", "num_experts": 16, "text": LONG, "group_size": 8},
        {"router": "expert_choice", "num_experts": 16, "text": LONG},
        {"router": "hash", "num_experts": 2, "text": "One"},
        {"router": "top_k", "text": LONG, "top_k": 8},
        {"router": "gshard", "text": LONG, "locked": {"router": "expert_choice"}},
        {"router": "switch", "text": "incomprehensibilities " * 30, "num_experts": 4},
    ):
        full = Playground(**{"text": SIXTEEN, **state}).state
        page.evaluate("state => playground.change(state, false)", full)
        frame(page)
        page.wait_for_function("!document.getAnimations().length")
        assert page.evaluate(OVERLAPS) == [], state


@pytest.mark.parametrize("theme, fill", [("light", "#7e1f26"), ("dark", "#f0713c")])
def test_the_colours_follow_the_page(open_page, theme, fill):
    page = open_page(theme=theme)
    read = "getComputedStyle(document.querySelector('.moe-playground'))"
    colour = f"{read}.getPropertyValue('--e0')"
    mark = "getComputedStyle(document.querySelector('.plot .solid.x0')).fill"
    assert page.evaluate(colour) == fill
    before = page.evaluate(mark)
    other = PAPER["light" if theme == "dark" else "dark"]
    page.evaluate(
        "([bg, fg]) => { document.documentElement.style.setProperty('--bg', bg);"
        "document.documentElement.style.setProperty('--fg', fg) }",
        list(other.values()),
    )
    frame(page)
    assert page.evaluate(colour) != fill and page.evaluate(mark) != before


def test_two_on_a_page_do_not_disturb_each_other(open_page):
    page = open_page(router="switch")
    page.evaluate(
        "async () => { const { mount } = await import('./playground.js');"
        "const data = JSON.parse(document.getElementById('data').textContent);"
        "const el = document.body.appendChild(document.createElement('div'));"
        "window.other = mount(el, data) }"
    )
    page.wait_for_function("document.querySelectorAll('[data-ready]').length === 2")
    slider(page, "capacity_factor").first.press("End")
    factors = "[playground, other].map(p => p.state.capacity_factor)"
    assert page.evaluate(factors) == [None, 1.25]
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(n => n.id)")
    assert len(ids) == len(set(ids))


def test_without_a_kernel_one_s_own_router_is_a_picture(open_page):
    page = open_page(router=MySwitch())
    playground = Playground(MySwitch(), SIXTEEN)
    compare(page.evaluate(READ)[0], playground.routing, 16, 0)
    assert "your own: MySwitch" in page.locator(".about").first.inner_text()
    for control in page.locator(".bar input, .bar select").all():
        assert control.is_disabled()
        title = control.locator("..").get_attribute("title")
        assert title == "this needs a running kernel"


FAKE_MODEL = """async data => {
  const { default: widget } = await import('./playground.js');
  const { state, pushed, ...rest } = data;
  const values = { data: rest, state, pushed }, on = {};
  window.sent = [];
  window.model = { get: k => values[k], on: (k, f) => (on[k] = f),
    off: k => delete on[k], save_changes: () => sent.push(values.state),
    set(k, v) { values[k] = v; on['change:' + k]?.() } };
  window.on = on;
  const el = document.body.appendChild(document.createElement('div'));
  el.id = 'view';
  window.close = widget.render({ model, el }) }"""


def test_the_widget_and_its_model_follow_each_other(open_page):
    """anywidget's render, with a stand-in for the model of the kernel."""
    page = open_page()
    data = data_of(router=MySwitch())
    page.evaluate(FAKE_MODEL, data)
    view = page.locator("#view")
    view.locator("[data-ready]").wait_for()
    view.locator("[data-key=temperature] input").press("ArrowRight")
    frame(page)
    assert page.evaluate("sent.map(s => s.temperature)") == [1.25]
    # one's own router: the picture waits for what the kernel pushes
    label = view.locator(".plot").first
    before = label.get_attribute("aria-label")
    twin = Playground(MySwitch(), text="One two three", temperature=1.25)
    page.evaluate("pushed => model.set('pushed', pushed)", twin.pushed)
    frame(page)
    assert label.get_attribute("aria-label") != before
    error = {**twin.pushed, "error": "KeyError in your router: 'a'"}
    page.evaluate("pushed => model.set('pushed', pushed)", error)
    frame(page)
    assert "KeyError in your router: 'a'" in view.locator(".about").first.inner_text()
    # what the kernel sets is shown, and not sent back
    state = {**page.evaluate("model.get('state')"), "router": "gshard", "top_k": 3}
    page.evaluate("state => model.set('state', state)", state)
    frame(page)
    assert view.locator("select").input_value() == "gshard"
    assert page.evaluate("sent.length") == 1
    page.evaluate("window.close()")
    assert page.evaluate(
        "[document.getElementById('view').children.length, Object.keys(on).length]"
    ) == [0, 0]
