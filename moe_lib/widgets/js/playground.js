// Routing playground: a sentence, a router, its settings; who goes where is computed here.
//
//   export default { render }   a view of the widget `Playground` (anywidget)
//   export mount(el, data)      the same view in a page without a kernel
//
// data is what playground.py stores: { model, spec, own, state, pushed }; spec has the words
// and the style (playground.css), so that this file stays small.

const { floor, max, min } = Math;
const TOP = 112; // px above the map's rows: headings, load, letters
const OWN = "own"; // the router's name where the reader's own drives the picture

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const slide = (x, y) => ({ style: `transform:translate(${x}px,${y}px)` });
const tone = (expert, name) => ({ class: `x${expert % 8} ${name}` });
const rect = (node, key, x, y, width, height, attrs) =>
  node(key, "rect", { x, y, width, height, ...attrs });
const word = (node, key, x, y, text, name, size = 11) =>
  node(key, "text", { x, y, class: name, "font-size": size }, text);
function badge(node, key, x, y, side, e) {
  rect(node, `${key}box`, x - side / 2, y - side / 2, side, side, tone(e, "solid"));
  word(node, key, x, y + side / 4, letter(e), tone(e, "letter").class, min(11, side - 3));
}
// Shape tells the choice: first, second, later or the expert's; a bar crosses the dropped.
function mark(choice, r, crossed) {
  const [a, b] = choice ? [px(r), 0] : [px(0.7 * r), px(-0.7 * r)];
  return MARKS[["disc", "diamond"][choice] ?? "square"](0, 0, px(choice === 1 ? 0.8 * r : r))
    + (crossed ? `M${-a} ${-b}L${a} ${b}` : "");
}
// As a Python call has them: the arguments that differ from the defaults.
const args = (values, defaults) => Object.keys(defaults).filter((key) => key in values && !same(values[key], defaults[key]))
  .map((key) => `${key}=${key + values[key] === "router" + OWN ? key : python(values[key], defaults)}`).join(", ");
function python(value, defaults) {
  if (value === null) return "None";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  return typeof value === "object" ? `dict(${args(value, defaults)})` : JSON.stringify(value);
}

// ---- the linked pictures of one router ---------------------------------------------
class Picture {
  constructor(view) {
    this.view = view;
    this.box = html(view.columns, "div");
    this.about = html(this.box, "div", { class: "about" });
    this.svg = draw(this.box, "svg", { class: "plot", tabindex: 0, role: "img" });
    [this.sentence, this.frame, this.marks] = range(3).map(() => new Nodes(draw(this.svg, "g")));
    this.cursor = draw(this.svg, "rect", { class: "rule", "stroke-width": 2 });
    this.numbers = html(this.box, "div", { class: "row", "aria-live": "polite" });
    const on = (name, act) => this.svg.addEventListener(name, act);
    on("pointermove", (event) => view.point(this.at(event)));
    on("pointerleave", () => view.point(null));
    on("click", (event) => {
      view.point(this.at(event));
      view.push(event.shiftKey ? -1 : 1);
    });
    on("focus", () => view.point(view.spot ?? { t: 0, e: 0 }));
    on("keydown", (event) => view.key(event));
  }

  // The token at the pointer and, on the map, the expert.
  at({ target, clientX, clientY }) {
    const { left, top } = this.svg.getBoundingClientRect();
    const { mapX, cell, rowH, E, tokens } = this.now;
    const e = floor((clientX - left - mapX) / cell);
    const t = floor((clientY - top - TOP) / rowH);
    return target.parentNode.spot ?? (e < E && t in tokens ? { t, e: max(e, -1) } : null);
  }

