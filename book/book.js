// Live outputs of the book: each .live element holds its data as JSON and, until
// it is drawn, a still picture. Drawn when it comes near the screen.
(() => {
  const root = window.path_to_root ?? "";
  const once = {};

  function script(name) {
    return (once[name] ??= new Promise((done, failed) => {
      const tag = document.createElement("script");
      tag.src = `${root}assets/${name}`;
      tag.onload = done;
      tag.onerror = () => failed(new Error(`${name} did not load`));
      document.head.append(tag);
    }));
  }

  // A view of ours, by the name of its module.
  async function viewModule(name) {
    await script(`${name}_source.js`);
    const file = new Blob([window.viewSource[name]], { type: "text/javascript" });
    return (once[name] ??= import(URL.createObjectURL(file)));
  }

  // Colours of the theme, for what the figure does not colour itself.
  function themed() {
    const style = getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue("--fg").trim();
    return { "font.color": ink, "hoverlabel.font.color": "#fff" };
  }

  // Plotly draws its buttons and sliders where no key reaches them: these take keys.
  const SPOKEN = { "\u25b6": "play", "\u275a\u275a": "pause" };
  function controls(place, menus, sliders) {
    const bar = document.createElement("div");
    bar.className = "controls";
    bar.addEventListener("keydown", (event) => event.stopPropagation()); // they turn pages
    const run = ({ method, args }) => Plotly[method](place, ...structuredClone(args));
    for (const choice of menus.flatMap((menu) => menu.buttons)) {
      const button = document.createElement("button");
      button.textContent = choice.label;
      button.ariaLabel = SPOKEN[choice.label] ?? choice.label;
      button.onclick = () => run(choice);
      bar.append(button);
    }
    for (const { steps, active = 0, currentvalue = {} } of sliders) {
      const { prefix = "", suffix = "" } = currentvalue;
      const range = Object.assign(document.createElement("input"), { type: "range" });
      const value = document.createElement("output");
      const show = (at) => {
        range.value = at;
        value.textContent = range.ariaValueText = prefix + steps[at].label + suffix;
      };
      range.max = steps.length - 1;
      range.ariaLabel = prefix.trim() || "step";
      range.oninput = () => run(steps[range.value]).then(() => show(range.value));
      place.on("plotly_animatingframe", ({ name }) =>
        show(steps.findIndex((step) => step.args[0][0] === name)),
      );
      show(active);
      bar.append(range, value);
    }
    place.after(bar);
  }

  // On a phone: smaller words, in lines, and room for them.
  function narrow(layout) {
    layout.font = { ...layout.font, size: 11 };
    for (const name of Object.keys(layout).filter((key) => /^[xy]axis/.test(key))) {
      const axis = (layout[name] = { ...layout[name], automargin: true });
      const words = name.startsWith("x") && Array.isArray(axis.ticktext) && axis.ticktext;
      if (words) axis.ticktext = words.map((text) => String(text).replaceAll(" ", "<br>"));
    }
  }

  async function drawPlotly(place, figure) {
    await script("plotly.min.js");
    const { title, width, sliders = [], updatemenus = [], ...layout } = figure.layout;
    layout.autosize = true;
    place.role = "figure"; // not "img": it has buttons inside
    place.ariaLabel = layout.meta?.alt ?? null;
    if (title?.text) {
      // above the figure, where it breaks into lines and meets no legend
      const line = document.createElement("p");
      line.className = "figure-title";
      line.innerHTML = title.text;
      place.before(line);
      layout.margin = { ...layout.margin, t: 25 };
    }
    if (place.clientWidth < 500) narrow(layout);
    const config = { responsive: true, displaylogo: false };
    await Plotly.newPlot(place, { data: figure.data, layout, frames: figure.frames, config });
    await Plotly.relayout(place, themed());
    if (sliders.length || updatemenus.length) controls(place, updatemenus, sliders);
  }

  // Wide tables and formulas scroll by the arrow keys.
  function scrolling() {
    for (const box of document.querySelectorAll("main :is(.output, .formula, .table-wrapper)"))
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }

  async function draw(element) {
    const data = JSON.parse(element.querySelector("script").textContent);
    const place = document.createElement("div");
    place.className = "drawn";
    element.append(place);
    const { kind } = element.dataset;
    if (kind === "plotly") await drawPlotly(place, data);
    else (await viewModule(kind)).mount(place, data);
    element.querySelector("img")?.remove();
    element.dataset.ready = "";
  }

  function start() {
    scrolling();
    name();
    const near = new IntersectionObserver(
      (entries) => {
        for (const { target, isIntersecting } of entries) {
          if (!isIntersecting) continue;
          near.unobserve(target);
          draw(target).catch((error) => console.error(error));
        }
      },
      { rootMargin: "600px" },
    );
    document.querySelectorAll(".live").forEach((element) => near.observe(element));

    const repaint = () =>
      document
        .querySelectorAll('.live[data-kind="plotly"][data-ready] .drawn')
        .forEach((place) => Plotly.relayout(place, themed()));
    new MutationObserver(repaint).observe(document.documentElement, {
      attributes: true,
      attributeFilter: ["class"],
    });
  }

  // What mdBook's page does not tell a screen reader, and a button that Tab reaches.
  function name() {
    document.getElementById("mdbook-menu-bar")?.setAttribute("role", "banner");
    document.querySelector(".menu-title")?.setAttribute("role", "none");
    const label = document.getElementById("mdbook-sidebar-toggle");
    const box = document.getElementById("mdbook-sidebar-toggle-anchor");
    if (!label || !box) return;
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: label.className, title: label.title });
    button.setAttribute("aria-label", label.title);
    button.setAttribute("aria-controls", "mdbook-sidebar");
    button.append(...label.childNodes);
    button.addEventListener("click", () => box.click());
    const tell = () => button.setAttribute("aria-expanded", box.checked);
    box.addEventListener("change", tell);
    tell();
    label.replaceWith(button);
    button.id = label.id;
  }

  // Paper is white: a dark theme is put aside while it is printed.
  const themes = document.documentElement.classList;
  let dark = null;
  addEventListener("beforeprint", () => {
    dark = ["navy", "coal", "ayu"].find((name) => themes.contains(name));
    if (dark) themes.replace(dark, "light");
  });
  addEventListener("afterprint", () => {
    if (dark) themes.replace("light", dark);
  });

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
