// Player: a stored row of pictures with a slider (the schema stands in scene.py).
//
//   export default { render }   a view of the widget `Player` (anywidget)
//   export mount(el, scene)     the same view in a page without a kernel
//
// Every state is in the scene, so nothing here computes or asks for anything: a state
// is a list of layers, and drawing one changes the attributes of nodes that stay.

const SIDE_BY_SIDE = 620; // px of width from which panels stand beside each other
const GAP = 30; // px between panels
const STYLE = `
.moe-player{--accent:#d4003f} .moe-player.dark{--accent:#ff5470}
.moe-player svg.plot{display:block;width:100%;margin:12px 0 4px;border-radius:4px}
.moe-player .tick{fill:var(--muted);font-variant-numeric:tabular-nums}
.moe-player .grid{stroke:var(--grid)} .moe-player .axis{stroke:var(--rule)}
.moe-player .halo{paint-order:stroke;stroke:var(--paper);stroke-width:3px;font-size:12px}
.moe-player .handle{cursor:grab;touch-action:none} .moe-player .handle.held{cursor:grabbing}
.moe-player .legend span{display:inline-flex;align-items:center;gap:6px}
.moe-player .legend svg{flex:none}
.moe-player .bar{gap:8px 20px;margin:8px 0 6px}
.moe-player .slide{display:flex;align-items:center;gap:10px;flex:1 1 300px;min-width:0;
  max-width:640px}
.moe-player input[type=range]{flex:1 1 120px}
.moe-player output{font-weight:650;font-variant-numeric:tabular-nums;white-space:nowrap}
.moe-player input:focus-visible+span{outline:2px solid var(--focus);outline-offset:2px}
.moe-player button{flex:none;width:32px;padding:0}
.moe-player button svg{display:block;margin:auto}
.moe-player .choice{display:flex;align-items:center;gap:10px;min-width:0}
.moe-player .choice>div{display:flex;flex-wrap:wrap;border:1px solid var(--rule);
  border-radius:8px}
.moe-player .choice label{position:relative;cursor:pointer;margin:0}
.moe-player .choice input{position:absolute;opacity:0;inset:0;margin:0;cursor:pointer}
.moe-player .choice label span{display:block;padding:4px 12px;border-radius:7px}
.moe-player .choice input:checked+span{background:var(--ink);color:var(--paper)}
.moe-player input[type=range]{border-radius:6px}
.moe-player .readout b{display:inline-block}
`;

// ---- small helpers ---------------------------------------------------------------
const at = (v, i) => (Array.isArray(v) ? v[i] : v);
const unpack = (text) => text?.replace(/(.)\{(\d+)\}/g, (_, c, n) => c.repeat(+n)); // "0{3}" is "000"
function twoLines(text = "", width, size, weight) {
  const words = text.split(" ");
  let n = words.length;
  while (n > 1 && textWidth(words.slice(0, n).join(" "), size, weight) > width) n--;
  return [words.slice(0, n).join(" "), words.slice(n).join(" ")]
    .filter(Boolean).map((line) => fit(line, width, size, weight));
}

function niceTicks([a, b], count) {
  const [low, high] = [Math.min(a, b), Math.max(a, b)];
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((s) => s * power >= raw * 0.999);
  const digits = clamp(-Math.floor(Math.log10(step) + 1e-9), 0, 6);
  const list = [];
  for (let k = Math.ceil(low / step - 1e-6); k * step <= high + step * 1e-6; k++) {
    const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
    list.push([k * step, (k * step + 0).toLocaleString("en", options).replace("-", "−")]);
  }
  return list;
}
const ticksOf = (axis, count) =>
  axis.ticks ? axis.ticks.map((t) => (Array.isArray(t) ? t : [t, String(t)]))
    : niceTicks(axis.range, count);

// ---- layers ----------------------------------------------------------------------
// Each takes its keyed nodes, the layer and the panel's frame (scales and pixel box).
MARKS.triangle = (x, y, r) =>
  `M${x} ${px(y - 1.2 * r)}l${1.15 * r} ${2 * r}h${-2.3 * r}Z`;