  // s: a table (see route) with the tokens, the pushes and the group whose buffers are shown.
  draw(s, width) {
    const { rows, probs, tokens, pushed, capacity, group, numExperts: E } = s;
    const [n, size, wide] = [probs.length, s.groupSize ?? probs.length, width >= 560 + 20 * E];
    const groupOf = (row) => floor(row[0] / size);
    const real = (t) => t < tokens.length;
    const kept = rows.filter((row) => row[5]);
    const per = (list) => range(E).map((e) => list.filter((row) => row[1] === e).length);
    const [demand, load] = [per(rows.filter((row) => real(row[0]))), per(kept)];
    const asked = sum(demand);
    const [fair, most] = [asked / E, max(...demand)];
    const ratio = (most / fair).toFixed(1);
    const cv = Math.sqrt(sum(demand.map((d) => (d - fair) ** 2)) / E) / fair;

    // Where everything stands, in px. A slot's width does not depend on the capacity factor,
    // so that the wall moves.
    const rowH = clamp(floor(620 / n), 15, 26);
    const chipW = clamp(0.3 * width, 96, 150);
    const mapX = chipW + 32;
    const cell = clamp(floor(((wide ? 0.44 * width : width) - mapX) / E), 10, 26);
    const [mapEnd, bottom, middle] = [mapX + E * cell, TOP + n * rowH, rowH / 2 - 1];
    const [left, head, laneTop] = wide ? [max(mapEnd, mapX + 110) + 32, 13, TOP] : [0, bottom + 32, bottom + 78];
    const queue = rows[0][2] < 0 ? min(size, (4 * size) / E)
      : max(...range(n / size).flatMap((g) => per(rows.filter((row) => real(row[0]) && groupOf(row) === g))));
    const room = width - left - 38;
    const slot = min(44, room / [8, 12, 16, 24, 32, 48, 64].find((v) => v >= queue));
    const laneH = clamp(floor((n * rowH) / E), 18, max(24, 1.5 * slot));
    const fits = floor(room / slot + 0.01);
    const slotX = (p) => left + 27 + p * slot;
    const laneY = (e) => laneTop + e * laneH;
    this.now = { ...s, E, groupOf, mapX, cell, rowH };

    // Above the map: its experts' load against the fair share.
    const margin = (node) => {
      [[24, 13, "Sentence", "head"], [mapX, 13, "Token × expert", "head"], [24, 53, "Load", "head"],
        [24, 70, `CV ${cv.toFixed(2)}`, "unit"], [24, 86, `max/mean ${ratio}`, "unit"],
      ].forEach((line, i) => word(node, i, ...line));
      const tall = (value) => (52 * value) / max(most, 1.5 * fair);
      for (const e of range(E)) {
        const [x, w] = [mapX + e * cell + 2, cell - 4];
        rect(node, `load${e}`, x, 86 - tall(load[e]), w, tall(load[e]), tone(e, "solid"));
        rect(node, `over${e}`, x + 0.8, 86 - tall(demand[e]), w - 1.6, tall(demand[e] - load[e]), tone(e, "lost"));
        badge(node, `map${e}`, x + w / 2, 99, min(18, cell - 2), e);
      }
      node("fair", "path", { d: `M${mapX - 8} ${86 - tall(fair)}H${mapEnd}`, class: "rule dash" });
    };

    // The experts' buffers: slots, and the wall where they end.
    const lanes = (node) => {
      const title = `Buffers${n > size ? `, group ${group + 1} of ${n / size}: point at a row for its own` : ""}`;
      word(node, "buffers", left, head, fit(title, width - left, 13, 650), "head");
      const wall = capacity !== null && capacity <= fits;
      const text = capacity === null ? "no wall: nothing is dropped"
        : `capacity C = ${capacity}${wall ? "" : ", beyond the edge"}`;
      const x = wall ? max(slotX(capacity), left + textWidth(text, 13, 650)) : left;
      word(node, "capacity", x, laneTop - 12, text, wall ? "head end" : "head");
      if (wall && x + 70 < width) word(node, "overflow", x + 10, laneTop - 12, "overflow", "unit");
      for (const e of range(E)) {
        badge(node, `lane${e}`, left + 9, laneY(e + 0.5), min(18, laneH - 2), e);
        const taken = kept.filter((row) => row[1] === e && groupOf(row) === group).map((row) => row[3]);
        const boxes = (full) => range(min(capacity, fits)).filter((p) => taken.includes(p) === full).map((p) =>
          `M${px(slotX(p))} ${laneY(e) + 2}h${px(slot - 2)}v${laneH - 4}h${px(2 - slot)}Z`).join("") || "M0 0";
        node(`empty${e}`, "path", { class: "empty", d: boxes(false), fill: `url(#${this.view.id})` });
        node(`full${e}`, "path", { d: boxes(true), ...tone(e, "full") });
      }
      if (wall) node("wall", "path", { class: "rule t on", d: `M0 -6V${E * laneH + 4}`, "stroke-width": 3,
        ...slide(slotX(capacity) + 1, laneTop) });
    };

    // One token: a chip banded by its experts, and its cells of the map.
    const token = (node, t) => {
      const own = rows.filter((row) => row[0] === t);
      const by = own.filter((row) => row[5]).sort((a, b) => b[4] - a[4]);
      const side = min(15, rowH - 4);
      const cells = (d, list) => list.map((e) => `M${mapX + e * cell + d} ${d - 0.5}h${cell - 2 * d}v${
        rowH - 1 - 2 * d}h${2 * d - cell}Z`).join("") || "M0 0";
      word(node, "number", 18, middle + 4, String(t + 1), "small end");
      let x = 24;
      by.slice(0, 4).forEach(([, e, , , weight], i) => {
        const w = (chipW * weight) / sum(by.map((row) => row[4]));
        rect(node, `band${i}`, x, 0, w, rowH - 2, tone(e, "band"));
        x += w;
      });
      rect(node, "chip", 24, 0, chipW, rowH - 2, { class: by[0] ? "chip" : "chip dash" });
      x = 22 + chipW;
      by.slice(0, 2).reverse().forEach((row, i) => {
        badge(node, `on${i}`, x - side / 2, middle, side, row[1]);
        x -= side + 2;
      });
      const fate = !real(t) ? "padding" : by[2] ? `+${by.length - 2}` : by[0] ? "" : own[0] ? "dropped" : "not picked";
      word(node, "fate", x - 2, middle + 4, fate, "small end");
      word(node, "token", 30, middle + 4, fit(tokens[t] ?? "", x - 36 - textWidth(fate, 10), 12), "", 12);
      node("cells", "path", { d: cells(1, range(E)), class: "cells" });
      if (t % size === 0 && t) node("group", "path", { d: `M0 -1H${mapEnd}`, class: "rule" });
      if (!real(t)) return;
      probs[t].forEach((p, e) => rect(node, `p${e}`, mapX + e * cell + 1, 0.5, cell - 2, rowH - 3,
        { "fill-opacity": 0.78 * p ** 0.8, ...tone(e, "solid") }));
      node("pushed", "path", { d: cells(1.5, range(E).filter((e) => pushed[[t, e]])), class: "rule dash" });
      for (const [, e, choice, , weight, isKept] of own) {
        const r = (min(cell, rowH) / 2 - 1.5) * (0.35 + 0.65 * Math.sqrt(isKept ? weight : probs[t][e]));
        node(`mark${e}`, "path", { d: mark(choice, r, !isKept), ...tone(e, isKept ? "kept" : "lost"),
          transform: `translate(${mapX + (e + 0.5) * cell} ${middle})` });
      }
    };

    // A row of the table in its expert's queue.
    const queued = (node, row) => {
      const [t, e, choice, position, , isKept] = row;
      if (!real(t) || groupOf(row) !== group) return;
      const beyond = capacity !== null && position >= capacity ? 8 : 0;
      const g = node(`${t}.${e}`, "g", { class: "t", ...slide(slotX(position + 0.5) + beyond - 1, laneY(e + 0.5)) });
      g.spot ??= { t, e };
      g.shape ??= draw(g, "path");
      g.label ??= draw(g, "text", { y: 4, ...tone(e, "letter") });
      const r = max(0.42 * min(slot, laneH) - 1, 1.6);
      put(g.shape, { d: mark(choice, r, false), ...tone(e, isKept ? "kept" : "lost") });
      say(g.label, slot >= 25 ? String(t + 1) : "");
    };

    put(this.svg, { width, height: max(bottom, laneY(E)) + 8 });
    this.frame.update((node) => [margin, lanes].forEach((part) => part(node)));
    this.sentence.update((node) => range(n).forEach((t) => {
      const g = node(t, "g", { class: "t", ...slide(0, TOP + t * rowH) });
      (g.inside ??= new Nodes(g)).update((inner) => token(inner, t));
    }));
    this.marks.update((node) => rows.forEach((row) => queued(node, row)));
    const slots = (capacity * E * n) / size;
    say(this.about, `${s.title}: ${s.note}`);
    this.numbers.innerHTML = [`${kept.length} / ${asked}</b> assignments kept`,
      `${tokens.length - new Set(kept.map((row) => row[0])).size} / ${tokens.length}</b> tokens without an expert`,
      capacity === null ? "no</b> slots: dropless" : `${slots - kept.length} / ${slots}</b> slots empty`,
      `${ratio}×</b> fair share at the busiest expert (${letter(demand.indexOf(most))})`,
    ].map((text) => `<span><b>${text}</span>`).join(" ");
    put(this.svg, { "aria-label": `${s.title}: ${this.numbers.textContent}. Arrows move, + and - push` });
    this.light(this.view.spot);
  }

