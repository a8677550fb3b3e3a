// Stage and film strip: the frames, what was sampled where, the skeleton, and where the token under the pointer looks.
import { range } from "./reading.js";
import { disc, element, frameColumns, mark, say, Sheet, stroke, timeColour, viridis } from "./drawing.js";

const CASING = "rgba(10, 12, 16, 0.75)";
const WHITE = "rgba(255, 255, 255, 0.92)";
const LOW_SCORE = 0.3;

// The frames of a payload's sprite as separate images, in the size they were sent.
export async function loadFrames({ sprite, clip }) {
  const { columns, width, height } = sprite;
  const image = Object.assign(new Image(), { src: sprite.src });
  await image.decode();
  const all = await createImageBitmap(image);
  const corner = (t) => [(t % columns) * width, Math.floor(t / columns) * height];
  return Promise.all(range(clip.frames).map((t) => createImageBitmap(all, ...corner(t), width, height)));
}

// Where pixels of the clip are on the canvas. Integer pixel coordinates are pixel centres, hence the half.
export function fit(clip, left, top, width, height) {
  const scale = Math.min(width / clip.width, height / clip.height);
  const x0 = left + (width - scale * clip.width) / 2;
  const y0 = top + (height - scale * clip.height) / 2;
  const [x, y] = [(px) => x0 + scale * (px + 0.5), (py) => y0 + scale * (py + 0.5)];
  return { scale, x0, y0, width: scale * clip.width, height: scale * clip.height, x, y };
}

// Trilinear interpolation in time: how much of what is at fractional `t` is read from frame `frame`.
const timeWeight = (t, frame) => Math.max(0, 1 - Math.abs(t - frame));

// The points to draw on one frame, largest last so that small ones are not buried.
function pointsOn(reading, state, frame, at, biggest, max) {
  const found = reading.pointMass(state);
  if (!found) return [];
  const { place, reference, clamped, most } = reading.pointPlaces(state);
  const shown = new Set([...found.order.slice(0, state.count), state.point ?? found.order[0]]);
  const points = [...shown].filter((i) => timeWeight(place[3 * i], frame) > 0).map((i) => {
    const [[t, x, y], [t0, fromX, fromY]] = [place, reference].map((values) => values.subarray(3 * i, 3 * i + 3));
    const look = { opacity: timeWeight(t, frame), colour: timeColour(t - t0, most), clamped: clamped[i] > 0 };
    const radius = Math.max(1, biggest * Math.sqrt(found.mass[i] / (max || 1)));
    return { index: i, ...look, radius, x: at.x(x), y: at.y(y), from: [at.x(fromX), at.y(fromY)] };
  });
  return points.sort((a, b) => a.radius - b.radius);
}

// Where the token under the pointer looks in one frame: cells for patches (white is its own), discs for the others.
function drawLook(context, reading, state, frame, at, colour, biggest) {
  const [wide, high] = reading.looks?.cell.map((side) => side * at.scale) ?? [];
  for (const { own, kind, t, x, y, share } of reading.look(state) ?? []) {
    context.globalAlpha = (0.35 + 0.65 * share) * timeWeight(t, frame);
    Object.assign(context, { strokeStyle: own ? "#fff" : colour, lineWidth: Math.max(1, biggest / 4) });
    if (kind === "patch") context.strokeRect(at.x(x) - wide / 2, at.y(y) - high / 2, wide, high);
    else disc(context, at.x(x), at.y(y), biggest * Math.sqrt(share), colour, CASING);
  }
  context.globalAlpha = 1;
}

export class Stage {
  constructor(host, reading, store) {
    Object.assign(this, { reading, store, drawn: [], joints: [], at: { x0: NaN } });
    const { canvas } = (this.sheet = new Sheet(host, "Frame with skeleton and sampling points"));
    element("div", { class: "unread", style: `clip-path:${reading.clip.unread}` }, host); // what the model did not see
    this.lattice = element("div", { class: "lattice" }, host); // where features or patches lie, when that is lit
    this.name = element("b", { class: "dot" }, host);
    canvas.addEventListener("pointermove", (event) => store.preview(this.find(event.offsetX, event.offsetY)));
    canvas.addEventListener("pointerleave", () => store.preview({}));
    canvas.addEventListener("click", (event) => store.pin(this.find(event.offsetX, event.offsetY)));
  }

