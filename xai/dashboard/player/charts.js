// Charts over frames: what was read from each joint, and the ledger whose bars add up to the logit.
import { digits, signed, tokenName } from "./reading.js";
import { element, frameAxes, Sheet, stroke, viridis, write } from "./drawing.js";

function playhead(context, theme, sheet, x, top, bottom) {
  stroke(context, theme.accent, 1.5, [[x, top], [x, sheet.height - bottom]]);
}

function sayInstead(sheet, sentence) {
  const { context, theme, width, height } = sheet;
  context.font = `13px ${theme.font}`;
  const lines = [""];
  for (const word of sentence.split(" ")) {
    if (context.measureText(`${lines.at(-1)} ${word}`).width > width - 48) lines.push("");
    lines[lines.length - 1] += `${word} `;
  }
  lines.forEach((line, i) => write(context, line, width / 2, height / 2 + 18 * (i - (lines.length - 1) / 2), theme.soft, "center"));
}

export class Curves {
  constructor(host, reading, store, group) {
    Object.assign(this, { reading, store, group });
    this.sheet = new Sheet(host, "Attention mass on each joint over the frames");
    this.sheet.listen(store, (x, y) => this.find(x, y));
  }

  joints(state) {
    const { skeleton, J } = this.reading;
    const person = skeleton.people.includes(state.person) ? state.person : skeleton.people[0];
    const shown = skeleton.limb.map((_, j) => person * J + j);
    return state.joint == null || shown.includes(state.joint) ? shown : [...shown, state.joint];
  }
  value(found, t, joint) { return found.mass[t * this.reading.M * this.reading.J + joint]; }

  find(x, y) {
    if (!this.axes?.inside(x) || !this.found) return null;
    const frame = this.axes.frameAt(x), state = this.store.view(), joints = this.joints(state);
    if (state.heat) {
      const row = Math.floor((y - this.top) / this.row);
      return row >= 0 && row < this.order.length ? { frame, joint: this.order[row] } : { frame };
    }
    const apart = (joint) => Math.abs(this.axes.y(this.value(this.found, frame, joint)) - y);
    const nearest = joints.reduce((best, joint) => (apart(joint) < apart(best) ? joint : best), joints[0]);
    return apart(nearest) < 14 ? { frame, joint: nearest } : { frame };
  }

  render(state, theme) {
    const { sheet, reading } = this;
    if (!sheet.begin(theme)) return;
    this.found = reading.jointMass(state);
    if (!this.found) {
      const reads = reading.joints && reading.skeleton;
      const query = tokenName(reading.query(state));
      return sayInstead(sheet, reads ? `${query} takes no part in joint stride attention; choose ${reading.joints.queries.map(tokenName).join(" or ")}.` : reading.absent.joints);
    }
    const high = 1.04 * Math.max(this.group.most("jointMass", state), this.found.base * 1.2);
    const box = { left: 46, right: sheet.width < 420 ? 76 : 104, top: 16, bottom: 18, low: 0, high, count: reading.T, unit: "attention mass (raw)" };
    this.axes = frameAxes(null, sheet, box);
    if (state.heat) this.heat(state, theme, box);
    else this.lines(state, theme, box);
    playhead(sheet.context, theme, sheet, this.axes.x(state.frame), box.top, box.bottom);
  }

  lines(state, theme, box) {
    const { sheet, reading, found, axes } = this;
    const joints = this.joints(state), limb = (joint) => theme.limb(reading.skeleton.limb[joint % reading.J]);
    const path = (joint) => Array.from({ length: reading.T }, (_, t) => [axes.x(t), axes.y(this.value(found, t, joint))]);
    const peak = (joint) => Math.max(...path(joint).map(([, y]) => -y));
    sheet.still(`${reading.id} ${reading.key(state)} ${joints} ${box.high} ${state.joint}`, (context) => {
      frameAxes(context, sheet, box);
      const base = axes.y(found.base);
      stroke(context, theme.ink, 1.2, [[box.left, base], [sheet.width - box.right, base]], [2, 3]);
      for (const joint of joints) {
        context.globalAlpha = state.joint == null ? 0.9 : 0.22;
        stroke(context, limb(joint), 1.5, path(joint));
      }
      context.globalAlpha = 1;
      if (state.joint != null) stroke(context, limb(state.joint), 2.8, path(state.joint));
      // Names beside the line ends: the pinned joint and the three highest, pushed apart.
      const named = [...joints].sort((a, b) => peak(b) - peak(a)).slice(0, 3);
      if (state.joint != null && !named.includes(state.joint)) named[2] = state.joint;
      const labels = named.map((joint) => ({ text: reading.jointName(joint), y: path(joint).at(-1)[1], colour: limb(joint), bold: joint === state.joint }));
      labels.push({ text: `uniform ${digits(found.base, 2)}`, y: base, colour: theme.soft });
      labels.sort((a, b) => a.y - b.y);
      for (let i = 1; i < labels.length; i++) labels[i].y = Math.max(labels[i].y, labels[i - 1].y + 13);
      const over = labels.at(-1).y - (sheet.height - box.bottom - 4);
      for (let i = labels.length - 1; over > 0 && i >= 0; i--) labels[i].y = Math.min(labels[i].y, sheet.height - box.bottom - 4 - 13 * (labels.length - 1 - i));
      for (const label of labels) {
        context.font = `${label.bold ? 600 : 400} 11px ${theme.font}`;
        write(context, label.text, sheet.width - box.right + 6, label.y, label.colour);
      }
    });
    if (state.joint == null) return;
    const [x, y] = [axes.x(state.frame), axes.y(this.value(found, state.frame, state.joint))];
    sheet.context.fillStyle = limb(state.joint);
    sheet.context.fillRect(x - 3.5, y - 3.5, 7, 7);
  }