  // Fade all tokens but one; frame a cell.
  light(spot) {
    const { mapX, cell, rowH, tokens, E } = this.now;
    this.svg.classList.toggle("lit", !!spot);
    this.sentence.nodes.forEach((g, t) => g.classList.toggle("on", t === spot?.t));
    this.marks.nodes.forEach((g) => g.classList.toggle("on", g.spot.t === spot?.t));
    const { t, e } = spot ?? {};
    const shown = e >= 0 && e < E && t < tokens.length;
    put(this.cursor, shown ? { display: "inline", x: mapX + e * cell, y: TOP + t * rowH - 1, width: cell, height: rowH }
      : { display: "none" });
  }
}

// ---- the playground ----------------------------------------------------------------
const KEYS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const PUSH = { "+": 1, "=": 1, "-": -1 };

class Playground extends View {
  constructor(el, data, send) {
    super(el, "moe-playground", data.spec.style);
    const spec = { ...data.spec }; // tables come as pairs: JSON in notebooks sorts its keys
    for (const key of ["routers", "settings", "defaults", "buttons"]) spec[key] = Object.fromEntries(spec[key]);
    Object.assign(this, data, { spec, send, group: 0 });
    const { routers, settings, buttons } = spec;
    const field = (key, control) => `<label data-key="${key}"><span class="muted">${
      settings[key]?.[0] ?? key}<b></b></span>${control}</label>`;
    html(this.root, "div").innerHTML = `<div class="title">${data.spec.title}</div>
<div class="bar">${field("text", '<input type="text">')}${field("router",
  `<select>${
  Object.keys(routers).filter((name) => name !== OWN || this.own).map((name) =>
    `<option value="${name}">${this.called(name)}</option>`).join("")}</select>`)}${
  Object.keys(settings).map((key) => field(key, '<input type="range" min="0">')).join("")}</div>
<div class="row">${Object.keys(buttons).map((name) =>
  `<button type="button" data-act="${name}">${buttons[name]}</button>`).join("")}</div>
<input type="text" class="call" readonly hidden aria-label="Python call"><div class="line muted" aria-live="polite"></div>
<div class="columns"></div><div class="muted legend">${data.spec.legend}</div>`;
    const find = (css) => this.root.querySelector(css);
    [this.call, this.line, this.columns, this.lock] = [".call", ".line", ".columns", "[data-act]"].map(find);
    this.fields = [...this.root.querySelectorAll("label")];
    for (const node of [".bar", ".row", ".call"].map(find)) node.addEventListener("keydown", (event) => event.stopPropagation());
    find(".bar").addEventListener("input", ({ target }) => {
      const { key } = target.parentNode.dataset;
      this.change({ [key]: settings[key] ? this.values(key)[target.value] : target.value });
    });
    find(".row").addEventListener("click", ({ target }) => this.act(target.dataset.act));
    this.pictures = [new Picture(this), new Picture(this)];
    draw(draw(this.pictures[0].svg, "pattern", { id: this.id, width: 5, height: 5, patternUnits: "userSpaceOnUse",
      patternTransform: "rotate(45)" }), "path", { d: "M0 0V5", stroke: "var(--rule)" });
    this.watch();
  }

