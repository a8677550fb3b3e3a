// Reading: one payload, decoded, and what is measured from it. Nothing here draws or listens.

const NAMES = { own: "patches, joints", cls: "CLS", rgb: "RGB", patch: "patches", joint: "joints", point: "points" };
export const tokenName = (token) => NAMES[token] ?? token;
export const range = (count) => [...Array(count).keys()];
export const sum = (values) => values.reduce((total, value) => total + value, 0);

// An array of `shape`, addressed by its leading axes: at(2, 0) is the rest of the axes at [2][0], as a view.
export class Packed {
  constructor({ b64, levels, shape, low, step }) {
    const bytes = Uint8Array.from(atob(b64), (letter) => letter.charCodeAt(0));
    this.shape = shape;
    this.values = new Float32Array(levels === "u2" ? new Uint16Array(bytes.buffer) : bytes);
    this.values.forEach((integer, i) => (this.values[i] = low + step * integer));
  }

  at(...index) {
    const size = index.reduce((length, _, axis) => length / this.shape[axis], this.values.length);
    const start = size * index.reduce((place, i, axis) => place * this.shape[axis] + i, 0);
    return this.values.subarray(start, start + size);
  }
}

function decode(part) {
  if (part?.b64) return new Packed(part);
  if (!part || typeof part !== "object" || Array.isArray(part)) return part;
  return Object.fromEntries(Object.entries(part).map(([name, value]) => [name, decode(value)]));
}

export class Reading {
  constructor(payload) {
    Object.assign(this, decode(payload));
    this.memory = new Map();
    this.T = this.clip.frames;
    [, this.M, this.J] = this.skeleton?.place.shape ?? [0, 0, 0];
  }

  // What a state means here: another lane may have more layers, heads or queries, and null is each lane's own.
  now(state) {
    const layer = Math.min(state.layer ?? this.layers, this.layers - 1);
    const head = state.head < this.heads ? state.head : -1;
    const query = this.queries.includes(state.query) ? state.query : this.queries[0];
    const { label } = this.classes.find((entry) => entry.label === state.label) ?? this.classes[0];
    return { ...state, layer, head, query, label, key: `${layer}/${head}/${query}` };
  }
  sentence = (state) => this.sentences[state.layer][state.head + 1][this.queries.indexOf(state.query)];

  // The largest of all lanes, which share their scales.
  most = (name, state) => Math.max(...this.lanes.map((one) => one[name](one.now(state))?.max ?? 0));

  remember(key, make) {
    if (!this.memory.has(key)) this.memory.set(key, make());
    return this.memory.get(key);
  }

  // The index of the chosen query among those that read in `part`; -1 when it takes no part in that attention.
  reader(part, { query }) {
    return this[part] && query === "own" ? 0 : (this[part]?.queries.indexOf(query) ?? -1);
  }

  // One array of the chosen layer and head; the mean of the heads unless one is chosen.
  rows(packed, { layer, head }, ...index) {
    const rows = (head < 0 ? range(this.heads) : [head]).map((h) => packed.at(layer, h, ...index));
    return rows[0].map((_, i) => sum(rows.map((row) => row[i])) / rows.length);
  }

  // Points of the chosen layer with the mass that the chosen query gives them; `order` is by mass, most first.
  pointMass(state) {
    const query = this.reader("points", state);
    if (query < 0) return null;
    const { mass: all, sums, by_query_frame: each } = this.points;
    const single = each && state.eachFrame;
    return this.remember(`points ${state.key} ${single ? state.frame : ""}`, () => {
      const mass = single ? this.rows(each, state, query, state.frame) : this.rows(all, state, query);
      const order = [...mass.keys()].sort((a, b) => mass[b] - mass[a]);
      return { mass, order, total: single ? sum(mass) : this.rows(sums, state, query)[0], max: mass[order[0]] };
    });
  }

  pointPlaces({ layer }) {
    return this.remember(`places ${layer}`, () => {
      const [place, reference, clamped] = ["place", "reference", "clamped"].map((name) => this.points[name].at(layer));
      const moved = clamped.map((_, i) => place[3 * i] - reference[3 * i]);
      return { place, reference, clamped, moved, most: this.points.most[layer] };
    });
  }

  // Attention mass of joints [frame, person, joint], and of frames [frame], with what uniform attention would give.
  jointMass = (state) => (this.skeleton ? this.massOf("joints", state) : null);
  frameMass = (state) => this.massOf("windows", state);
  massOf(part, state) {
    const query = this.reader(part, state);
    if (query < 0) return null;
    return this.remember(`${part} ${state.key}`, () => {
      const mass = this.rows(this[part].mass, state, query);
      const uniform = this[part].uniform.at(state.layer);
      const read = uniform.filter((value) => value > 0);
      return { mass, uniform, base: sum(read) / Math.max(1, read.length), max: Math.max(...mass) };
    });
  }

  // The patch nearest to pixel (x, y) of a frame, as its row among those that read.
  patchAt(x, y, frame) {
    const { spots, patches } = this.looks;
    const rows = range(patches.length / this.T).map((i) => (frame * patches.length) / this.T + i);
    const places = rows.map((row) => spots.at(0, patches[row]));
    const apart = places.map((place) => Math.hypot(place[1] - x, place[2] - y));
    return rows[apart.indexOf(Math.min(...apart))];
  }