  // A joint, a point or a patch of the frame that is shown; patches give way to what lies on them.
  find(x, y) {
    const apart = (item) => Math.hypot(item.x - x, item.y - y);
    const near = (item, reach) => apart(item) <= Math.max(item.radius + 2, reach);
    const [joint] = this.joints.filter((one) => near(one, 8)).sort((a, b) => apart(a) - apart(b));
    if (joint) return { joint: joint.index };
    const point = this.drawn.findLast((one) => one.opacity > 0.15 && near(one, 4));
    if (point) return { point: point.index };
    const [px, py] = [(x - this.at.x0) / this.at.scale - 0.5, (y - this.at.y0) / this.at.scale - 0.5];
    const { looks, clip } = this.reading;
    const inside = looks && px >= 0 && py >= 0 && px < clip.width && py < clip.height;
    return inside ? { patch: this.reading.patchAt(px, py, this.store.view().frame) } : {};
  }
  render(state, theme, images) {
    if (!this.sheet.begin(theme) || !images) return;
    const { context, width, height } = this.sheet;
    const at = (this.at = fit(this.reading.clip, 0, 0, width, height));
    context.drawImage(images[state.frame], at.x0, at.y0, at.width, at.height);
    mark(this.lattice, "style", this.reading.lattice[state.lit] ?? "display:none");
    this.points(context, state, at);
    this.skeleton(context, state, at);
    drawLook(context, this.reading, state, state.frame, at, theme.accent, 7);
  }
  points(context, state, at) {
    const biggest = Math.max(6, Math.min(at.width, at.height) * 0.028) * Math.min(1, (64 / state.count) ** 0.3);
    this.drawn = pointsOn(this.reading, state, state.frame, at, biggest, this.reading.most("pointMass", state));
    const dim = this.reading.look(state) ? 0.3 : 1; // then one token's reading is on top
    const { reference = [] } = state.ghost && this.reading.points ? this.reading.pointPlaces(state) : {};
    for (let i = 0; i < reference.length; i += 3) {
      context.globalAlpha = 0.75 * timeWeight(reference[i], state.frame);
      disc(context, at.x(reference[i + 1]), at.y(reference[i + 2]), 2.2, null, WHITE);
    }
    for (const { x, y, radius, from, opacity } of this.drawn) {
      const rim = radius / Math.hypot(from[0] - x, from[1] - y); // a hair ends where the dot begins
      const hair = [from, [x + (from[0] - x) * rim, y + (from[1] - y) * rim]];
      context.globalAlpha = rim < 1 ? 0.8 * dim * opacity : 0;
      stroke(context, CASING, 2, hair);
      stroke(context, WHITE, 0.8, hair);
    }
    for (const { index, x, y, radius, opacity, colour, clamped } of this.drawn) {
      const lit = index === state.point;
      context.globalAlpha = lit ? opacity : dim * opacity;
      disc(context, x, y, radius, colour, CASING);
      Object.assign(context, { strokeStyle: WHITE, lineWidth: 1.2 });
      if (clamped) context.strokeRect(x - radius - 2.5, y - radius - 2.5, 2 * radius + 5, 2 * radius + 5);
      if (lit || state.lit === "point") disc(context, x, y, radius + (lit ? 4 : 2), null, WHITE, lit ? 2 : 1.2);
    }
    context.globalAlpha = 1;
  }
  skeleton(context, state, at) {
    this.joints = [];
    const { skeleton, M, J, clip } = this.reading;
    const found = this.reading.jointMass(state);
    const max = this.reading.most("jointMass", state) || 1;
    for (const person of skeleton?.people ?? []) {
      const from = (state.frame * M + person) * J;
      const place = skeleton.place.at(state.frame, person);
      const heights = range(J).map((j) => place[2 * j + 1]);
      // Discs stay small beside the body, so that a far-away person is not buried under their joints.
      const body = at.scale * (Math.max(...heights) - Math.min(...heights));
      const reach = Math.min(0.022 * Math.min(at.width, at.height, 420), Math.max(3, 0.022 * body));
      const joints = range(J).map((j) => {
        const [px, py] = place.subarray(2 * j, 2 * j + 2);
        const [times, base] = found ? [found.times[from + j], found.uniform[from + j]] : [0, 0];
        const size = (value) => 3 + reach * Math.sqrt(value / max);
        const ghost = state.ghost && base ? size(1) : 0; // its size under uniform attention
        const drawn = { radius: size(times), value: found ? times / max : null, ghost };
        const score = skeleton.score.values[from + j];
        return { index: person * J + j, px, py, x: at.x(px), y: at.y(py), score, ...drawn };
      });
      for (const [a, b] of skeleton.bones.map((ends) => ends.map((j) => joints[j]))) {
        const least = Math.min(a.score, b.score);
        const ends = [a, b].map(({ x, y }) => [x, y]);
        if (least) stroke(context, "rgba(10,12,16,0.5)", 4, ends);
        if (least) stroke(context, WHITE, 1.6, ends, least < LOW_SCORE ? [3, 3] : []);
      }
      // A joint that was not seen has no known place; it is drawn only where its file put one inside the frame.
      const inside = (j) => j.score > 0 || (j.px > 0 && j.py > 0 && j.px < clip.width && j.py < clip.height);
      this.joints.push(...joints.filter(inside).sort((a, b) => a.radius - b.radius));
    }
    const all = ["joint", "skeleton"].includes(state.lit);
    for (const joint of this.joints) this.joint(context, joint, all || joint.index === state.joint);
    const lit = this.joints.find(({ index }) => index === state.joint);
    this.name.hidden = !lit;
    if (lit) mark(this.name, "style", `left:${lit.x}px;top:${lit.y}px;--away:${lit.radius + 8}px`);
    if (lit) say(this.name, this.reading.called("joint", lit.index));
    this.name.classList.toggle("before", lit?.x > at.x0 + 0.5 * at.width);
  }
  joint(context, { x, y, score, value, radius, ghost }, lit) {
    const ring = radius + 2.2;
    const colour = value == null ? "#e8eaee" : viridis(value);
    const sure = score >= LOW_SCORE;
    if (!sure) context.setLineDash([2.5, 2.5]);
    disc(context, x, y, ring, sure ? "rgba(10,12,16,0.55)" : null, CASING, 2.5);
    disc(context, x, y, radius, sure ? colour : null, sure ? null : colour, 1.8);
    context.setLineDash([]);
    if (sure) disc(context, x, y, ring, null, WHITE, 1.4, score);
    if (ghost) disc(context, x, y, ghost, null, "#ff9ecb", 1.2);
    if (lit) disc(context, x, y, ring + 3.5, null, WHITE, 2);
  }
}

