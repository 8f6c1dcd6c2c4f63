// Kit: what all views share. Palette, base style, keyed nodes, the page's theme and size.

const SVG = "http://www.w3.org/2000/svg";

// Eight experts, A to H: fill and the letter's colour on it. Lightness alternates around
// the hue circle, which keeps all pairs apart for colour-blind readers as well.
const LIGHT = "7e1f26 df7b1a 656c00 28a789 2c71b3 3d25b9 b968fa b51275".split(" ");
const DARK = "f0713c fab12a ecf262 3fdb9b 9ff7f6 5388f7 c7abf5 b4769c".split(" ");
const palette = (fills, on) => fills.map((f, i) => `--e${i}:#${f};--t${i}:${on(i)};`).join("");

// Theme: Colab says [theme=dark]; elsewhere the page's ink decides, see theme().
const BASE = `
.moe{--ink:var(--moe-ink,var(--jp-content-font-color1,var(--fg,CanvasText)));
  --paper:var(--moe-paper,var(--jp-layout-color0,var(--bg,Canvas)));
  --muted:color-mix(in srgb,var(--ink) 66%,var(--paper));
  --grid:color-mix(in srgb,var(--ink) 10%,var(--paper));
  --rule:color-mix(in srgb,var(--ink) 38%,var(--paper));
  --focus:#1a6fd4;
  ${palette(LIGHT, (i) => ([1, 3, 6].includes(i) ? "#16161a" : "#fff"))}
  color:var(--ink);max-width:1100px;padding:4px 0 8px;
  font:13px/20px var(--jp-ui-font-family,system-ui,sans-serif);text-align:left;
  &,*{box-sizing:border-box}
  .title{font-size:14px;font-weight:650}
  .muted{color:var(--muted)}
  svg{overflow:visible;font-size:11px}
  :focus{outline:none}
  :focus-visible{outline:2px solid var(--focus);outline-offset:2px}
  text{fill:var(--ink)}
  .head{font-size:13px;font-weight:650}
  .unit{fill:var(--muted);font-size:12px}
  .letter{font-weight:700;text-anchor:middle}
  .row{display:flex;flex-wrap:wrap;align-items:center;gap:2px 18px}
  [type=range]{min-width:60px;height:28px;margin:0;accent-color:var(--ink);cursor:pointer}
  button{height:32px;border-radius:8px;border:1px solid var(--rule);background:transparent;
    color:var(--ink);cursor:pointer}
  b{font-weight:650;font-variant-numeric:tabular-nums}}
.moe.dark{--focus:#7db7ff;${palette(DARK, () => "#16161a")}}
[theme=dark] .moe{--ink:#e3e3e3;--paper:#303030}
`;

// Attributes that change, numbers rounded; what was put is remembered, for reading is slow.
function put(node, attrs) {
  const known = (node.known ??= {});
  for (const key in attrs) {
    const value = typeof attrs[key] === "number" ? Math.round(attrs[key] * 100) / 100 : attrs[key];
    if (known[key] !== value) node.setAttribute(key, (known[key] = value));
  }
  return node;
}
const draw = (parent, tag, attrs = {}) =>
  parent.appendChild(put(document.createElementNS(SVG, tag), attrs));
function html(parent, tag, attrs = {}, text = "") {
  const node = parent.appendChild(put(document.createElement(tag), attrs));
  if (text) node.textContent = text;
  return node;
}
const say = (node, text) => node.textContent === text || (node.textContent = text);
const px = (v) => Math.round(v * 10) / 10;
const clamp = (v, low, high) => Math.min(Math.max(v, low), high);
const paint = (key) => (typeof key === "number" ? `var(--e${key % 8})` : `var(--${key})`);
const letter = (key) => String.fromCharCode(65 + key);
const MARKS = {
  disc: (x, y, r) => `M${px(x - r)} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`,
  diamond: (x, y, r) => `M${x} ${px(y - 1.3 * r)}l${1.3 * r} ${1.3 * r}l${-1.3 * r} ${1.3 * r}l${-1.3 * r} ${-1.3 * r}Z`,
  square: (x, y, r) => `M${px(x - 0.9 * r)} ${px(y - 0.9 * r)}h${1.8 * r}v${1.8 * r}h${-1.8 * r}Z`,
};

const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
function textWidth(text, size = 11, weight = 400) {
  pen.font = `${weight} ${size}px system-ui, sans-serif`;
  return pen.measureText(text).width * 1.04; // the host's font may run a little wider
}
function fit(text, width, size, weight) {
  if (textWidth(text, size, weight) <= width) return text;
  while (text && textWidth(text + "…", size, weight) > width) text = text.slice(0, -1);
  return text.trimEnd() + "…";
}

// Nodes by key: asked for again they are the same node, not asked for they are hidden.
class Nodes {
  constructor(group) {
    this.group = group;
    this.nodes = new Map();
  }
  update(fill) {
    const seen = new Set();
    fill((key, tag, attrs, text) => {
      if (!this.nodes.has(key)) this.nodes.set(key, draw(this.group, tag));
      const node = put(this.nodes.get(key), { display: "inline", ...attrs });
      if (text !== undefined) say(node, text);
      seen.add(key);
      return node;
    });
    for (const [key, node] of this.nodes) if (!seen.has(key)) put(node, { display: "none" });
  }
}

// A view's root; size and theme come from the page, whichever page it is. A subclass has
// layout(), called when the width is known and whenever it changes.
class View {
  constructor(el, name, style) {
    this.id = `${name}-${Math.random().toString(36).slice(2)}`;
    this.root = html(el, "div", { class: `moe ${name}` });
    html(this.root, "style", {}, BASE + style);
  }
  watch() {
    this.sizes = new ResizeObserver(() => {
      const width = this.root.clientWidth;
      if (width < 50 || width === this.width) return;
      this.width = width;
      this.theme();
      this.layout();
      this.root.dataset.ready = "true";
    });
    this.sizes.observe(this.root);
    this.onTheme = () => this.theme();
    this.themes = new MutationObserver(this.onTheme);
    for (const node of [document.documentElement, document.body]) {
      this.themes.observe(node, { attributes: true });
    }
    this.themes.observe(document.head, { childList: true }); // a theme's style sheet arrives
    this.system = matchMedia("(prefers-color-scheme: dark)");
    this.system.addEventListener("change", this.onTheme);
  }
  theme() { // dark where the page's ink is light
    pen.fillStyle = getComputedStyle(this.root).color; // any colour syntax, back as bytes
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b] = pen.getImageData(0, 0, 1, 1).data;
    this.root.classList.toggle("dark", 0.299 * r + 0.587 * g + 0.114 * b > 128);
  }
  destroy() {
    this.sizes.disconnect();
    this.themes.disconnect();
    this.system.removeEventListener("change", this.onTheme);
    this.root.remove();
  }
}
