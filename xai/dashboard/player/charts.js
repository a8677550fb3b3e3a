// Charts over frames: what was read from each joint, and the ledger whose bars add up to the logit.
import { digits, fixed, tokenName } from "./reading.js";
import { renderLegend } from "./legend.js";
import { element, frameAxes, Sheet, stroke, viridis, write } from "./drawing.js";

// The column of the current frame, under the data.
function playhead(sheet, axes, frame, { left, right, top, bottom, count }) {
  const { context, theme, width, height } = sheet, step = (width - left - right) / count;
  context.globalAlpha = theme.dark ? 0.22 : 0.12;
  context.fillStyle = theme.accent;
  context.fillRect(axes.x(frame) - step / 2, top, step, height - top - bottom);
  context.globalAlpha = 1;
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
      const others = reading.joints?.queries.map(tokenName).join(" or ");
      const sentence = `${query} takes no part in joint stride attention; choose ${others}.`;
      return sayInstead(sheet, reads ? sentence : reading.absent.joints);
    }
    const most = this.group.most("jointMass", state), high = 1.15 * Math.max(most, this.found.base * 1.2);
    const margins = { left: 46, right: state.heat ? 104 : 84, top: 16, bottom: 18 };
    const box = { ...margins, low: 0, high, most, count: reading.T, unit: "attention mass (raw)" };
    this.axes = frameAxes(null, sheet, box);
    playhead(sheet, this.axes, state.frame, box);
    if (state.heat) this.heat(state, theme, box);
    else this.lines(state, theme, box);
  }

  lines(state, theme, box) {
    const { sheet, reading, found, axes } = this;
    const joints = this.joints(state), limb = (joint) => theme.limb(reading.skeleton.limb[joint % reading.J]);
    const path = (joint) => Array.from({ length: reading.T }, (_, t) => [axes.x(t), axes.y(this.value(found, t, joint))]);
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
      write(context, `uniform ${digits(found.base, 2)}`, sheet.width - box.right + 6, base, theme.soft);
      this.names(context, joints, path, limb, state);
    });
    if (state.joint == null) return;
    const [x, y] = [axes.x(state.frame), axes.y(this.value(found, state.frame, state.joint))];
    sheet.context.fillStyle = limb(state.joint);
    sheet.context.fillRect(x - 3.5, y - 3.5, 7, 7);
  }

  // Names above the peaks of the lines that stand out (at most three) and of the pinned one, never over each other.
  names(context, joints, path, limb, state) {
    const { sheet } = this, highest = (joint) => path(joint).reduce((best, place) => (place[1] < best[1] ? place : best));
    const high = this.axes.y(1.5 * this.found.base), standing = joints.filter((joint) => highest(joint)[1] < high);
    const sorted = standing.sort((a, b) => highest(a)[1] - highest(b)[1]).slice(0, 3).filter((joint) => joint !== state.joint);
    const taken = [];
    for (const joint of state.joint == null ? sorted : [state.joint, ...sorted]) {
      const [x, y] = highest(joint), pinned = joint === state.joint, text = this.reading.jointName(joint, state.person);
      context.font = `${pinned ? 600 : 400} 11px ${sheet.theme.font}`;
      const half = context.measureText(text).width / 2;
      const place = [Math.max(50 + half, Math.min(sheet.width - half - 4, x)), Math.max(22, y - 9)];
      if (taken.some(([tx, ty, th]) => Math.abs(tx - place[0]) < half + th + 6 && Math.abs(ty - place[1]) < 12)) continue;
      taken.push([...place, half]);
      context.globalAlpha = state.joint == null || pinned ? 1 : 0.5;
      write(context, text, ...place, limb(joint), "center", sheet.theme.surface);
    }
    context.globalAlpha = 1;
  }

  heat(state, theme, box) {
    const { sheet, reading, found, axes } = this;
    const { limb } = reading.skeleton;
    this.order = this.joints(state).slice(0, reading.J).sort((a, b) => limb[a % reading.J] - limb[b % reading.J]);
    this.top = box.top;
    this.row = (sheet.height - box.top - box.bottom) / this.order.length;
    const step = axes.x(1) - axes.x(0) || sheet.width - box.left - box.right;
    sheet.still(`heat ${reading.id} ${reading.key(state)} ${this.order} ${box.high} ${state.joint}`, (context) => {
      const unit = "attention mass (raw), coloured as in the key";
      frameAxes(context, sheet, { ...box, low: 0, high: 0, format: () => "", unit });
      this.order.forEach((joint, i) => {
        const y = this.top + i * this.row;
        context.fillStyle = theme.limb(limb[joint % reading.J]);
        context.fillRect(box.left - 8, y + 0.5, 4, this.row - 1);
        for (let t = 0; t < reading.T; t++) {
          context.fillStyle = viridis(this.value(found, t, joint) / box.most);
          context.fillRect(axes.x(t) - step / 2 + 0.5, y + 0.5, step - 1, this.row - 1);
        }
        const here = joint === state.joint;
        context.font = `${here ? 600 : 400} ${Math.max(8, Math.min(11, this.row))}px ${theme.font}`;
        const name = here || this.row >= 8 ? reading.jointName(joint, state.person) : "";
        write(context, name, sheet.width - box.right + 6, y + this.row / 2, here ? theme.ink : theme.soft);
      });
    });
    const { context } = sheet;
    Object.assign(context, { strokeStyle: theme.ink, lineWidth: 1.5 });
    context.strokeRect(axes.x(state.frame) - step / 2, box.top, step, sheet.height - box.top - box.bottom);
  }
}

export class Ledger {
  constructor(host, reading, store, group) {
    Object.assign(this, { reading, store, group });
    this.title = element("h3", {}, host);
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
    const { reading } = this, { tokens, bias, logit } = reading.account(index);
    const full = `${reading.id} ${index} ${theme.id}`;
    if (this.said === full) return;
    this.said = full;
    this.title.textContent = `ledger: what each frame adds to the logit of ${reading.classes[index].label}`;
    this.sum.replaceChildren();
    // Rounded so that the line adds up as it is written.
    const parts = Math.round(100 * logit) / 100 - Math.round(100 * bias) / 100;
    element("span", { text: `adds up to logit ${fixed(logit)} = parts ${fixed(parts)} + bias ${fixed(bias)}` }, this.sum);
    const entries = reading.ledger.tokens.map((token, i) => [theme.token(token), `${tokenName(token)} ${fixed(tokens[i])}`]);
    renderLegend(element("span", { class: "legend" }, this.sum), entries);
  }

  render(state, theme) {
    const { sheet, reading } = this, index = reading.classIndex(state.label);
    this.caption(index, theme);
    if (!sheet.begin(theme)) return;
    const ranges = this.group.readings.map(Ledger.range);
    const low = 1.05 * Math.min(...ranges.map((r) => r.low)), high = 1.05 * Math.max(...ranges.map((r) => r.high));
    const box = { left: 46, right: 40, top: 16, bottom: 18, low, high, count: reading.T, unit: "logit (raw)" };
    this.axes = frameAxes(null, sheet, box);
    playhead(sheet, this.axes, state.frame, box);
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
  }
}