// All frames in a row with their points, and below each the mass that the query gives it.
export class Strip {
  constructor(host, reading) {
    Object.assign(this, { reading, alone: reading.lanes.length === 1, sheet: new Sheet(host, "Film strip") });
    const slider = { class: "columns", role: "slider", tabindex: 0, "aria-label": "Frame", "aria-valuemin": 1 };
    this.slider = element("div", { ...slider, "aria-valuemax": reading.T }, host);
    this.columns = frameColumns(this.slider, reading.T);
    for (const column of this.columns) for (const _ of reading.lanes) element("i", {}, column);
  }

  // A row of bars for each lane, all on one scale.
  bars(lane, row, state) {
    const found = lane.frameMass(lane.now(state));
    const share = (values, t) => Math.min(1, values[t] / (lane.most("frameMass", state) || 1));
    const style = (t) => (found ? `--mass:${share(found.mass, t)};--base:${share(found.uniform, t)}` : "--on:0");
    this.columns.forEach((column, t) => mark(column.children[row], "style", style(t)));
  }
  render(state, theme, images) {
    const { reading, sheet, alone } = this;
    const { clip, T } = reading;
    reading.lanes.forEach((lane, row) => this.bars(lane, row, state));
    mark(this.slider, "aria-valuenow", state.frame + 1);
    mark(this.slider, "aria-valuetext", `frame ${state.frame + 1} of ${T}, ${clip.seconds[state.frame].toFixed(2)} s`);
    const { width, height } = sheet.canvas.getBoundingClientRect();
    const look = reading.look(state);
    const token = [state.point, look && [state.patch, state.joint, state.frame], state.eachFrame && state.frame];
    const key = JSON.stringify([state.key, state.count, token, width, height, theme.accent, !images]);
    if (key === this.key || !sheet.begin(theme) || !images) return;
    this.key = key;
    for (const t of range(T)) {
      const at = fit(clip, (t * width) / T + 1, 1, width / T - 2, height - 2);
      sheet.context.drawImage(images[t], at.x0, at.y0, at.width, at.height);
      const most = this.reading.most("pointMass", state);
      const points = alone && !look ? pointsOn(reading, state, t, at, Math.max(1.6, at.height * 0.05), most) : [];
      for (const { x, y, radius, colour, opacity } of points) {
        sheet.context.globalAlpha = opacity;
        disc(sheet.context, x, y, radius, colour, "rgba(10,12,16,0.5)", 0.5);
      }
      sheet.context.globalAlpha = 1;
      drawLook(sheet.context, reading, state, t, at, theme.accent, 3);
    }
  }
}