const polyline = (xs, ys, frame) =>
  xs.map((x, i) => `${i ? "L" : "M"}${px(frame.x(x))} ${px(frame.y(ys[i]))}`).join("");

// The last point of a line that lies in the panel, for its label.
function lineEnd(layer, frame) {
  const [l, r, t, b] = [frame.left, frame.right, frame.top, frame.bottom];
  for (let i = layer.x.length - 1; i >= 0; i--) {
    const [x, y] = [frame.x(layer.x[i]), frame.y(layer.y[i])];
    if (x >= l - 0.5 && x <= r + 0.5 && y >= t - 0.5 && y <= b + 0.5) return { x, y };
    if (!i) return null;
    // Liang and Barsky: the part of the segment (i, i-1) inside the box, from i's end.
    const [dx, dy] = [frame.x(layer.x[i - 1]) - x, frame.y(layer.y[i - 1]) - y];
    let [enter, leave] = [0, 1];
    for (const [p, q] of [[-dx, x - l], [dx, r - x], [-dy, y - t], [dy, b - y]]) {
      if (p === 0) { if (q < 0) leave = -1; }
      else if (p < 0) enter = Math.max(enter, q / p);
      else leave = Math.min(leave, q / p);
    }
    if (enter <= leave) return { x: x + enter * dx, y: y + enter * dy };
  }
  return null;
}

