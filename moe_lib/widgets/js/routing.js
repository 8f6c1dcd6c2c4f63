// ==== routing: text to tokens, tokens to logits, logits to a table ====================
// Pure functions that answer as moe_lib does (tests/widgets/test_routing_js.py compares
// them row by row). A matrix is a list of rows; row t belongs to token t.

const range = (n) => Array.from({ length: n }, (_, i) => i);
const sum = (values) => values.reduce((a, b) => a + b, 0);
const softmax = (row) => {
  const top = Math.max(...row), powers = row.map((x) => Math.exp(x - top));
  const total = sum(powers);
  return powers.map((power) => power / total);
};
// Where the k largest stand, largest first, ties to the lowest index (sort is stable).
const largest = (scores, k) =>
  range(scores.length).sort((i, j) => scores[j] - scores[i]).slice(0, k);

// ---- logits to a table ---------------------------------------------------------------
// name: softmax_gate, noisy_top_k, gshard, switch, hash, expert_choice or top_k.
// logits: T x E, at least one token. Options, read by the routers that have them:
//   topK, capacityFactor (null drops nothing), groupSize (null: one group),
//   noisyLogits (T x E, with the noise: they choose and weigh), tokenMask (false is
//   padding), expertOf (the hash router's expert of each token), batchPrioritized,
//   secondExpertPolicy ("random" with draws, one uniform number for each token).
// Rows are [token, expert, choice, position, weight, kept]. Choice 0 is a token's first;
// -1 says that the expert chose, and position is then the expert's rank.
export function route(name, logits, options = {}) {
  const { noisyLogits: noisy = logits, tokenMask: real = logits.map(() => true) } = options;
  const [numTokens, numExperts] = [logits.length, logits[0].length];
  const slots = ["gshard", "switch", "expert_choice"].includes(name);
  const groupSize = (slots && options.groupSize) || null;
  const size = groupSize ?? numTokens;
  if (numTokens % size) throw new Error(`${numTokens} tokens in groups of ${size}: pad them`);
  const k = { gshard: 2, switch: 1, hash: 1, expert_choice: 1 }[name] ?? options.topK ?? 2;
  let capacity = slots && options.capacityFactor
    ? slotsFor(options.capacityFactor, k * size, numExperts) : null;
  if (name === "expert_choice") capacity = Math.min(size, capacity);
  const rule = { softmax_gate: dense, expert_choice: expertChoice }[name] ?? tokenChoice;
  const rows = rule({
    ...options, name, numTokens, numExperts, slots, size, k, capacity, noisy, real,
    gates: noisy.map(softmax),
  });
  const probs = name !== "hash" ? logits.map(softmax)
    : options.expertOf.map((expert) => range(numExperts).map((e) => +(e === expert)));
  return { capacity, groupSize, rows, probs, numTokens, numExperts };
}

// ceil(factor * asked / E), the factor as it is written: 1.1 is 11/10 to the last digit.
function slotsFor(factor, asked, numExperts) {
  const [, whole, part = "", power = 0] = /^(\d+)\.?(\d+)?(?:e(.+))?$/.exec(factor);
  const above = BigInt(whole + part) * BigInt(asked);
  const below = 10n ** BigInt(part.length - power) * BigInt(numExperts);
  return Math.max(1, Number((above + below - 1n) / below));
}

// Every token goes to every expert (1991).
function dense({ noisy, gates, real, numExperts }) {
  let place = 0;
  return gates.flatMap((gate, t) => {
    const ranks = largest(noisy[t], numExperts);
    const here = real[t] ? place++ : place;
    return gate.map((p, e) => [t, e, ranks.indexOf(e), here, real[t] ? p : 0, real[t]]);
  });
}

// Every expert takes its best tokens of each group; padding comes last, and is not kept.
function expertChoice({ gates, real, size, capacity, numTokens, numExperts }) {
  return range(numTokens / size).flatMap((group) => range(numExperts).flatMap((e) => {
    const scores = range(numTokens).slice(group * size, (group + 1) * size)
      .map((t) => (real[t] ? gates[t][e] : -1));
    return largest(scores, capacity).map((i, rank) => {
      const t = group * size + i;
      return [t, e, -1, rank, real[t] ? scores[i] : 0, real[t]];
    });
  }));
}

// Every token takes its k best experts, and stands in their queues.
function tokenChoice(task) {
  const { name, k, noisy, gates, real, size, slots, capacity, expertOf, draws } = task;
  const chosen = noisy.map((row, t) => (expertOf && name === "hash" ? [expertOf[t]] : largest(row, k)));
  const weights = chosen.map((experts, t) =>
    name === "switch" ? [gates[t][experts[0]]] // as it is, the others renormalise
      : softmax(experts.map((e) => noisy[t][e])));
  const sure = gates.map((gate) => Math.max(...gate));
  const order = largest(slots && task.batchPrioritized ? sure : sure.map(() => 0), sure.length);
  const place = queuePlaces(chosen, order, real, size);
  const lottery = name === "gshard" && task.secondExpertPolicy === "random";
  return chosen.flatMap((experts, t) => experts.map((e, j) => {
    const accepted = !lottery || j === 0 || 2 * weights[t][1] > draws[t];
    const kept = real[t] && accepted && (capacity === null || place[t][j] < capacity);
    return [t, e, j, place[t][j], kept ? weights[t][j] : 0, kept];
  }));
}