  act(name) {
    const { locked, text, seed, nudges, ...kept } = this.state;
    if (name === "lock") this.change({ locked: locked ? null : kept });
    if (name === "undo") this.change({ nudges: [] });
    this.push({ lower: -1, raise: 1 }[name]);
    this.call.hidden = name !== "copy";
    this.call.value = `Playground(${args(this.state, this.spec.defaults)})`;
    if (name !== "copy") return;
    this.call.select(); // for where the clipboard is not to be had
    navigator.clipboard?.writeText(this.call.value).then(() => say(this.line, "copied"), () => {});
  }

  called(router) {
    return this.spec.routers[router][0] + (router === OWN ? `: ${this.own}` : "");
  }
  has(router, key) {
    return this.spec.routers[router][1].includes(key);
  }
  // A slider's values now: k ends at the experts, expert choice has always a capacity.
  values(key) {
    return this.spec.settings[key][1].filter((v) => (key === "top_k" ? v <= this.state.num_experts
      : v !== null || key === "group_size" || this.state.router !== "expert_choice"));
  }

  // The one way to another state; the picture follows in the next frame.
  change(part, tell = true) {
    const state = { ...this.state, ...part };
    if (!tokenize(state.text)[0]) state.text = this.state.text;
    state.top_k = min(state.top_k, state.num_experts);
    if (state.router === "expert_choice") state.capacity_factor ??= this.spec.defaults.capacity_factor;
    this.state = state;
    this.told ||= tell;
    this.frame ??= requestAnimationFrame(() => this.layout());
  }
  push(by) {
    const { t, e } = this.aim ?? {};
    if (!(e >= 0) || !by) return;
    const here = ([a, b]) => a === t && b === e;
    const { nudges } = this.state;
    const amount = (nudges.find(here)?.[2] ?? 0) + by;
    this.change({ nudges: [...nudges.filter((n) => !here(n)), [t, e, amount]].filter((n) => n[2]) });
  }
  key(event) {
    const { t, e } = this.spot ?? { t: 0, e: 0 };
    const { tokens, E } = this.pictures[0].now;
    const move = KEYS[event.key];
    if (move) this.point({ t: clamp(t + move[0], 0, tokens.length - 1), e: clamp(e + move[1], 0, E - 1) });
    else if (PUSH[event.key]) this.push(PUSH[event.key]);
    else return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab and mdBook would act on the keys as well
  }
  // Look at a token and, where e >= 0, a cell; null looks at all. The buttons keep their aim.
  point(spot) {
    this.spot = spot;
    this.pictures.forEach((picture) => picture.now && picture.light(spot));
    if (!spot) return;
    this.aim = spot;
    const { t, e } = spot;
    const { tokens, probs, rows, pushed, groupOf } = this.pictures[0].now;
    if (groupOf([t]) !== this.group) {
      this.group = groupOf([t]);
      this.change({}, false);
    }
    const row = rows.find((r) => r[0] === t && r[1] === e);
    say(this.line, `${t + 1} ${tokens[t]}${e < 0 ? "" : ` → ${letter(e)}: probability ${probs[t][e].toFixed(3)}${
      pushed[[t, e]] ? `, pushed by ${pushed[[t, e]]}` : ""}${row ? (row[5] ? ", kept" : ", dropped") : ""}`}`);
  }