const LAYERS = {
  // Cells of equal owner and strength become one path; edges sit on whole pixels.
  regions(layer, frame, node, badges) {
    const { nx, ny } = layer;
    const [owner, strength] = [unpack(layer.owner), unpack(layer.strength)];
    const edges = ([a, b], n, scale) =>
      Array.from({ length: n + 1 }, (_, k) => Math.round(scale(a + ((b - a) * k) / n)));
    const [ex, ey] = [edges(layer.x, nx, frame.x), edges(layer.y, ny, frame.y)];
    const look = (k) => owner[k] + (strength?.[k] ?? "9");
    const shapes = new Map();
    const sums = new Map(); // owner -> [cells, sum of i, sum of j], for its letter
    let border = "";
    for (let j = 0; j < ny; j++) {
      for (let i = 0, end; i < nx; i = end) {
        const k = j * nx + i;
        for (end = i + 1; end < nx && look(j * nx + end) === look(k); ) end++;
        const d = `M${ex[i]} ${ey[j]}H${ex[end]}V${ey[j + 1]}H${ex[i]}Z`;
        shapes.set(look(k), (shapes.get(look(k)) ?? "") + d);
        if (end < nx && owner[k] !== owner[j * nx + end]) border += `M${ex[end]} ${ey[j]}V${ey[j + 1]}`;
        for (let m = i; j && m < end; m++) {
          if (owner[k] !== owner[k - nx + m - i]) border += `M${ex[m]} ${ey[j]}H${ex[m + 1]}`;
        }
        const [n, si, sj] = sums.get(owner[k]) ?? [0, 0, 0];
        sums.set(owner[k], [n + end - i, si + ((end - i) * (end + i - 1)) / 2, sj + (end - i) * j]);
      }
    }
    sums.delete("."); // nobody's
    const crisp = { "shape-rendering": "crispEdges", "clip-path": frame.clip };
    for (const [key, d] of shapes) {
      if (key[0] !== ".") node(key, "path", { d, fill: paint(parseInt(key[0], 36)),
        "fill-opacity": 0.04 + 0.4 * (+key[1] / 9), ...crisp });
    }
    const line = node("border", "path", { d: border || "M0 0", stroke: "var(--rule)", ...crisp });
    if (line.nextSibling) line.parentNode.append(line); // above looks that came later
    if (layer.letters === false) return;
    for (const [who, [n, si, sj]] of sums) { // at the own cell nearest to the middle
      let best = [Infinity];
      for (let k = 0; k < nx * ny; k++) {
        const far = owner[k] === who ? ((k % nx) - si / n) ** 2 + (Math.floor(k / nx) - sj / n) ** 2 : Infinity;
        if (far < best[0]) best = [far, k % nx, Math.floor(k / nx)];
      }
      const color = parseInt(who, 36);
      badges.push({ x: (ex[best[1]] + ex[best[1] + 1]) / 2, y: (ey[best[2]] + ey[best[2] + 1]) / 2,
        text: letter(color), color });
    }
  },
  line(layer, frame, node, badges) {
    node("line", "path", { d: polyline(layer.x, layer.y, frame) || "M0 0", fill: "none",
      stroke: paint(layer.color), "stroke-width": layer.width ?? 2,
      "stroke-dasharray": layer.dash ? "6 4" : "none", "stroke-linejoin": "round",
      "clip-path": layer.clip === false ? "none" : frame.clip });
    const end = layer.label && lineEnd(layer, frame);
    if (end) badges.push({ ...end, text: layer.label, color: layer.color });
  },
  band(layer, frame, node) {
    const back = polyline([...layer.x].reverse(), [...layer.high].reverse(), frame);
    node("band", "path", { d: polyline(layer.x, layer.low, frame) + back.replace("M", "L") + "Z",
      fill: paint(layer.color), "fill-opacity": layer.opacity ?? 0.2, "clip-path": frame.clip });
  },
  // Points of one look become one path, in the order in which the looks first occur.
  points(layer, frame, node) {
    const looks = new Map();
    layer.x.forEach((value, i) => {
      const [x, y] = [px(frame.x(value)), px(frame.y(layer.y[i]))];
      if (x < frame.left - 1 || x > frame.right + 1 || y < frame.top - 1 || y > frame.bottom + 1) return;
      const size = at(layer.size, i) ?? 4;
      // The halo keeps marks apart; around small, crowded ones it would be all one sees.
      const fill = at(layer.hollow, i) ? "hollow" : size < 4 ? "bare" : "halo";
      const key = `${at(layer.color, i)}|${fill}`;
      const mark = MARKS[at(layer.shape, i) ?? "disc"](x, y, size);
      if (!looks.has(key)) looks.set(key, []);
      looks.get(key).push(mark);
    });
    let order = 0;
    for (const [key, marks] of looks) {
      const [name, fill] = key.split("|");
      const color = paint(/^\d+$/.test(name) ? +name : name);
      node(order++, "path", { d: marks.join(""), opacity: layer.opacity ?? 1,
        fill: fill === "hollow" ? "var(--paper)" : color,
        stroke: { hollow: color, bare: "none", halo: "var(--paper)" }[fill],
        "stroke-width": fill === "hollow" ? 1.8 : 1 });
    }
  },
  bars(layer, frame, node) {
    const xs = layer.x.map(frame.x);
    const sorted = [...xs].sort((a, b) => a - b);
    const steps = sorted.slice(1).map((v, i) => v - sorted[i]);
    const step = Math.min(...steps, xs.length > 1 ? Infinity : frame.right - frame.left);
    const base = clamp(frame.y(0), frame.top, frame.bottom);
    xs.forEach((x, i) => {
      const tip = clamp(frame.y(layer.value[i]), frame.top, frame.bottom);
      const color = at(layer.color, i);
      const wide = Math.min(0.68 * step, 64);
      node(`bar${i}`, "rect", { x: px(x - wide / 2), width: px(wide), rx: 2,
        y: px(Math.min(tip, base)), height: px(Math.abs(base - tip)), fill: paint(color) });
      const text = layer.label?.[i];
      if (!text) return;
      const y = frame.bottom + 14;
      if (text.length > 2 || typeof color !== "number") {
        twoLines(text, step - 4, 11).forEach((line, n) => node(`text${i}.${n}`, "text",
          { x: px(x), y: y + 4 + 13 * n, class: "tick", "text-anchor": "middle" }, line));
      } else {
        const side = Math.min(16, step - 1);
        node(`box${i}`, "rect", { x: px(x - side / 2), y: y - 8, width: px(side), height: 16, rx: 4,
          fill: paint(color) });
        node(`text${i}`, "text", { x: px(x), y: y + 4, class: "letter", style: `fill:var(--t${color % 8})` }, text);
      }
    });
  },
  text(layer, frame, node) {
    const width = textWidth(layer.text, 12);
    const anchor = layer.anchor ?? "start";
    const before = { start: 0, middle: width / 2, end: width }[anchor];
    const x = clamp(frame.x(layer.x), frame.left + before + 4, frame.right - width + before - 4);
    const y = clamp(frame.y(layer.y) + 4, frame.top + 12, frame.bottom - 5);
    node("text", "text", { x: px(x), y: px(y), class: "halo", "text-anchor": anchor,
      style: `fill:${paint(layer.color ?? "ink")}` }, layer.text);
  },
};