// All first choices of a group stand before any second choice. Whoever finds no slot
// has moved the queue on all the same. Padding waits in a queue of its own.
function queuePlaces(chosen, order, real, size) {
  const length = {}, place = chosen.map(() => []);
  for (const j of chosen[0].keys()) {
    for (const t of order) {
      const queue = real[t] ? `${Math.floor(t / size)} ${chosen[t][j]}` : "padding";
      length[queue] ??= 0;
      place[t][j] = length[queue]++;
    }
  }
  return place;
}

// ---- random numbers, as in seeded.py ---------------------------------------------------
// Number i of a stream is a hash of (seed, stream, i): none depends on how many were drawn.
const [NOISE, JITTER, HASH] = [0, 1, 2];
const mix = (h) => {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
};
const bits = (seed, stream, i) => mix(mix(mix(seed) + stream) + i);
const uniform = (seed, stream, i) => (bits(seed, stream, i) + 0.5) / 2 ** 32;
const normal = (seed, i) => // Box and Muller
  Math.sqrt(-2 * Math.log(uniform(seed, NOISE, 2 * i))) *
  Math.cos(2 * Math.PI * uniform(seed, NOISE, 2 * i + 1));

// ---- text to logits, as in small_router.py ---------------------------------------------
const SPACE = "\\u0000-\\u0020\\u007f-\\u00a0\\u2000-\\u200f\\u2028-\\u202f" +
  "\\u205f-\\u206f\\u3000\\ufe00-\\ufe0f\\ufeff"; // and what has no width
const WORD = "[0-9A-Za-z_\\u00aa\\u00b5\\u00ba\\u00c0-\\u00d6\\u00d8-\\u00f6" +
  "\\u00f8-\\u1fff\\ua4d0-\\ud7ff]+";
// Words (with apostrophes inside), and everything else one character at a time.
const TOKEN = new RegExp(`${WORD}(?:['\\u2019]${WORD})*|[^${SPACE}]`, "gu");
export const tokenize = (text) => text.match(TOKEN) ?? [];

const utf8 = (token) => [...new TextEncoder().encode(token)];
function times(row, matrix) { // row [m] times matrix [m][n]
  const result = Array(matrix[0].length).fill(0);
  row.forEach((value, i) => matrix[i].forEach((weight, j) => (result[j] += value * weight)));
  return result;
}
// Whole numbers of a byte, base64, times a scale.
function matrix({ scale, rows, int8 }) {
  const values = Array.from(atob(int8), (c) => (c.charCodeAt(0) << 24 >> 24) * scale);
  const width = values.length / rows;
  return range(rows).map((i) => values.slice(i * width, (i + 1) * width));
}

// The router's input x, T x d: the last bytes of the token before, the token's first and
// its last ones (256: none), each with its place, through one hidden layer.
function routerInputs(model, tokens) {
  const [before, start, end] = model.places;
  const [bytes, hidden, out] = ["bytes", "hidden", "out"].map((name) => matrix(model[name]));
  const none = Array(Math.max(...model.places)).fill(256);
  return tokens.map((token, t) => {
    const [last, own] = [utf8(tokens[t - 1] ?? ""), utf8(token)];
    const seen = [...[...none, ...last].slice(-before), ...[...own, ...none].slice(0, start),
      ...[...none, ...own].slice(-end)];
    const active = times(seen.flatMap((byte) => bytes[byte]), hidden);
    return times(active.map((value) => Math.max(0, value)), out);
  });
}

// clean: x W / temperature. noisy: (x * U[1 - jitter, 1 + jitter]) W / temperature + noise
// * N(0, 1), the noise of 2017 with a spread that is set instead of learnt.
export function routerLogits(model, tokens, numExperts, options = {}) {
  const { temperature = 1, noise = 0, jitter = 0, seed = 0 } = options;
  const gate = matrix(model.gates[numExperts]); // d x E
  const x = routerInputs(model, tokens);
  const shaken = !jitter ? x : x.map((row, t) => row.map((value, i) =>
    value * (1 + jitter * (2 * uniform(seed, JITTER, t * row.length + i) - 1))));
  const logits = (inputs, spread) => inputs.map((row, t) => times(row, gate).map((value, e) =>
    value / temperature + (spread && spread * normal(seed, t * numExperts + e))));
  return { clean: logits(x, 0), noisy: logits(shaken, noise) };
}

// The hash router's expert of each token: its bytes' hash (FNV-1a) is the token's id, and
// that id's hash chooses.
export const hashExperts = (model, tokens, numExperts, seed = 0) => tokens.map((token) => {
  const id = utf8(token).reduce((h, byte) => Math.imul(h ^ byte, 0x01000193), 0x811c9dc5);
  return bits(seed, HASH, id & (model.vocabulary - 1)) % numExperts;
});
