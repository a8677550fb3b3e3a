// Words and scales: the key to the stage, the answers, the chips, and the line that says what is under the pointer.
import { digits, share, signed, tokenName } from "./reading.js";
import { element, gradient, say, timeColour, viridis } from "./drawing.js";

export const steps = (total) => [...[8, 16, 32, 64, 128, 256, 512, 1024, 2048].filter((k) => k < total), total];

export class Key {
  constructor(host, reading, store, group) {
    Object.assign(this, { reading, store, group });
    const { points } = reading;
    element("h3", { text: "sampling points" }, host);
    this.points = element("div", { class: "key-points" }, host);
    this.none = element("p", { class: "quiet" }, host);
    this.covers = element("p", {}, this.points);
    if (points) {
      const options = steps(points.limits);
      const slide = (event) => store.choose({ count: options[event.target.value] });
      const range = { type: "range", min: 0, max: options.length - 1, "aria-label": "How many points are drawn" };
      this.slider = element("input", { ...range, on: { input: slide } }, this.points);
      this.options = options;
    }
    this.moved = this.scale(this.points, (share) => timeColour(share, 1), -1, 1, "displacement in time, frames");
    this.area = element("p", { class: "dots" }, this.points);
    this.toggle(this.points, "ghost", "references (zero offsets)", "Hollow rings where each point would be with zero offsets");
    const mean = "Otherwise the mean over the query token of every frame";
    if (points?.by_query_frame) this.toggle(this.points, "eachFrame", "query of this frame only", mean);
    this.about = element("p", { class: "quiet" }, this.points);
    element("h3", { text: "joints" }, host);
    if (!reading.skeleton) element("p", { class: "quiet", text: reading.absent.joints }, host);
    this.joints = element("div", {}, host);
    this.mass = this.scale(this.joints, viridis, 0, 1, "attention mass: colour and size");
    element("p", { class: "quiet", text: "White ring: score of the key point; dashed below 0.3." }, this.joints);
  }

  scale(host, colour, from, to, name) {
    element("p", { class: "scale-name", text: name }, host);
    element("div", { class: "ramp", style: `background:${gradient(colour, from, to)}` }, host);
    return element("p", { class: "ramp-ends" }, host);
  }
  ends(host, texts) {
    const said = texts.join("|");
    if (host.dataset.said === said) return;
    host.dataset.said = said;
    host.replaceChildren(...texts.map((text) => element("span", { text })));
  }

  toggle(host, name, text, title) {
    const label = element("label", { class: "toggle", title }, host);
    const box = element("input", { type: "checkbox", on: { change: () => this.store.choose({ [name]: box.checked }) } }, label);
    element("span", { text }, label);
    (this.boxes ??= []).push([name, box]);
  }

  render(state) {
    const { reading, group } = this, found = reading.pointMass(state), query = tokenName(reading.query(state));
    const scope = group.readings.length > 1 ? "raw, one range for all lanes" : "raw, range per clip";
    for (const [name, box] of this.boxes) box.checked = state[name];
    this.points.hidden = !found;
    this.none.hidden = Boolean(found);
    if (!found) {
      const others = reading.points?.queries.map(tokenName).join(" or ");
      const sentence = `The ${query} token takes no part in 3D deformable attention; choose ${others}.`;
      say(this.none, reading.points ? sentence : reading.absent.points);
    } else {
      const { points } = reading, { moved, most } = reading.pointPlaces(state), count = Math.min(state.count, points.limits);
      this.slider.value = Math.max(0, this.options.findIndex((option) => option >= count));
      const carried = Math.round(100 * found.covered[count - 1]);
      say(this.covers, `${count} of ${points.count} points carry ${carried} % of the mass on points`);
      this.ends(this.moved, [`−${most} earlier`, "0", `+${most} later`]);
      const top = group.most("pointMass", state);
      const uniform = digits(points.uniform[reading.layer(state)], 2);
      say(this.area, `Area: mass, largest ${digits(top, 2)}, uniform ${uniform}; ${scope}.`);
      const offsets = points.moved[reading.layer(state)];
      const kept = moved.length < points.count ? ` ${points.count - moved.length} points with the least mass were not sent.` : "";
      const shift = `${digits(offsets.frames, 2)} frames, ${digits(offsets.x, 2)} × ${digits(offsets.y, 2)} px`;
      const shared = "All queries share the points; another query only re-weights them.";
      const edge = `Square: held at the edge (${offsets.clamped})`;
      say(this.about, `Hair: dot to reference; mean shift ${shift}. ${edge}. ${shared}${kept}`);
    }
    const joints = reading.jointMass(state);
    this.joints.hidden = !reading.skeleton;
    this.ends(this.mass, joints ? ["0", scope, digits(group.most("jointMass", state), 2)] : [`${query} reads no joints here`]);
  }
}