// Badges keep inside the panel and off each other: pushed down, then up from the floor.
function placeBadges(badges, frame) {
  for (const b of badges) {
    b.half = Math.max(8, textWidth(b.text, 11, 700) / 2 + 5);
    b.x = clamp(b.x, frame.left + b.half, frame.right - b.half);
    b.y = clamp(b.y, frame.top + 10, frame.bottom - 10);
  }
  const sorted = [...badges].sort((a, b) => a.y - b.y);
  const near = (a, b) => Math.abs(a.x - b.x) < a.half + b.half + 2;
  sorted.forEach((b, i) => sorted.slice(0, i).forEach((a) => {
    if (near(a, b)) b.y = Math.max(b.y, a.y + 18);
  }));
  for (let i = sorted.length - 1; i >= 0; i--) {
    sorted[i].y = Math.min(sorted[i].y, frame.bottom - 10);
    for (const below of sorted.slice(i + 1)) {
      if (near(sorted[i], below)) sorted[i].y = Math.min(sorted[i].y, below.y - 18);
    }
  }
}

// ---- one panel -------------------------------------------------------------------
class Panel {
  constructor(svg, spec, id) {
    Object.assign(this, { spec, id });
    this.group = draw(svg, "g");
    this.clipRect = draw(draw(this.group, "clipPath", { id }), "rect");
    this.axes = new Nodes(draw(this.group, "g"));
    [this.back, this.live, this.front] = [0, 1, 2].map(() => draw(this.group, "g"));
    this.badges = new Nodes(draw(this.group, "g"));
    this.slots = new Map(); // group element -> its layers' [type, Nodes]
    this.named = (spec.layers ?? []).some((l) => l.type === "bars" && l.label);
  }
  // Bars with labels stand where the x axis has its ticks.
  expect(layers) {
    this.named ||= layers.some((l) => l.type === "bars" && l.label);
  }
  leftMargin() {
    const ticks = [2, 3, 4, 5, 6].flatMap((count) => ticksOf(this.spec.y, count));
    return Math.ceil(Math.max(14, ...ticks.map(([, text]) => textWidth(text)))) + 12;
  }
  titleLines(width) {
    return twoLines(this.spec.title, width, 13, 650);
  }
  layout(x, y, width, height, head, foot) {
    const { spec } = this;
    const f = { left: Math.round(x + this.leftMargin()), right: Math.round(x + width - 12),
      top: Math.round(y + head), bottom: Math.round(y + height - foot), clip: `url(#${this.id})` };
    const scale = ([a, b], from, to) => (v) => from + ((v - a) / (b - a)) * (to - from);
    f.x = scale(spec.x.range, f.left, f.right);
    f.y = scale(spec.y.range, f.bottom, f.top);
    this.frame = f;
    put(this.clipRect, { x: f.left, y: f.top, width: f.right - f.left, height: f.bottom - f.top });
    let xs = this.named ? [] : ticksOf(spec.x, clamp((f.right - f.left) / 70, 2, 8));
    const room = (list) => list.reduce((sum, [, text]) => sum + textWidth(text) + 12, 0);
    while (room(xs) > f.right - f.left && xs.length > 2) xs = xs.filter((_, i) => i % 2 === 0);
    const ys = ticksOf(spec.y, clamp((f.bottom - f.top) / 46, 2, 6));
    this.axes.update((node) => {
      ys.forEach(([v, text], i) => {
        node(`gy${i}`, "path", { d: `M${f.left} ${px(f.y(v))}H${f.right}`, class: "grid" });
        node(`ty${i}`, "text", { x: f.left - 6, y: px(f.y(v) + 4), class: "tick", "text-anchor": "end" }, text);
      });
      xs.forEach(([v, text], i) => {
        node(`gx${i}`, "path", { d: `M${px(f.x(v))} ${f.top}V${f.bottom}`, class: "grid" });
        const tx = Math.min(f.x(v), x + width - textWidth(text) / 2);
        node(`tx${i}`, "text", { x: px(tx), y: f.bottom + 16, class: "tick", "text-anchor": "middle" }, text);
      });
      node("floor", "path", { d: `M${f.left} ${f.bottom + 0.5}H${f.right}`, class: "axis" });
      this.titleLines(width).forEach((line, i) =>
        node(`title${i}`, "text", { x, y: y + 13 + 17 * i, class: "head" }, line));
      const unit = (key, text, attrs) =>
        text && node(key, "text", { class: "unit", ...attrs }, fit(text, width - 12, 12));
      unit("ylabel", spec.y.label, { x, y: y + head - 14 });
      unit("xlabel", spec.x.label, { x: f.right, y: f.bottom + 36, "text-anchor": "end" });
    });
  }
  layers(group, list, badges) {
    if (!this.slots.has(group)) this.slots.set(group, []);
    const slots = this.slots.get(group);
    for (let i = 0; i < Math.max(list.length, slots.length); i++) {
      slots[i] ??= { nodes: new Nodes(draw(group, "g")) };
      if (list[i] && slots[i].type !== list[i].type) {
        slots[i].nodes.group.replaceChildren();
        slots[i] = { type: list[i].type, nodes: new Nodes(slots[i].nodes.group) };
      }
      slots[i].nodes.update((node) => {
        if (list[i]) LAYERS[list[i].type](list[i], this.frame, node, badges);
      });
    }
  }
  draw(live) {
    const badges = [];
    const fixed = this.spec.layers ?? [];
    this.layers(this.back, fixed.filter((l) => !l.front), badges);
    this.layers(this.live, live.filter((l) => !l.front), badges);
    this.layers(this.front, [...fixed, ...live].filter((l) => l.front), badges);
    placeBadges(badges, this.frame);
    this.badges.update((node) => badges.forEach((b, i) => {
      const expert = typeof b.color === "number";
      node(`box${i}`, "rect", { x: px(b.x - b.half), y: px(b.y - 8), width: px(2 * b.half), height: 16, rx: 4,
        fill: paint(b.color), stroke: "var(--paper)" });
      node(`text${i}`, "text", { x: px(b.x), y: px(b.y + 4), class: "letter",
        style: `fill:${expert ? `var(--t${b.color % 8})` : "var(--paper)"}` }, b.text);
    }));
  }
}

