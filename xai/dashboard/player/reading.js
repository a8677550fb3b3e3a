// Reading: one payload, decoded, and what is measured from it. Nothing here draws or listens.

const NAMES = { own: "patches, joints", cls: "CLS", rgb: "RGB", patch: "patches", joint: "joints", point: "points" };
export const tokenName = (token) => NAMES[token] ?? token;
export const range = (count) => [...Array(count).keys()];
export const sum = (values) => values.reduce((total, value) => total + value, 0);

// An array of `shape`, unpacked when it is first read; at(2, 0) is the rest of its axes at [2][0], as a view.
export class Packed {
  constructor(part) {
    Object.assign(this, { part, shape: part.shape });
  }
  get values() {
    return (this.unpacked ??= this.unpack(this.part));
  }
  unpack({ b64, levels, low, step }) {
    const text = atob(b64);
    const bytes = new Uint8Array(text.length).map((_, i) => text.charCodeAt(i));
    return new Float32Array(levels === "u2" ? new Uint16Array(bytes.buffer) : bytes).map((each) => low + step * each);
  }
  at(...index) {
    const size = index.reduce((length, _, axis) => length / this.shape[axis], this.values.length);
    const start = size * index.reduce((place, i, axis) => place * this.shape[axis] + i, 0);
    return this.values.subarray(start, start + size);
  }
}

export function decode(part) {
  if (part?.b64) return new Packed(part);
  if (Object(part) !== part || Array.isArray(part)) return part;
  return Object.fromEntries(Object.entries(part).map(([name, value]) => [name, decode(value)]));
}

export class Reading {
  constructor(payload) {
    Object.assign(this, decode(payload), { memory: new Map(), T: payload.clip.frames });
    [, this.M, this.J] = this.skeleton?.place.shape ?? [0, 0, 0];
  }

  // What a state means here: another lane may have more layers, heads or queries, and null is each lane's own. What was
  // chosen travels along, so that a lane that lacks a query does not answer for the others.
  now(given) {
    const state = given.chosen ?? given;
    const layer = Math.min(state.layer ?? this.layers, this.layers - 1);
    const head = state.head < this.heads ? state.head : -1;
    const query = this.queries.includes(state.query) ? state.query : this.queries[0];
    const { label } = this.classes.find((entry) => entry.label === state.label) ?? this.classes[0];
    return { ...state, chosen: state, layer, head, query, label, key: `${layer}/${head}/${query}` };
  }
  sentence = (state) => this.sentences[state.layer][state.head + 1][this.queries.indexOf(state.query)];

  // The largest of all lanes, which share their scales.
  most = (name, state) => Math.max(...this.lanes.map((one) => one[name](one.now(state))?.max ?? 0));

  remember(key, make) {
    if (!this.memory.has(key)) this.memory.set(key, make());
    return this.memory.get(key);
  }

