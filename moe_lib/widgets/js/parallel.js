// What the parallel calculator's settings lead to. parallel_numbers.py and torus.py have
// the same in Python.

// Rows of the torus that is nearest to a square.
const torusRows = (devices) => {
  let rows = Math.floor(Math.sqrt(devices));
  while (devices % rows) rows -= 1;
  return rows;
};

// Bytes and seconds of one device, one layer and one step: four journeys, and three
// times the forward arithmetic.
export function parallelNumbers(settings) {
  const { devices, num_experts, top_k, capacity_factor, tokens, d_model, d_ff } = settings;
  const { bytes, network, bandwidth, latency, speed } = settings;
  const slots = top_k * capacity_factor * tokens;
  const buffer = slots * d_model * bytes;
  const rings = [torusRows(devices), devices / torusRows(devices)];
  const total = (f) => rings.reduce((sum, n) => sum + f(n), 0);
  const away = 1 - 1 / devices;
  // network 0 is a torus, 1 a switch
  const hops = network ? away : total((n) => Math.floor((n * n) / 4) / n);
  const link_load = network ? away : hops / Math.max(total((n) => Math.min(n - 1, 2)), 1);
  const expert = 2 * d_model * d_ff;
  const compute = (3 * slots * 2 * expert) / (1e12 * speed);
  const start_up = 4 * 1e-6 * latency * (devices - 1);
  const travel = start_up + (4 * buffer * link_load) / (1e9 * bandwidth);
  const everything = num_experts * expert * bytes;
  return {
    journey: buffer * away,
    step: 4 * buffer * away,
    rows_only: (4 * buffer * away) / capacity_factor,
    home: (4 * buffer) / devices,
    home_share: 1 / devices,
    hops, link_load,
    square_root: Math.sqrt(devices) / 8,
    compute, travel, start_up,
    share: travel / (travel + compute),
    device_experts: num_experts / devices,
    held: everything / devices,
    everything,
    all_reduce: 2 * away * everything,
  };
}

// The values that a setting can have beside the others: an expert or more for a device.
export const parallelAllowed = (key, values, { devices }) =>
  values.filter((v) => key !== "num_experts" || v >= devices);