// ---- the player ------------------------------------------------------------------
function legendItem(parent, item) {
  const span = html(parent, "span");
  const expert = typeof item.color === "number";
  const color = paint(item.color ?? "ink");
  const sample = (width) => draw(span, "svg", { width, height: 16, "aria-hidden": "true" });
  if (item.line) {
    draw(sample(24), "path", { d: "M1 8H23", stroke: color, "stroke-width": 2,
      "stroke-dasharray": item.line === "dash" ? "6 4" : "none" });
  } else if (item.shape && item.shape !== "badge") {
    draw(sample(14), "path", { d: MARKS[item.shape](7, 8, 4.5), fill: item.hollow ? "none" : color,
      stroke: item.hollow ? color : "none", "stroke-width": 1.8 });
  }
  if (expert && item.letter !== false) { // an expert is never shown by colour alone
    const badge = sample(16);
    draw(badge, "rect", { width: 16, height: 16, rx: 4, fill: color });
    draw(badge, "text", { x: 8, y: 12, class: "letter", style: `fill:var(--t${item.color % 8})` })
      .textContent = letter(item.color);
  }
  html(span, "span", {}, item.text);
}

const ICONS = { play: "M3 1L13 7L3 13Z", pause: "M2.5 1h3.4v12h-3.4ZM8.1 1h3.4v12h-3.4Z" };
const KEYS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10,
  Home: -Infinity, End: Infinity };

