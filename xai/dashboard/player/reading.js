// Reading: one payload, decoded, and what is measured from it. Nothing here draws or listens.

// "own" stands for "each attention's own reader", where no token takes part in both (the variant without modal tokens).
const TOKEN_NAMES = {
  own: "patches, joints", cls: "CLS", rgb: "RGB", patch: "patches", joint: "joints", point: "points",
};
export const tokenName = (token) => TOKEN_NAMES[token] ?? token;
export const singular = (token) =>
  ({ patch: "mean patch", joint: "mean joint" })[token] ?? `${tokenName(token)} token`;

// An array of `shape`, addressed by its leading axes: at(2, 0) is the rest of the axes at [2][0], as a typed view.
export class Packed {
  constructor({ b64, levels, shape, low, step }) {
    const bytes = Uint8Array.from(atob(b64), (letter) => letter.charCodeAt(0));
    const integers = levels === "u2" ? new Uint16Array(bytes.buffer) : bytes;
    this.shape = shape;
    this.values = Float32Array.from(integers, (integer) => low + step * integer);
  }

  at(...index) {
    let start = 0, length = this.values.length;
    index.forEach((i, axis) => {
      length /= this.shape[axis];
      start += i * length;
    });
    return this.values.subarray(start, start + length);
  }
}

const mean = (arrays) => {
  if (arrays.length === 1) return arrays[0];
  const total = new Float32Array(arrays[0].length);
  for (const array of arrays) array.forEach((value, i) => (total[i] += value / arrays.length));
  return total;
};
const largest = (values) => values.reduce((most, value) => Math.max(most, value), 0);

export class Reading {
  constructor(payload) {
    Object.assign(this, payload);
    this.T = payload.clip.frames;
    this.memory = new Map();
    const queries = ["windows", "points", "joints"].flatMap((part) => payload[part]?.queries ?? []);
    this.queries = [...new Set([...(payload.model.queries ?? []), ...queries])];
    const parts = [payload.points, payload.joints].filter(Boolean);
    if (!this.queries.some((query) => parts.every((part) => part.queries.includes(query)))) this.queries.unshift("own");
    if (payload.skeleton) {
      this.place = new Packed(payload.skeleton.place);
      this.score = new Packed(payload.skeleton.score).values;
      this.J = payload.skeleton.names.length;
      this.M = this.place.shape[1];
    }
    for (const part of ["points", "joints", "windows"])
      if (payload[part]) {
        this[part] = { ...payload[part], mass: new Packed(payload[part].mass) };
        this.layers = this[part].mass.shape[0];
        this.heads = this[part].mass.shape[1];
      }
    for (const part of ["joints", "windows"]) if (this[part]) this[part].uniform = new Packed(payload[part].uniform);
    if (this.points) {
      const points = this.points;
      for (const name of ["place", "reference", "clamped"]) points[name] = new Packed(points[name]);
      if (points.by_query_frame) points.by_query_frame = new Packed(points.by_query_frame);
      points.limits = points.mass.shape[3];
    }
    this.layers ??= payload.model.layers ?? 1;
    this.heads ??= payload.model.heads ?? 1;
  }

  remember(key, make) {
    if (!this.memory.has(key)) this.memory.set(key, make());
    return this.memory.get(key);
  }

  layer(state) { return Math.min(state.layer ?? this.layers - 1, this.layers - 1); }
  head(state) { return state.head >= this.heads ? -1 : state.head; }
  query(state) { return this.queries.includes(state.query) ? state.query : this.queries[0]; }

  // The index of the chosen query among those that read in `part`; -1 when it takes no part in that attention.
  // A query that only another lane has is answered by the part's own first reader.
  reader(part, state) {
    if (!this[part]) return -1;
    const index = this[part].queries.indexOf(state.query);
    return index < 0 && (state.query === "own" || !this.queries.includes(state.query)) ? 0 : index;
  }
  readerName(part, state) { return this[part]?.queries[this.reader(part, state)] ?? this.query(state); }

  key(state) { return `${this.layer(state)}/${this.head(state)}/${state.query}`; }
  viewName(state) {
    const head = this.head(state) < 0 ? "mean of heads" : `head ${this.head(state) + 1}`;
    return `block ${this.layer(state) + 1}, ${head}`;
  }

