// What the calculator's settings lead to. calculator_numbers.py has the same in Python.

// n = 1 is a dense layer, which has no router. With groups, a first router chooses among
// them, and the routers of two groups (of one where k = 1) among their own experts.
export function numbers(settings) {
  const { num_experts: n, groups, top_k: k, d_model: d, d_ff, tokens, devices } = settings;
  const { expert_share, bytes, balance } = settings;
  const expert = 2 * d * d_ff;
  const router = n === 1 ? 0 : d * (groups === 1 ? n : groups + n);
  const asked = n === 1 ? 0 : d * (groups === 1 ? n : groups + (Math.min(2, k) * n) / groups);
  const [expert_flops, router_flops] = [2 * k * expert, 2 * asked];
  const rest_flops = (expert_flops * (1 - expert_share)) / expert_share;
  const all_expert_flops = 2 * n * expert;
  const others = router_flops + rest_flops;
  // Adam keeps two float32 numbers of each parameter, and a copy where it is narrower.
  const adam = 4 * (bytes < 4 ? 3 : 2);
  const device_experts = Math.ceil(n / devices);
  const held = router + device_experts * expert;
  return {
    total_parameters: router + n * expert,
    active_parameters: asked + k * expert,
    dense_parameters: k * expert,
    parameter_ratio: (router + n * expert) / (k * expert),
    expert_flops, router_flops, rest_flops, all_expert_flops,
    expert_saving: n / k,
    model_saving: (all_expert_flops + others) / (expert_flops + others),
    router_cost: router_flops / expert_flops,
    rows_one: (k * tokens) / n,
    rows_all: (k * tokens * devices) / n,
    rows_needed: (balance * bytes) / 2,
    work_per_number: d_ff,
    flops_per_byte: (2 * d_ff) / bytes,
    sent: k * tokens * d * bytes * (1 - 1 / devices),
    device_experts,
    weights: held * bytes,
    gradients: held * bytes,
    optimiser: held * adam,
    device_memory: held * (2 * bytes + adam),
    whole_memory: (router + n * expert) * (2 * bytes + adam),
  };
}

// The values that a setting can have beside the others: no more choices than experts;
// groups of equal size, with two experts at least.
export const allowed = (key, values, { num_experts: n }) => values.filter((v) =>
  key === "top_k" ? v <= n : key !== "groups" || v === 1 || (v < n && n % v === 0));

const WORDS = ["million", "billion", "trillion", "quadrillion"];
const BYTES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const SECONDS = ["ns", "µs", "ms", "s"];
const digits = (value) => (value < 999.5 ? String(Number(value.toPrecision(3)))
  : Math.floor(value + 0.5).toLocaleString("en-US"));

// A number for readers: three digits and a word; of unit "B" bytes, of unit "s" seconds,
// of unit "%" percent.
export function shown(value, unit = "") {
  if (unit === "%") return `${digits(100 * value)}\u00a0%`;
  const [names, step, first] = { B: [BYTES, 1024, 1], s: [SECONDS, 1000, 1] }[unit] ?? [WORDS, 1000, 1e6];
  if (unit === "s") value *= 1e9;
  if (value < first) return digits(value) + (unit && `\u00a0${names[0]}`);
  let [i, size] = [0, first];
  while (i + 1 < names.length && value >= size * step) [i, size] = [i + 1, size * step];
  return `${digits(value / size)}\u00a0${names[i]}`;
}

// The text with each {name} replaced by that number.
export const filled = (text, values, units) =>
  text.replace(/\{(\w+)\}/g, (_, key) => shown(values[key], units[key]));