class Player extends View {
  constructor(el, scene, { state, variant = 0, onChange = () => {} } = {}) {
    super(el, "moe-player", STYLE);
    Object.assign(this, { scene, onChange, variant });
    this.values = scene.slider.values;
    this.state = clamp(state ?? scene.start ?? 0, 0, this.values.length - 1);
    html(this.root, "div", { class: "title" }, scene.title);
    if (scene.caption) html(this.root, "div", { class: "muted" }, scene.caption);
    this.buildPlot();
    if (scene.legend?.length) {
      const legend = html(this.root, "div", { class: "row legend muted" });
      scene.legend.forEach((item) => legendItem(legend, item));
    }
    this.buildControls();
    this.readout = html(this.root, "div", { class: "row readout", "aria-live": "polite" });
    this.note = html(this.root, "div", { class: "muted" });
    this.watch();
  }

  get states() { return this.scene.states[this.variant]; }
  get now() { return this.states[this.state]; }
  layersOf(state, panel) { // a number stands for a list in scene.shared
    return state.panels[panel].flatMap((l) => (typeof l === "number" ? this.scene.shared[l] : [l]));
  }

  buildPlot() {
    const { scene } = this;
    this.svg = draw(this.root, "svg", { class: "plot", role: "img", tabindex: 0,
      "aria-label": scene.alt ?? scene.title, "aria-keyshortcuts": "ArrowLeft ArrowRight Home End" });
    this.panels = scene.panels.map((spec, i) => new Panel(this.svg, spec, `${this.id}-clip${i}`));
    this.panels.forEach((panel, i) => panel.expect(this.layersOf(scene.states[0][0], i)));
    this.svg.addEventListener("keydown", (event) => {
      if (!(event.key in KEYS) || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      event.stopPropagation(); // JupyterLab and mdBook would act on the arrows as well
      this.pause();
      this.go(this.state + KEYS[event.key]);
    });
    this.svg.addEventListener("pointerdown", () => this.svg.focus({ preventScroll: true }));
    this.dots = draw(this.svg, "path", { fill: "var(--rule)" });
    const grab = this.handle = draw(this.svg, "g", { class: "handle" });
    draw(grab, "circle", { r: 22, fill: "transparent" });
    draw(grab, "circle", { r: 9, fill: "var(--paper)", stroke: "var(--ink)", "stroke-width": 2.5 });
    draw(grab, "circle", { r: 3.5, fill: "var(--ink)" });
    grab.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      grab.setPointerCapture(event.pointerId);
      grab.classList.add("held");
      this.pause();
    });
    grab.addEventListener("pointermove", (event) => {
      if (grab.classList.contains("held")) this.dragTo(event);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      grab.addEventListener(end, () => grab.classList.remove("held"));
    }
  }