  // What the token under the pointer reads most, in every frame; of a point, the patches that read it most.
  look({ layer, frame, joint, point, patch }) {
    const { looks, M, J } = this;
    if (!looks || (patch ?? joint ?? point) == null) return null;
    const strongest = (table, row) => {
      const [keys, masses] = ["read", "mass"].map((name) => looks[table]?.[name].at(layer, row) ?? []);
      return [...keys].flatMap((key, i) => {
        const [t, x, y] = looks.spots.at(layer, key); // a modal token is beyond the spots: it has no place in a frame
        const kind = ["patch", "joint", "point"].find((_, k) => key < looks.ends[k]);
        const frame = kind === "point" ? t : Math.round(t);
        return kind && masses[i] ? { table, kind, t: frame, x, y, mass: masses[i], share: masses[i] / masses[0] } : [];
      });
    };
    const person = frame * M * J + joint;
    return this.remember(`look ${layer} ${patch} ${joint == null ? point : person}`, () => {
      const [t, x, y] = patch == null ? [] : looks.spots.at(layer, looks.patches[patch]);
      const own = { own: true, kind: "patch", t: Math.round(t), x, y, share: 1 };
      if (patch != null) return [own, ...strongest("deformable", patch), ...strongest("temporal", patch)];
      if (joint == null) return strongest("points", point);
      return [...strongest("joint", person), ...strongest("temporal", looks.patches.length + person)];
    });
  }

  jointName(index, besides = null) {
    const person = Math.floor(index / this.J);
    const several = this.skeleton.people.length > 1 && person !== besides ? ` (person ${person + 1})` : "";
    return this.skeleton.names[index % this.J] + several;
  }
}

export function digits(value, count = 3) {
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const decimals = count - 1 - Math.floor(Math.log10(Math.abs(value)));
  return value.toFixed(Math.max(0, Math.min(8, decimals))).replace("-", "−");
}
export const fixed = (value) => (Math.round(100 * value) / 100 || 0).toFixed(2).replace("-", "−"); // terms of a sum
export const signed = (value, count) => (value > 0 ? "+" : "") + digits(value, count);
export const share = (value) => (value > 0.995 ? "> 0.99" : value < 0.005 ? "< 0.01" : value.toFixed(2));

export const called = {
  frame: (frame) => `frame ${frame + 1}`,
  joint: (joint, reading) => reading.jointName(joint),
  person: (person) => `person ${person + 1}`,
  layer: (layer) => `block ${layer + 1}`,
  head: (head) => (head < 0 ? "mean of heads" : `head ${head + 1}`),
  query: (query) => `query ${tokenName(query)}`,
  label: (label) => `class ${label}`,
};

// How much the keys carry that are shown of the token under the pointer, attention by attention.
function carried(found) {
  const tables = Object.groupBy(found?.filter(({ own }) => !own) ?? [], ({ table }) => table);
  const mass = (keys) => digits(sum(keys.map((key) => key.mass)), 2);
  const words = ([table, keys]) => ` Its ${keys.length} strongest keys in ${table} attention carry ${mass(keys)}.`;
  return Object.entries(tables).map(words).join("");
}

// What is under the pointer, else at the playhead.
export function readout(state, readings) {
  const [reading] = readings;
  const { frame, joint, point, patch } = state;
  const several = readings.length > 1;
  const found = reading.look(state);
  const looks = carried(found);
  const at = frame * reading.M * reading.J + joint;
  if (joint != null && reading.skeleton) {
    const name = `Frame ${frame + 1}, ${reading.jointName(joint)}`;
    const each = readings.map((one) => `${one.model.token_mode} ${digits(one.jointMass(one.now(state))?.mass[at], 2)}`);
    if (several) return `${name}: attention mass ${each.join(", ")}.`;
    const read = reading.jointMass(state);
    const score = `score ${digits(reading.skeleton.score.values[at], 2)}`;
    if (!read) return `${name}: ${score}; ${tokenName(state.query)} reads no joints.${looks}`;
    const [mass, base] = [read.mass[at], read.uniform[at]];
    const times = base ? `${digits(mass / base, 2)} × uniform (${digits(base, 2)})` : "not to be read";
    const reader = tokenName(reading.joints.queries[reading.reader("joints", state)]);
    return `${name}: attention mass of ${reader} ${digits(mass, 2)}, ${times}; ${score}.${looks}`;
  }
  if (point != null && !several && reading.pointMass(state)) {
    const { place, reference, clamped } = reading.pointPlaces(state);
    const [[t, x, y], [t0, x0, y0]] = [place, reference].map((values) => values.subarray(3 * point));
    const where = `Point at frame ${(t + 1).toFixed(1)}, x ${x.toFixed(0)}, y ${y.toFixed(0)} px`;
    const moved = `${signed(t - t0, 2)} frames, ${signed(x - x0, 2)} × ${signed(y - y0, 2)} px`;
    const edge = clamped[point] ? ", held at the edge" : "";
    const by = found?.length ? ` Squares: the ${found.length} patches that read it most.` : "";
    const mass = digits(reading.pointMass(state).mass[point], 2);
    return `${where}: attention mass ${mass}, moved ${moved} from its reference${edge}.${by}`;
  }
  const [own] = found ?? [];
  if (patch != null) return `Patch at frame ${own.t + 1}, x ${own.x.toFixed(0)}, y ${own.y.toFixed(0)} px.${looks}`;
  const { tokens, parts } = reading.ledger;
  const rows = parts[reading.classes.findIndex(({ label }) => label === state.label)];
  const adds = rows.map((row, i) => `${tokenName(tokens[i])} ${signed(row[frame], 2)}`).join(", ");
  return reading.clip.said[frame] + (several ? "." : `: adds ${adds} to the logit of ${state.label}.`);
}