  rows(packed, state, query, ...more) {
    const heads = this.head(state) < 0 ? [...Array(this.heads).keys()] : [this.head(state)];
    return mean(heads.map((head) => packed.at(this.layer(state), head, query, ...more)));
  }

  // Points of the chosen layer with the mass that the chosen query gives them; `order` is by mass, most first.
  pointMass(state) {
    const query = this.reader("points", state);
    if (query < 0) return null;
    const single = state.eachFrame && this.points.by_query_frame;
    return this.remember(`points ${this.key(state)} ${single ? state.frame : "mean"}`, () => {
      const mass = single ? this.rows(this.points.by_query_frame, state, query, state.frame)
        : this.rows(this.points.mass, state, query);
      const sums = this.points.sums[this.layer(state)];
      const all = this.head(state) < 0 ? sums.reduce((s, row) => s + row[query], 0) / sums.length : sums[this.head(state)][query];
      const total = single ? mass.reduce((a, b) => a + b, 0) : all;
      const order = [...mass.keys()].sort((a, b) => mass[b] - mass[a]);
      let sum = 0;
      const covered = order.map((i) => (sum += mass[i]) / (total || 1));
      return { mass, order, covered, total, max: mass[order[0]] ?? 0 };
    });
  }

  pointPlaces(state) {
    const layer = this.layer(state);
    return this.remember(`places ${layer}`, () => {
      const place = this.points.place.at(layer), reference = this.points.reference.at(layer);
      const moved = place.filter((_, i) => i % 3 === 0).map((t, i) => t - reference[3 * i]);
      const most = moved.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      return { place, reference, clamped: this.points.clamped.at(layer), moved, most: Math.max(0.5, Math.ceil(most * 2) / 2) };
    });
  }

  // Attention mass [frame, person, joint] of the chosen query, with its maximum over the clip and its base rate.
  jointMass(state) {
    const query = this.reader("joints", state);
    if (query < 0 || !this.skeleton) return null;
    return this.remember(`joints ${this.key(state)}`, () => {
      const mass = this.rows(this.joints.mass, state, query);
      const uniform = this.joints.uniform.at(this.layer(state));
      const seen = uniform.filter((value) => value > 0);
      return { mass, uniform, base: seen.reduce((a, b) => a + b, 0) / Math.max(1, seen.length), max: largest(mass) };
    });
  }

  // Attention mass [frame] that the chosen query gives to frames in temporal stride attention, mean over query frames.
  frameMass(state) {
    const query = this.reader("windows", state);
    if (query < 0) return null;
    return this.remember(`frames ${this.key(state)}`, () => {
      const byQuery = this.rows(this.windows.mass, state, query), base = this.windows.uniform.at(this.layer(state));
      const over = (values) => Array.from({ length: this.T }, (_, t) => {
        let sum = 0;
        for (let q = 0; q < this.T; q++) sum += values[q * this.T + t];
        return sum / this.T;
      });
      const mass = over(byQuery);
      return { mass, base: over(base), max: Math.max(...mass) };
    });
  }

  // What the chosen query reads in one attention of one block: [[kind, mass], ...]; null when it does not read there.
  flowOf(layer, attention, state) {
    const { attention: names, reader, read, mass } = this.flow;
    const query = this.readerName({ deformable: "points", joint: "joints", temporal: "windows" }[attention], state);
    const row = mass[layer]?.[names.indexOf(attention)]?.[reader.indexOf(query)];
    if (!row || row.every((value) => !value)) return null;
    return read.map((kind, i) => [kind, row[i] ?? 0]).filter(([, value]) => value > 0);
  }

  jointName(index, besides = null) {
    const person = Math.floor(index / this.J);
    const several = this.skeleton.people.length > 1 && person !== besides ? ` (person ${person + 1})` : "";
    return this.skeleton.names[index % this.J] + several;
  }

  classIndex(label) { return Math.max(0, this.classes.findIndex((entry) => entry.label === label)); }

  // Sums of the parts of one class, per token.
  account(index) {
    const tokens = this.ledger.parts[index].map((row) => row.reduce((a, b) => a + b, 0));
    return { tokens, bias: this.classes[index].bias, logit: this.classes[index].logit };
  }