  // The table of the settings, computed here; of the reader's own router as Python sent it.
  solve(settings, picture) {
    const { model, spec, state, pushed, group } = this;
    const { router, num_experts: E } = settings;
    const own = router === OWN;
    const tokens = tokenize(own ? pushed.text ?? "" : state.text).slice(0, spec.max_tokens);
    if (!tokens[0]) return null;
    const nudges = Object.fromEntries(state.nudges.map(([t, e, n]) => [[t, e], n]));
    const base = { tokens, pushed: nudges, group, title: this.called(router), note: spec.routers[router][2] };
    if (own) return { ...base, ...pushed, note: pushed.error ?? base.note };
    const used = (key) => (this.has(router, key) ? settings : spec.defaults)[key];
    const groupSize = used("group_size");
    const padded = [...tokens, ...Array(groupSize ? (groupSize - (tokens.length % groupSize)) % groupSize : 0).fill("")];
    const options = { temperature: used("temperature"), noise: used("noise"), jitter: used("jitter_noise"), seed: state.seed };
    const key = JSON.stringify([padded, E, options]);
    if (picture.key !== key) Object.assign(picture, { key, logits: routerLogits(model, padded, E, options) });
    const [clean, noisyLogits] = [picture.logits.clean, picture.logits.noisy].map((logits) =>
      logits.map((row, t) => row.map((v, e) => v + (nudges[[t, e]] ?? 0))));
    return { ...base, ...route(router, clean, { topK: settings.top_k, capacityFactor: settings.capacity_factor,
      groupSize, noisyLogits, tokenMask: padded.map(Boolean), expertOf: hashExperts(model, padded, E, state.seed) }) };
  }