  buildControls() {
    const { scene } = this;
    const bar = html(this.root, "div", { class: "row bar" });
    bar.addEventListener("keydown", (event) => event.stopPropagation());
    const slide = html(bar, "div", { class: "slide" });
    if (scene.play) {
      this.button = html(slide, "button", { type: "button" });
      this.icon = draw(draw(this.button, "svg", { width: 14, height: 14 }), "path", { fill: "currentColor" });
      this.button.addEventListener("click", () => (this.timer ? this.pause() : this.play()));
      this.pause();
    }
    this.showState = this.addSlider(slide, scene.slider.label, this.values, (i) => this.go(i));
    if (!scene.variants) return;
    if (scene.variants.slider) {
      const { label, names } = scene.variants;
      const second = html(bar, "div", { class: "slide" });
      this.showVariant = this.addSlider(second, label, names, (i) => this.go(this.state, i));
      return;
    }
    const choice = html(bar, "div", { class: "choice", role: "radiogroup", "aria-label": scene.variants.label });
    html(choice, "span", { class: "muted", "aria-hidden": "true" }, scene.variants.label);
    const box = html(choice, "div");
    this.radios = scene.variants.names.map((name, i) => {
      const label = html(box, "label");
      const radio = html(label, "input", { type: "radio", name: `${this.id}-variant`, value: i });
      html(label, "span", {}, name);
      radio.addEventListener("change", () => this.go(this.state, i));
      return radio;
    });
  }

  // A named slider over texts; answers what sets it.
  addSlider(parent, label, texts, onInput) {
    html(parent, "span", { class: "muted", "aria-hidden": "true" }, label);
    const slider = html(parent, "input", { type: "range", min: 0, max: texts.length - 1, step: 1,
      "aria-label": label });
    slider.addEventListener("input", () => {
      this.pause();
      onInput(+slider.value);
    });
    const widest = Math.max(...texts.map((text) => text.length));
    const value = html(parent, "output", { "aria-hidden": "true", style: `min-width:${widest}ch` });
    return (i) => {
      slider.value = i;
      put(slider, { "aria-valuetext": texts[i] });
      say(value, texts[i]);
    };
  }

  layout() {
    const { width } = this;
    // As many panels in a row as leave each 160 px; on a narrow page one below the other.
    const rows = (size) => Array.from({ length: Math.ceil(this.panels.length / size) },
      (_, i) => this.panels.slice(i * size, (i + 1) * size));
    const weight = (panel) => panel.spec.weight ?? 1;
    const unit = (row) => (width - GAP * (row.length - 1)) / row.reduce((sum, p) => sum + weight(p), 0);
    let perRow = width < SIDE_BY_SIDE ? 1 : this.panels.length;
    while (perRow > 1 && rows(perRow).some((row) => row.some((p) => unit(row) * weight(p) < 160))) perRow--;
    let y = 0;
    for (const row of rows(perRow)) {
      const widths = row.map((panel) => unit(row) * weight(panel));
      const head = 14 + 17 * Math.max(...row.map((p, i) => p.titleLines(widths[i]).length))
        + (row.some((p) => p.spec.y.label) ? 18 : 0);
      const foot = row.some((p) => p.spec.x.label || p.named) ? 42 : 26;
      const height = head + foot + clamp(0.62 * Math.max(...widths), perRow > 1 ? 260 : 190, 340);
      let x = 0;
      row.forEach((panel, i) => {
        panel.layout(x, y, widths[i], height, head, foot);
        x += widths[i] + GAP;
      });
      y += height + 16;
    }
    y -= 16;
    put(this.svg, { height: Math.round(y) });
    this.reserve();
    this.controls();
    this.paint();
  }

  // The lines under the plot get the height of their longest text, so nothing jumps.
  reserve() {
    const all = this.scene.states.flat();
    const numbers = all.map((state) => state.readout ?? []);
    this.wide = [];
    for (const row of numbers) {
      row.forEach(([, value], i) => (this.wide[i] = Math.max(this.wide[i] ?? 1, String(value).length)));
    }
    const longest = (list, size) => list.reduce((a, b) => (size(b) > size(a) ? b : a));
    for (const [node, write] of [
      [this.readout, () => this.numbers(longest(numbers, (row) => row.flat().join("").length))],
      [this.note, () => say(this.note, longest(all.map((s) => s.caption ?? ""), (t) => t.length))],
    ]) {
      node.style.minHeight = "";
      write();
      node.style.minHeight = `${node.offsetHeight}px`;
    }
  }
  numbers(row) {
    while (this.readout.children.length < row.length) {
      const item = html(this.readout, "span");
      html(item, "span", { class: "muted" });
      html(item, "b");
    }
    [...this.readout.children].forEach((item, i) => {
      item.style.display = row[i] ? "" : "none";
      say(item.firstChild, row[i] ? `${row[i][0]} ` : "");
      say(item.lastChild, row[i] ? String(row[i][1]) : "");
      item.lastChild.style.minWidth = `${this.wide[i] ?? 1}ch`;
    });
  }

