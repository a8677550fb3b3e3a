// Charts over frames, made of elements: sharp at any size. The joint curves, their heat map, and the ledger.
import { digits, range } from "./reading.js";
import { element, frameColumns, mark, pinOf, renderLegend, say, svg, viridis } from "./drawing.js";

const percent = (share) => `${(100 * share).toFixed(2)}%`;

// A chart in `host`: round numbers on the left, a column for every frame. `y` is the height of a value, as a share.
function chart(host, frames, unit, low, high) {
  const y = (value) => percent((value - low) / (high - low || 1));
  const rough = (high - low) / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((n) => n * power >= rough) * power;
  host.replaceChildren(element("span", { class: "unit", text: unit }));
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high; i++)
    element("span", { class: "tick", text: digits(i * step, 2), style: `bottom:${y(i * step)}` }, host);
  return { y, columns: frameColumns(element("div", { class: "columns" }, host), frames) };
}

// What was read from each joint: lines, or rows of a heat map. Redrawn when that changes; what is lit is a class.
export class Curves {
  constructor(parts, reading) {
    Object.assign(this, { parts, plot: parts.curvePlot, reading });
  }

  // The joints of the chosen person, or of whom the lit joint is.
  joints({ joint, person }) {
    const { J } = this.reading;
    return range(J).map((j) => J * (joint == null ? person : Math.floor(joint / J)) + j);
  }
  values = (joint) => range(this.reading.T).map((t) => this.found.times[t * this.reading.M * this.reading.J + joint]);
  limb = (joint) => this.reading.skeleton.limb[joint % this.reading.J] % 5;

  render(state) {
    const { parts, plot, reading } = this;
    const found = (this.found = reading.jointMass(state));
    plot.hidden = !found;
    if (!found) return;
    const most = reading.most("jointMass", state) || 1; // times uniform, which is a line at 1
    const [joints, high] = [this.joints(state), 1.3 * Math.max(most, 1)]; // room for a name above the highest peak
    const key = [state.key, high, joints, state.heat].join();
    if (key !== this.key) state.heat ? this.heat(state, joints, most) : this.lines(state, joints, high);
    this.key = key;
    const lit = (one) => state.lit === "joint" || Number(one.dataset.joint) === state.joint;
    for (const one of plot.querySelectorAll("[data-joint]")) one.classList.toggle("lit", lit(one));
    plot.classList.toggle("some", state.joint != null);
    if (state.joint == null || state.heat) return;
    const x = (state.frame + 0.5) / reading.T;
    const y = this.values(state.joint)[state.frame] / high;
    mark(this.dot, "style", `left:${percent(x)};bottom:${percent(y)};color:var(--limb-${this.limb(state.joint)})`);
    mark(this.dot, "class", x > 0.7 ? "dot before" : "dot");
    say(this.dot, reading.called("joint", state.joint));
  }
  lines(state, joints, high) {
    const { reading, plot } = this;
    const { y } = chart(plot, reading.T, "attention mass (× uniform)", 0, high);
    element("span", { class: "tick uniform", text: "uniform", style: `bottom:${y(1)}` }, plot);
    const drawing = svg("svg", { viewBox: `0 0 ${reading.T} 1`, preserveAspectRatio: "none" }, plot);
    const usual = joints.map((joint) => Math.max(...this.values(joint))).sort((a, b) => a - b)[joints.length >> 1];
    const peaks = [];
    for (const joint of joints) {
      const values = this.values(joint);
      const points = values.map((value, t) => [t + 0.5, 1 - value / high]);
      const colour = `color:var(--limb-${this.limb(joint)})`;
      svg("polyline", { points: points.join(" "), style: colour, "data-joint": joint }, drawing);
      points.forEach(([x, at], frame) => {
        const [before, after] = [-1, 1].map((by) => ((points[frame + by]?.[1] ?? at) + at) / 2);
        const near = [frame, before, x, at, frame + 1, after]; // a wide line that is felt and not seen
        svg("polyline", { class: "near", points: near, ...pinOf({ frame, joint }) }, drawing);
      });
      const top = Math.max(...values);
      if (top > 1.5 * usual) peaks.push({ joint, colour, x: (values.indexOf(top) + 0.5) / reading.T, y: top / high });
    }
    // Names above the peaks of the lines that stand out, at most three, never over each other.
    const over = (a, b) => Math.abs(a.x - b.x) < 0.25 && Math.abs(a.y - b.y) < 0.1;
    const clear = (one, i, all) => !all.slice(0, i).some((other) => over(one, other));
    peaks.sort((a, b) => b.y - a.y);
    for (const { joint, colour, x, y } of peaks.filter(clear).slice(0, 3)) {
      const text = reading.called("joint", joint);
      const style = `left:${percent(x)};bottom:${percent(y)};${colour}`;
      element("span", { class: "name", "data-joint": joint, text, style }, plot);
    }
    this.dot = element("b", { class: "dot" }, plot);
  }
  heat(state, joints, most) {
    const { reading, plot } = this;
    chart(plot, reading.T, "attention mass (× uniform), coloured as in the key", 0, 0);
    const rows = element("div", { class: "rows" }, plot);
    for (const joint of joints.sort((a, b) => this.limb(a) - this.limb(b))) {
      const row = element("div", { "data-joint": joint, style: `color:var(--limb-${this.limb(joint)})` }, rows);
      this.values(joint).forEach((value, frame) => {
        element("i", { style: `background:${viridis(value / most)}`, ...pinOf({ frame, joint }) }, row);
      });
      element("small", { text: reading.called("joint", joint) }, row);
    }
  }
}

// What each frame and token adds to the logit of the chosen class; the bars add up to it.
export function renderLedger(parts, { ledger, classes, T, lanes }, { label }) {
  if (parts.ledgerPlot.dataset.label === label) return;
  parts.ledgerPlot.dataset.label = label;
  const index = classes.findIndex((entry) => entry.label === label);
  say(parts.ledgerTitle, `ledger: what each frame adds to the logit of ${label}`);
  say(parts.sum, classes[index].adds);
  const legend = ledger.tokens.map((token, i) => [`var(--token-${token})`, classes[index].tokens[i]]);
  renderLegend(element("span", { class: "legend" }, parts.sum), legend);
  const [low, high] = [0, 1].map((i) => lanes.map((one) => 1.05 * one.ledger.range[i])); // one scale for all
  const { y, columns } = chart(parts.ledgerPlot, T, "logit (raw)", Math.min(...low), Math.max(...high));
  element("span", { class: "tick zero", style: `bottom:${y(0)}` }, parts.ledgerPlot);
  for (const [t, column] of columns.entries()) {
    const total = { true: 0, false: 0 }; // of the bars below zero, and above
    for (const [i, row] of ledger.parts[index].entries()) {
      const ends = [total[row[t] < 0], (total[row[t] < 0] += row[t])];
      const place = `bottom:${y(Math.min(...ends))};top:calc(100% - ${y(Math.max(...ends))})`;
      element("i", { style: `${place};background:var(--token-${ledger.tokens[i]})` }, column);
    }
  }
}