  // The joint that the chosen query read most above its base rate, and the frames where it did.
  hardestJoint(state) {
    const found = this.jointMass(state);
    if (!found) return null;
    return this.remember(`hardest ${this.key(state)}`, () => {
      const ratio = Array.from({ length: this.M * this.J }, (_, j) => {
        let mass = 0, base = 0;
        for (let t = 0; t < this.T; t++) {
          mass += found.mass[t * this.M * this.J + j];
          base += found.uniform[t * this.M * this.J + j];
        }
        return base ? mass / base : 0;
      });
      const joint = ratio.indexOf(Math.max(...ratio));
      const overTime = Array.from({ length: this.T }, (_, t) => found.mass[t * this.M * this.J + joint]);
      return { joint, ratio: ratio[joint], frames: peakFrames(overTime) };
    });
  }

  // Mass of the sampling points per frame, each point shared between its two neighbouring frames.
  pointFrames(state) {
    const found = this.pointMass({ ...state, eachFrame: false });
    if (!found) return null;
    const { place } = this.pointPlaces(state);
    const frames = new Array(this.T).fill(0);
    found.mass.forEach((mass, i) => {
      for (const t of [Math.floor(place[3 * i]), Math.floor(place[3 * i]) + 1])
        if (t >= 0 && t < this.T) frames[t] += mass * timeWeight(place[3 * i], t);
    });
    return frames;
  }

  // The sentence on top, as [text, strong?] pieces. It reports what was read; it never says why.
  sentence(state) {
    const { label, probability } = this.classes[0];
    const pieces = [["The model says "], [label, true], [` (${share(probability)}). `]];
    if (this.clip.label && this.clip.label !== label) pieces.push(["The clip is labelled "], [this.clip.label, true], [". "]);
    const query = singular(this.readerName(this.hardestJoint(state) ? "joints" : "points", state));
    const joint = this.hardestJoint(state), points = this.pointFrames(state);
    if (joint && joint.ratio >= 1.15) {
      const times = ` hardest (${digits(joint.ratio, 2)} × uniform)`;
      pieces.push([`Its ${query} read the `], [this.jointName(joint.joint), true], [times]);
      pieces.push([joint.frames ? `, most in ${joint.frames}.` : ", over the whole clip."]);
    } else if (joint) {
      pieces.push([`Its ${query} read all joints about equally.`]);
    } else if (points) {
      const frames = peakFrames(points);
      pieces.push([`Its ${query} read ${frames ? `most from points in ${frames}` : "points of all frames about equally"}.`]);
    } else pieces.push([this.skeleton ? `Its ${query} reads neither points nor joints here.` : this.absent.joints]);
    if (joint || points) pieces.push([` (${this.viewName(state)})`]);
    return pieces;
  }
}

// "frames 5–8": the run around the peak that stays above half of it; null when the values are about flat.
export function peakFrames(values) {
  const peak = values.indexOf(Math.max(...values));
  const middle = values.reduce((a, b) => a + b, 0) / values.length;
  if (!(values[peak] > 1.15 * middle)) return null;
  let from = peak, to = peak;
  while (from > 0 && values[from - 1] >= values[peak] / 2) from--;
  while (to < values.length - 1 && values[to + 1] >= values[peak] / 2) to++;
  if (to - from + 1 >= 0.8 * values.length) return null;
  return from === to ? `frame\u00a0${from + 1}` : `frames\u00a0${from + 1}\u2060–\u2060${to + 1}`;
}

// Trilinear interpolation in time: how much of a point at fractional `t` is read from frame `frame`.
export const timeWeight = (t, frame) => Math.max(0, 1 - Math.abs(t - frame));

export function digits(value, count = 3) {
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const decimals = count - 1 - Math.floor(Math.log10(Math.abs(value)));
  return value.toFixed(Math.max(0, Math.min(8, decimals))).replace("-", "−");
}
export const fixed = (value) => (Math.round(100 * value) / 100 || 0).toFixed(2).replace("-", "−"); // terms of a sum share their decimals
export const signed = (value, count) => (value > 0 ? "+" : "") + digits(value, count);
export const share = (value) => (value > 0.995 ? "> 0.99" : value < 0.005 ? "< 0.01" : value.toFixed(2));