  layout() {
    this.frame = undefined;
    if (this.told) this.send?.(this.state);
    this.told = false;
    if (!this.width) return;
    const { state, width, pictures } = this;
    const side = state.locked && width >= 700;
    this.columns.style.gridTemplateColumns = side ? "1fr 1fr" : "1fr";
    [state, state.locked].forEach((settings, i) => {
      pictures[i].box.style.display = settings ? "" : "none";
      const solution = settings && this.solve(settings, pictures[i]);
      if (!solution) return say(pictures[i].about, this.pushed.error ?? "");
      const { probs, groupSize } = solution;
      solution.group = min(this.group, probs.length / (groupSize ?? probs.length) - 1);
      pictures[i].draw(solution, side ? width / 2 - 12 : width);
    });
    this.controls();
    if (this.spot) this.point(this.spot);
  }
  controls() {
    const { spec, state } = this;
    const frozen = this.own && !this.send && "this needs a running kernel";
    const size = tokenize(state.text).length;
    for (const label of this.fields) {
      const [{ key }, [line, input], slider] = [label.dataset, label.children, spec.settings[label.dataset.key]];
      const why = frozen || (slider && !this.has(state.router, key) && `${this.called(state.router)} has no ${slider[0]}`);
      input.disabled = !!why;
      put(label, { title: why || "" });
      const now = state[key];
      if (slider) {
        const values = this.values(key);
        say(line.lastChild, String(now ?? slider[2]));
        put(input, { max: values.length - 1, "aria-valuetext": line.lastChild.textContent });
        input.value = values.findIndex((v) => v === now || (now !== null && v > now));
      } else if (input !== document.activeElement) input.value = now;
      if (key === "text") say(line.lastChild, size > spec.max_tokens ? `the first ${spec.max_tokens} of ${size} tokens` : `${size} tokens`);
    }
    say(this.lock, state.locked ? "unlock" : "lock, to compare");
  }
}

// Show data in `el`; answers the playground.
export function mount(el, data) {
  return new Playground(el, data);
}

// The view of the widget: traits data, state and pushed.
function render({ model, el }) {
  const now = () => ({ state: model.get("state"), pushed: model.get("pushed") });
  const view = new Playground(el, { ...model.get("data"), ...now() }, (state) => {
    model.set("state", state);
    model.save_changes();
  });
  const follow = () => {
    const { state, pushed } = now();
    if (pushed === view.pushed && same(state, view.state)) return;
    view.pushed = pushed;
    view.change(state, false);
  };
  const names = ["change:state", "change:pushed"];
  names.forEach((name) => model.on(name, follow));
  return () => {
    names.forEach((name) => model.off(name, follow));
    view.destroy();
  };
}
export default { render };