  // The index of the chosen query among those that read in `part`; -1 when it takes no part in that attention.
  reader = (part, { query }) => (this[part] && query === "own" ? 0 : (this[part]?.queries.indexOf(query) ?? -1));

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
    const [place, reference, clamped] = ["place", "reference", "clamped"].map((name) => this.points[name].at(layer));
    return { place, reference, clamped, most: this.points.most[layer] };
  }

  // Attention mass of joints [frame, person, joint] or frames [frame], what uniform attention would give them, and, by
  // which joints are compared because their windows are of unequal size, how many times that it is.
  jointMass = (state) => (this.skeleton ? this.massOf("joints", state) : null);
  frameMass = (state) => this.massOf("windows", state);
  massOf(part, state) {
    const query = this.reader(part, state);
    if (query < 0) return null;
    return this.remember(`${part} ${state.key}`, () => {
      const mass = this.rows(this[part].mass, state, query);
      const uniform = this[part].uniform.at(state.layer);
      const times = part === "joints" && mass.map((value, i) => (uniform[i] ? value / uniform[i] : 0));
      return { mass, uniform, times, max: Math.max(...(times || mass)) };
    });
  }

  // The patches of a frame, as rows among those that read; the one nearest to pixel (x, y).
  patchesOf = (frame) => range(this.looks.patches.length / this.T).map((i, _, all) => frame * all.length + i);
  spotOf = (row) => this.looks.spots.at(0, this.looks.patches[row]);
  patchAt(x, y, frame) {
    const rows = this.patchesOf(frame);
    const apart = rows.map((row) => Math.hypot(this.spotOf(row)[1] - x, this.spotOf(row)[2] - y));
    return rows[apart.indexOf(Math.min(...apart))];
  }

  // What the token under the pointer reads most, in every frame; of a point, the patches that read it most.
  look({ layer, head, frame, joint, point, patch }) {
    const { looks, M, J } = this;
    if (!looks || (patch ?? point ?? joint) == null) return null;
    const tables = (head >= 0 && looks.heads) || looks.mean;
    const marks = (table, wanted, keyOf) => {
      if (!tables[table]) return [];
      const { read, mass } = tables[table];
      const [keys, masses] = [read, mass].map((values) => values.at(layer, tables === looks.mean ? 0 : head));
      const rowOf = (i) => Math.floor(i / read.shape[3]);
      const found = range(keys.length).filter((i) => masses[i] && wanted(keys[i], rowOf(i)));
      const [first] = found.sort((a, b) => masses[b] - masses[a]);
      return found.slice(0, 16).flatMap((i) => {
        const key = keyOf(keys[i], rowOf(i));
        const [t, x, y] = looks.spots.at(layer, key); // a modal token is beyond the spots: it has no place in a frame
        const kind = ["patch", "joint", "point"].find((_, k) => key < looks.ends[k]);
        const place = { table, kind, t: kind === "point" ? t : Math.round(t), x, y };
        return kind ? { ...place, mass: masses[i], share: masses[i] / masses[first] } : [];
      });
    };
    const strongest = (table, row) => marks(table, (_, reader) => reader === row, (key) => key);
    const person = frame * M * J + joint;
    return this.remember(`look ${[layer, head, patch, point, joint == null || person]}`, () => {
      const [t, x, y] = patch == null ? [] : this.spotOf(patch);
      const own = { own: true, kind: "patch", t: Math.round(t), x, y, share: 1 };
      if (patch != null) return [own, ...strongest("deformable", patch), ...strongest("temporal", patch)];
      const key = looks.ends[1] + point; // where `looks` were sent, all points were
      if (point != null) return marks("deformable", (read) => read === key, (_, row) => looks.patches[row]);
      return [...strongest("joint", person), ...strongest("temporal", looks.patches.length + person)];
    });
  }

  // What a choice is called.
  called(name, value) {
    const number = Number.isInteger(value) ? value + 1 : value;
    return this.names[name]?.[this.lists[name].indexOf(value)] ?? `${name} ${number}`;
  }
}

export function digits(value, count = 3) {
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const decimals = count - 1 - Math.floor(Math.log10(Math.abs(value)));
  return value.toFixed(Math.max(0, Math.min(8, decimals))).replace("-", "−");
}
export const signed = (value, count) => (value > 0 ? "+" : "") + digits(value, count);

// How much the keys carry that are shown of the token under the pointer, attention by attention.
function carried(found, by) {
  const tables = Object.groupBy(found?.filter(({ own }) => !own) ?? [], ({ table }) => table);
  const mass = (keys) => digits(sum(keys.map((key) => key.mass)), 2);
  const each = Object.entries(tables).map(([of, keys]) => `${keys.length} with ${mass(keys)} of its ${of} attention`);
  return each.length ? ` Strongest keys${by}: ${each.join(", ")}.` : "";
}

// What is under the pointer, else at the playhead.
export function readout(state, readings) {
  const [reading] = readings;
  const { frame, joint, point, patch } = state;
  const several = readings.length > 1;
  const found = reading.look(state);
  const by = state.head < 0 ? "" : reading.looks?.heads ? ` (head ${state.head + 1})` : " (mean of heads)";
  const looks = carried(found, by);
  const at = frame * reading.M * reading.J + joint;
  const [own] = found ?? [];
  if (patch != null) return `Patch at frame ${own.t + 1}, x ${own.x.toFixed(0)}, y ${own.y.toFixed(0)} px.${looks}`;
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
  if (joint != null && reading.skeleton) {
    const name = `Frame ${frame + 1}, ${reading.called("joint", joint)}`;
    const each = readings.map((it) => `${it.model.token_mode} ${digits(it.jointMass(it.now(state))?.times[at], 2)}`);
    if (several) return `${name}: attention mass ${each.join(", ")} × uniform.`;
    const read = reading.jointMass(state);
    const score = `score ${digits(reading.skeleton.score.values[at], 2)}`;
    if (!read) return `${name}: ${score}; ${tokenName(state.query)} reads no joints.${looks}`;
    const [times, mass, base] = [read.times, read.mass, read.uniform].map((values) => digits(values[at], 2));
    const share = read.uniform[at] ? `${times} × uniform (${mass} / ${base})` : "not to be read";
    const who = tokenName(reading.joints.queries[reading.reader("joints", state)]);
    return `${name}: attention mass of ${who} ${share}; ${score}.${looks}`;
  }
  const { tokens, parts } = reading.ledger;
  const rows = parts[reading.classes.findIndex(({ label }) => label === state.label)];
  const adds = rows.map((row, i) => `${tokenName(tokens[i])} ${signed(row[frame], 2)}`).join(", ");
  return reading.clip.said[frame] + (several ? "." : `: adds ${adds} to the logit of ${state.label}.`);
}
