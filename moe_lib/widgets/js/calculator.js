// Calculator: sliders for the sizes of a layer, and bars for what follows from them.
//
//   export default { render }   a view of the widget `Calculator` (anywidget)
//   export mount(el, data)      the same view in a page without a kernel
//
// data is what calculator.py stores: { spec, state }; spec is calculator_tables.py's or
// parallel_tables.py's.

const STYLE = `
.moe-calculator{
  --c:color-mix(in srgb,var(--focus) 80%,var(--paper));
  .row{gap:6px 8px;margin:8px 0}
  button{padding:0 12px;font:inherit}
  [aria-pressed=true]{border-color:var(--ink);box-shadow:inset 0 0 0 1px var(--ink)}
  .bar{display:grid;grid-template-columns:repeat(auto-fill,minmax(160px,1fr));gap:2px 20px}
  .bar label{margin:0;min-width:0;display:flex;flex-direction:column;justify-content:end}
  .bar span{display:flex;justify-content:space-between;align-items:end;gap:6px;line-height:16px}
  [type=range]{outline-offset:-4px}
  .bar b{color:var(--ink);white-space:nowrap}
  .answer{font-weight:650;margin:8px 0 12px}
  .sections{columns:2 340px;column-gap:32px}
  section{break-inside:avoid;padding-bottom:18px}
  .name{font-size:13px;font-weight:650;margin:0 0 2px}
  .item{display:flex;justify-content:space-between;align-items:end;gap:8px;padding-top:3px}
  .item>span{display:flex;flex-wrap:wrap;gap:0 8px}
  .item b{white-space:nowrap;min-width:88px;text-align:right}
  small{font-size:11px;color:var(--muted)}
  .line{height:15px;display:flex;gap:8px;align-items:center}
  .line small{flex:0 0 58px;text-align:right;white-space:nowrap;line-height:15px}
  .track{position:relative;flex:1;height:11px;display:flex;background:var(--grid)}
  .track>*{position:absolute;top:0;bottom:0}
  .track span{background:var(--c);transition:width .12s,left .12s}
  .track .router_flops{background:var(--ink)}
  .track :is(.rest_flops,.travel){background:repeating-linear-gradient(115deg,var(--rule) 0 2px,transparent 2px 6px)}
  .other span{background:transparent;border:1.5px solid var(--c)}
  .other .router_flops,.other .rest_flops{border-color:var(--rule)}
  i{width:1px;background:var(--rule)}
  .none{display:none}
  .was{top:-2px;bottom:-2px;width:2px;background:var(--ink)}
  .mark{top:-3px;bottom:-3px;width:2px;background:repeating-linear-gradient(var(--ink) 0 3px,var(--paper) 3px 5px)}
  .cut{mask:linear-gradient(90deg,#000 85%,transparent)}
  .axis .track{background:none;height:14px}
  .axis small{flex-basis:58px}
  .axis .track small{transform:translateX(-50%);line-height:14px;top:1px}}
@media (prefers-reduced-motion:reduce){.moe-calculator .track span{transition:none}}
`;
// What a spec can name as its formulas.
const FORMULAS = { layer: { numbers, allowed }, parallel: { numbers: parallelNumbers, allowed: parallelAllowed } };
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const sum = (list) => list.reduce((a, b) => a + b, 0);

class Calculator extends View {
  constructor(el, { spec, state }, send) {
    super(el, "moe-calculator", STYLE);
    Object.assign(this, { spec, state, send }, FORMULAS[spec.formulas ?? "layer"]);
    html(this.root, "div", { class: "title" }, spec.title);
    const buttons = html(this.root, "div", { class: "row" });
    this.presets = spec.presets.map(([name, settings]) => {
      const button = html(buttons, "button", { type: "button" }, name);
      button.addEventListener("click", () => this.start(settings));
      return { button, settings };
    });
    const bar = html(this.root, "div", { class: "bar" });
    this.sliders = spec.inputs.map(([key, name, values, unit, , words]) => {
      const label = html(bar, "label", { "data-key": key });
      const line = html(label, "span", { class: "muted" }, name);
      const now = html(line, "b");
      const input = html(label, "input", { type: "range", min: 0, "aria-label": name });
      const slider = { key, values, input, now, say: (v) => Object.fromEntries(words)[v] ?? shown(v, unit) };
      input.addEventListener("input", () => this.change({ [key]: this.values(slider)[input.value] }));
      return slider;
    });
    this.answer = html(this.root, "div", { class: "answer", "aria-live": "polite" });
    const sections = html(this.root, "div", { class: "sections" });
    this.sections = spec.sections.map((section) => this.section(sections, section));
    html(this.root, "div", { class: "muted" }, spec.legend);
    // JupyterLab and mdBook would act on the keys as well
    this.root.addEventListener("keydown", (event) => event.stopPropagation());
    this.base = this.numbers(state);
    this.watch();
  }