export class Answers {
  constructor(host, reading, store) {
    Object.assign(this, { reading, store });
    const list = element("div", { class: "answers", role: "group", "aria-label": "Classes: choose one for the ledger" }, host);
    this.buttons = reading.classes.slice(0, 5).map((entry) => {
      const button = element("button", {
        type: "button", title: `probability ${digits(entry.probability)}, logit ${digits(entry.logit)}`,
        on: {
          click: () => store.choose({ label: entry.label }),
          pointerenter: (event) => event.pointerType === "mouse" && store.preview({ label: entry.label }),
          pointerleave: () => store.preview(null),
        },
      }, list);
      element("span", { text: entry.label, class: "label" }, button);
      element("span", { text: share(entry.probability), class: "number" }, button);
      element("i", { style: `width:${100 * entry.probability}%` }, button);
      return button;
    });
  }
  render(state) {
    const index = this.reading.classIndex(state.label);
    this.buttons.forEach((button, i) => button.setAttribute("aria-pressed", i === index));
  }
}

export function renderLegend(host, entries) {
  host.replaceChildren();
  for (const [colour, text] of entries) {
    const entry = element("span", { class: "entry" }, host);
    element("i", { class: "swatch", style: `background:${colour}` }, entry);
    element("span", { text }, entry);
  }
}

const PIN_NAMES = {
  frame: (state) => `frame ${state.frame + 1}`,
  joint: (state, reading) => reading.jointName(state.joint),
  layer: (state) => `block ${state.layer + 1}`,
  head: (state) => (state.head < 0 ? "mean of heads" : `head ${state.head + 1}`),
  query: (state) => `query ${tokenName(state.query)}`,
  label: (state) => `class ${state.label}`,
};

export function renderChips(host, store, reading) {
  const names = Object.keys(PIN_NAMES).filter((name) => store.pinned.has(name) || store.moved().includes(name));
  const texts = names.map((name) => PIN_NAMES[name](store.chosen, reading));
  if (host.dataset.said === texts.join("|")) return;
  host.dataset.said = texts.join("|");
  host.replaceChildren();
  if (!names.length) return element("span", { class: "quiet", text: "Hover previews, click pins, Esc frees." }, host);
  element("span", { class: "quiet", text: "pinned" }, host);
  names.forEach((name, i) => {
    const free = () => store.free([name]);
    const label = { text: `${texts[i]} ×`, "aria-label": `Free ${texts[i]}` };
    element("button", { type: "button", class: "chip", ...label, on: { click: free } }, host);
  });
}

// What is under the pointer or the playhead, in numbers.
export function readout(state, readings) {
  const [reading] = readings, { frame } = state, J = reading.M * reading.J;
  if (state.joint != null && reading.skeleton) {
    const name = `Frame ${frame + 1}, ${reading.jointName(state.joint)}`;
    if (readings.length > 1) {
      const mass = (one) => digits(one.jointMass(state)?.mass[frame * J + state.joint], 2);
      const each = readings.map((one) => `${one.model.token_mode} ${mass(one)}`);
      return `${name}: attention mass ${each.join(", ")}.`;
    }
    const found = reading.jointMass(state), score = `score ${digits(reading.score[frame * J + state.joint], 2)}`;
    if (!found) return `${name}: ${score}; ${tokenName(reading.query(state))} reads no joints.`;
    const [mass, base] = [found.mass, found.uniform].map((values) => values[frame * J + state.joint]);
    const times = base ? `, ${digits(mass / base, 2)} × uniform (${digits(base, 2)})` : ", though it was not to be read";
    const through = `${tokenName(reading.readerName("joints", state))}, ${reading.viewName(state)}`;
    return `${name}: attention mass ${digits(mass, 2)}${times}; ${score}; ${through}.`;
  }
  if (state.point != null && readings.length === 1 && reading.pointMass(state)) {
    const i = state.point, found = reading.pointMass(state), { place, reference, clamped } = reading.pointPlaces(state);
    const [t, x, y] = place.subarray(3 * i, 3 * i + 3), [t0, x0, y0] = reference.subarray(3 * i, 3 * i + 3);
    const moved = `${signed(t - t0, 2)} frames, ${signed(x - x0, 2)} × ${signed(y - y0, 2)} px`;
    const edge = clamped[i] ? ", held at the edge" : "";
    const where = `Point at frame ${(t + 1).toFixed(1)}, x ${x.toFixed(0)}, y ${y.toFixed(0)}`;
    return `${where}: attention mass ${digits(found.mass[i], 2)}, moved ${moved} from its reference${edge}.`;
  }
  const { seconds, source } = reading.clip;
  const when = `Frame ${frame + 1} of ${reading.T}, ${seconds[frame].toFixed(2)} s (source frame ${source[frame]})`;
  if (readings.length > 1) return `${when}.`;
  const index = reading.classIndex(state.label);
  const parts = reading.ledger.tokens.map((token, i) => `${tokenName(token)} ${signed(reading.ledger.parts[index][i][frame], 2)}`);
  return `${when}: adds ${parts.join(", ")} to the logit of ${reading.classes[index].label}.`;
}