  // The one way to another state; the picture follows in the next frame.
  go(state, variant = this.variant, tell = true) {
    state = clamp(state, 0, this.values.length - 1);
    if (state === this.state && variant === this.variant) return;
    Object.assign(this, { state, variant });
    this.controls();
    this.frame ??= requestAnimationFrame(() => this.paint());
    if (tell) this.onChange(state, variant);
  }
  controls() {
    this.showState(this.state);
    this.showVariant?.(this.variant);
    this.radios?.forEach((radio, i) => (radio.checked = i === this.variant));
  }
  paint() {
    this.frame = undefined;
    if (!this.width) return;
    this.panels.forEach((panel, i) => panel.draw(this.layersOf(this.now, i)));
    const place = this.now.handle && this.spot(this.now.handle);
    put(this.handle, { display: place ? "inline" : "none" });
    if (place) put(this.handle, { transform: `translate(${px(place.x)} ${px(place.y)})` });
    const stops = place ? this.states.filter((s) => s.handle).map((s) => this.spot(s.handle)) : [];
    put(this.dots, { d: stops.map(({ x, y }) => MARKS.disc(px(x), px(y), 1.5)).join("") || "M0 0" });
    this.numbers(this.now.readout ?? []);
    say(this.note, this.now.caption ?? "");
  }
  spot({ panel, x, y }) {
    const { frame } = this.panels[panel];
    return { x: frame.x(x), y: frame.y(y) };
  }
  dragTo(event) {
    const box = this.svg.getBoundingClientRect();
    const far = this.states.map(({ handle }) => {
      if (!handle) return Infinity;
      const { x, y } = this.spot(handle);
      return Math.hypot(x - event.clientX + box.left, y - event.clientY + box.top);
    });
    this.go(far.indexOf(Math.min(...far)));
  }

  play() {
    if (this.state === this.values.length - 1) this.go(0);
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const wait = Math.max(this.scene.interval_ms ?? 120, calm ? 400 : 0);
    this.timer = setInterval(() => {
      if (!this.root.isConnected) return this.pause();
      this.go(this.state + 1);
      if (this.state === this.values.length - 1) this.pause();
    }, wait);
    this.playing(true);
  }
  pause() {
    clearInterval(this.timer);
    this.timer = undefined;
    if (this.button) this.playing(false);
  }
  playing(on) {
    put(this.button, { "aria-label": on ? "pause" : "play" });
    put(this.icon, { d: ICONS[on ? "pause" : "play"] });
    if (this.readout) put(this.readout, { "aria-live": on ? "off" : "polite" }); // no torrent of numbers
  }
  destroy() {
    this.pause();
    super.destroy();
  }
}

/** Show a scene in `el`; answers the player (go(state, variant), destroy()). */
export function mount(el, scene) {
  return new Player(el, scene);
}

/** The view of the widget: traits scene, state and variant. */
function render({ model, el }) {
  let player;
  const build = () => {
    player?.destroy();
    player = new Player(el, model.get("scene"), { state: model.get("state"), variant: model.get("variant"),
      onChange(state, variant) {
        model.set("state", state);
        model.set("variant", variant);
        model.save_changes();
      } });
  };
  const follow = () => player.go(model.get("state"), model.get("variant"), false);
  build();
  const listeners = { "change:scene": build, "change:state": follow, "change:variant": follow };
  for (const name in listeners) model.on(name, listeners[name]);
  return () => {
    for (const name in listeners) model.off(name, listeners[name]);
    player.destroy();
  };
}
export default { render };