  heat(state, theme, box) {
    const { sheet, reading, found, axes } = this;
    const { limb } = reading.skeleton;
    this.order = this.joints(state).slice(0, reading.J).sort((a, b) => limb[a % reading.J] - limb[b % reading.J]);
    this.top = box.top;
    this.row = (sheet.height - box.top - box.bottom) / this.order.length;
    const step = axes.x(1) - axes.x(0) || sheet.width - box.left - box.right;
    sheet.still(`heat ${reading.id} ${reading.key(state)} ${this.order} ${box.high} ${state.joint}`, (context) => {
      frameAxes(context, sheet, { ...box, low: 0, high: 0, format: () => "" });
      this.order.forEach((joint, i) => {
        const y = this.top + i * this.row;
        context.fillStyle = theme.limb(limb[joint % reading.J]);
        context.fillRect(box.left - 8, y + 0.5, 4, this.row - 1);
        for (let t = 0; t < reading.T; t++) {
          context.fillStyle = viridis(this.value(found, t, joint) / box.high);
          context.fillRect(axes.x(t) - step / 2 + 0.5, y + 0.5, step - 1, this.row - 1);
        }
        const here = joint === state.joint;
        context.font = `${here ? 600 : 400} ${Math.max(8, Math.min(11, this.row))}px ${theme.font}`;
        if (here || this.row >= 8) write(context, reading.jointName(joint), sheet.width - box.right + 6, y + this.row / 2, here ? theme.ink : theme.soft);
      });
    });
  }
}

export class Ledger {
  constructor(host, reading, store, group) {
    Object.assign(this, { reading, store, group });
    this.sum = element("p", { class: "sum" }, host);
    this.sheet = new Sheet(host, "Parts of the logit by frame and token");
    this.sheet.listen(store, (x) => (this.axes?.inside(x) ? { frame: this.axes.frameAt(x) } : null));
  }

  // Highest and lowest stack of any frame, for a scale that holds all classes of the short list and all lanes.
  static range(reading) {
    return reading.remember("ledger range", () => {
      let low = 0, high = 0;
      for (const parts of reading.ledger.parts.slice(0, 5))
        for (let t = 0; t < reading.T; t++) {
          const column = parts.map((row) => row[t]);
          high = Math.max(high, column.filter((v) => v > 0).reduce((a, b) => a + b, 0));
          low = Math.min(low, column.filter((v) => v < 0).reduce((a, b) => a + b, 0));
        }
      return { low, high };
    });
  }

  caption(index, theme) {
    const { reading } = this, { tokens, parts, bias, logit } = reading.account(index);
    const full = `${reading.id} ${index} ${theme.id}`;
    if (this.said === full) return;
    this.said = full;
    this.sum.replaceChildren();
    element("span", { text: `adds up to logit ${digits(logit)} = parts ${digits(parts)} ${bias < 0 ? "−" : "+"} bias ${digits(Math.abs(bias))}` }, this.sum);
    const legend = element("span", { class: "legend" }, this.sum);
    reading.ledger.tokens.forEach((token, i) => {
      element("i", { class: "swatch", style: `background:${theme.token(token)}` }, legend);
      element("span", { text: `${tokenName(token)} ${signed(tokens[i], 2)}` }, legend);
    });
  }

  render(state, theme) {
    const { sheet, reading } = this, index = reading.classIndex(state.label);
    this.caption(index, theme);
    if (!sheet.begin(theme)) return;
    const ranges = this.group.readings.map(Ledger.range);
    const box = { left: 46, right: 40, top: 16, bottom: 18, low: Math.min(...ranges.map((r) => r.low)), high: Math.max(...ranges.map((r) => r.high)), count: reading.T, unit: "logit (raw)" };
    this.axes = frameAxes(null, sheet, box);
    const { x, y } = this.axes, wide = Math.max(2, Math.min(26, (x(1) - x(0) || 40) - 4));
    sheet.still(`${reading.id} ${index} ${box.low} ${box.high}`, (context) => {
      frameAxes(context, sheet, box);
      for (let t = 0; t < reading.T; t++) {
        let up = 0, down = 0;
        reading.ledger.parts[index].forEach((row, i) => {
          const from = row[t] < 0 ? down : up, to = from + row[t];
          context.fillStyle = theme.token(reading.ledger.tokens[i]);
          context.fillRect(x(t) - wide / 2, Math.min(y(from), y(to)), wide, Math.max(0.5, Math.abs(y(to) - y(from)) - 0.5));
          if (row[t] < 0) down = to;
          else up = to;
        });
      }
      stroke(context, theme.ink, 1, [[box.left, y(0)], [sheet.width - box.right, y(0)]]);
    });
    playhead(sheet.context, theme, sheet, x(state.frame), box.top, box.bottom);
  }
}