  section(parent, { name, scale, ticks, rows, line }) {
    const box = html(parent, "section", { "aria-label": name });
    html(box, "div", { class: "name" }, name);
    const { units } = this.spec;
    const far = scale && ((v) => clamp(Math.log(v / scale[0]) / Math.log(scale[1] / scale[0]), 0, 1));
    const left = (v) => ({ style: `left:${px(100 * far(v))}%` });
    const track = (kind) => {
      const node = html(box, "div", { class: `line ${kind}`, "aria-hidden": "true" });
      return [html(node, "div", { class: "track" }), html(node, "small")];
    };
    const bars = rows.map(([label, keys, formula, other, mark]) => {
      const head = html(box, "div", { class: "item" });
      const words = html(head, "span", {}, label);
      html(words, "small", {}, formula);
      const value = html(head, "b");
      const [node, change] = track(other ? "other" : "");
      ticks.forEach((v) => html(node, "i", left(v)));
      const parts = keys.map((key) => html(node, "span", { class: key }));
      const [limit, was] = [mark, scale].map((there) => there && html(node, "i", { class: "mark" }));
      return { keys, value, change, node, parts, was, limit, mark, other };
    });
    if (scale) {
      const [axis] = track("axis");
      ticks.forEach((v) => html(axis, "small", left(v), shown(v, units[rows[0][1][0]])));
    }
    const told = html(box, "div", { class: "muted" });
    return { line, told, bars, far, left };
  }

  // What a slider can be set to now.
  values({ key, values }) {
    return this.allowed(key, values, this.state);
  }
  // The settings of a button; from here on the bars are compared with it.
  start(settings) {
    this.base = this.numbers(settings);
    this.change(settings);
  }
  // The one way to another state; the picture follows in the next frame.
  change(part, tell = true) {
    this.state = { ...this.state, ...part };
    for (const slider of this.sliders) {
      const [values, now] = [this.values(slider), this.state[slider.key]];
      if (!values.includes(now)) this.state[slider.key] = values.findLast((v) => v < now) ?? values[0];
    }
    this.told ||= tell;
    this.frame ??= requestAnimationFrame(() => this.update());
  }

  // The texts get the height of long numbers, so that nothing jumps.
  layout() {
    const texts = [[this.answer, this.spec.answer], ...this.sections.map(({ told, line }) => [told, line])];
    for (const [node, text] of texts) {
      node.style.minHeight = "";
      say(node, text.replace(/\{\w+\}/g, "99.9 million"));
      node.style.minHeight = `${node.offsetHeight}px`;
    }
    this.update();
  }
  update() {
    this.frame = undefined;
    if (this.told) this.send?.(this.state);
    this.told = false;
    const { state, base, spec: { units, answer } } = this;
    const now = this.numbers(state);
    for (const { button, settings } of this.presets) {
      put(button, { "aria-pressed": String(Object.keys(state).every((key) => settings[key] === state[key])) });
    }
    for (const slider of this.sliders) {
      const { key, input, now: node } = slider;
      const values = this.values(slider);
      say(node, slider.say(state[key]));
      put(input, { max: values.length - 1, "aria-valuetext": node.textContent });
      input.value = values.indexOf(state[key]);
      input.disabled = values.length < 2;
    }
    say(this.answer, filled(answer, now, units));
    for (const section of this.sections) this.paint(section, now, base, units);
  }
  paint({ line, told, bars, far, left }, now, base, units) {
    const total = (values, keys) => sum(keys.map((key) => values[key]));
    // Without a scale the longest bar fills the width; what dwarfs the layer's own is cut.
    const longest = (list) => Math.max(...list.map(({ keys }) => total(now, keys)));
    const most = Math.min(longest(bars), 5 * longest(bars.filter(({ other }) => !other)));
    const long = (v) => (far ? far(v) : Math.min(v / most, 1));
    for (const { keys, value, change, node, parts, was, limit, mark } of bars) {
      const [is, before] = [now, base].map((values) => total(values, keys));
      say(value, shown(is, units[keys[0]]));
      say(change, is === before || !before ? "" : `× ${shown(is / before)}`);
      node.classList.toggle("cut", !far && is > most);
      let start = 0;
      keys.forEach((key, i) => {
        const width = Math.min(long(now[key]), 1 - start);
        put(parts[i], { style: `left:${px(100 * start)}%;width:${px(100 * width)}%` });
        start += width;
      });
      if (was) put(was, { ...left(before), class: is === before ? "none" : "was" });
      if (limit) put(limit, left(now[mark] ?? mark));
    }
    say(told, filled(line, now, units));
  }
}

// Show data in `el`; answers the calculator.
export function mount(el, data) {
  return new Calculator(el, data);
}

// The view of the widget: traits data and state.
function render({ model, el }) {
  const view = new Calculator(el, { ...model.get("data"), state: model.get("state") }, (state) => {
    model.set("state", state);
    model.save_changes();
  });
  const follow = () => same(model.get("state"), view.state) || view.change(model.get("state"), false);
  model.on("change:state", follow);
  return () => {
    model.off("change:state", follow);
    view.destroy();
  };
}
export default { render };
