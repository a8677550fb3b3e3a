// Stage and film strip: the frames, what was sampled where, and the skeleton.
import { timeWeight } from "./reading.js";
import { disc, Sheet, stroke, svg, timeColour, viridis, write } from "./drawing.js";

const CASING = "rgba(10, 12, 16, 0.75)";
const LOW_SCORE = 0.3;

// The frames of a payload's sprite as separate images, in the size they were sent.
export async function loadFrames({ sprite, clip }) {
  const image = new Image();
  image.src = sprite.src;
  await image.decode();
  const cut = (t) => {
    const x = (t % sprite.columns) * sprite.width, y = Math.floor(t / sprite.columns) * sprite.height;
    return createImageBitmap(image, x, y, sprite.width, sprite.height);
  };
  return Promise.all(Array.from({ length: clip.frames }, (_, t) => cut(t)));
}

// Where pixels of the clip are on the canvas. Integer pixel coordinates are pixel centres, hence the half.
export function fit(clip, left, top, width, height) {
  const scale = Math.min(width / clip.width, height / clip.height);
  const x0 = left + (width - scale * clip.width) / 2, y0 = top + (height - scale * clip.height) / 2;
  const x = (px) => x0 + scale * (px + 0.5), y = (py) => y0 + scale * (py + 0.5);
  return { scale, x0, y0, width: scale * clip.width, height: scale * clip.height, x, y };
}

// The points to draw on one frame, largest last so that small ones are not buried: place, size, opacity, colour.
export function pointsOn(reading, state, frame, at, biggest, maxMass) {
  const found = reading.pointMass(state);
  if (!found) return [];
  const { place, reference, clamped, moved, most } = reading.pointPlaces(state);
  const shown = found.order.slice(0, state.count);
  if (state.point != null && !shown.includes(state.point)) shown.push(state.point);
  return shown.flatMap((i) => {
    const opacity = timeWeight(place[3 * i], frame);
    if (opacity <= 0) return [];
    const radius = Math.max(1, biggest * Math.sqrt(found.mass[i] / (maxMass || 1)));
    const [x, y] = [at.x(place[3 * i + 1]), at.y(place[3 * i + 2])];
    const [fromX, fromY] = [at.x(reference[3 * i + 1]), at.y(reference[3 * i + 2])];
    return [{ i, x, y, fromX, fromY, radius, opacity, colour: timeColour(moved[i], most), clamped: clamped[i] > 0 }];
  }).sort((a, b) => a.radius - b.radius);
}

export class Stage {
  constructor(host, reading, store, group) {
    Object.assign(this, { reading, store, group });
    this.sheet = new Sheet(host, "Frame with skeleton and sampling points");
    this.sheet.listen(store, (x, y) => this.find(x, y));
  }

  // Where pixel (x, y) of the clip is drawn, in CSS pixels of the canvas, and what is drawn now.
  geometry() { return { ...this.at, place: [this.at.x(0), this.at.y(0)], points: this.drawn ?? [], joints: this.joints ?? [] }; }

  find(x, y) {
    const apart = (item) => Math.hypot(item.x - x, item.y - y);
    const near = (item, reach) => apart(item) <= Math.max(item.radius + 2, reach);
    const [joint] = (this.joints ?? []).filter((j) => near(j, 8)).sort((a, b) => apart(a) - apart(b));
    if (joint) return { joint: joint.index };
    const point = (this.drawn ?? []).findLast((p) => p.opacity > 0.15 && near(p, 4));
    return point ? { point: point.i } : null;
  }

  render(state, theme, images) {
    if (!this.sheet.begin(theme) || !images) return;
    const { context, width, height } = this.sheet;
    const { clip } = this.reading;
    const at = (this.at = fit(clip, 0, 0, width, height));
    context.imageSmoothingQuality = "high";
    context.drawImage(images[state.frame], at.x0, at.y0, at.width, at.height);
    this.outline(context, at);
    if (state.ghost) this.references(context, state, at);
    this.points(context, state, at);
    this.skeleton(context, state, at, theme);
  }

  // The region that the model saw; the rest is dimmed. Its corners are pixel edges, half a pixel from the centres.
  outline(context, at) {
    const corners = this.reading.clip.box.map(([x, y]) => [at.x(x), at.y(y)]);
    const within = ([x, y]) => x > at.x0 + 1 && x < at.x0 + at.width - 1 || y > at.y0 + 1 && y < at.y0 + at.height - 1;
    if (!corners.some(within)) return; // it saw the whole frame
    context.save();
    context.beginPath();
    context.rect(at.x0, at.y0, at.width, at.height);
    context.clip();
    context.beginPath();
    context.rect(at.x0, at.y0, at.width, at.height);
    corners.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.closePath();
    context.fillStyle = "rgba(8, 10, 14, 0.55)";
    context.fill("evenodd");
    stroke(context, "rgba(255,255,255,0.85)", 1, [...corners, corners[0]]);
    context.restore();
  }

  references(context, state, at) {
    const places = this.reading.points && this.reading.pointPlaces(state);
    if (!places) return;
    for (let i = 0; i < places.reference.length / 3; i++) {
      context.globalAlpha = 0.75 * timeWeight(places.reference[3 * i], state.frame);
      const [x, y] = [at.x(places.reference[3 * i + 1]), at.y(places.reference[3 * i + 2])];
      if (context.globalAlpha > 0) disc(context, x, y, 2.2, null, "#fff", 1);
    }
    context.globalAlpha = 1;
  }

  points(context, state, at) {
    const biggest = Math.max(6, Math.min(at.width, at.height) * 0.028) * Math.min(1, (64 / state.count) ** 0.3);
    this.drawn = pointsOn(this.reading, state, state.frame, at, biggest, this.group.most("pointMass", state));
    for (const p of this.drawn) { // a hair ends at the rim, so that it does not show through the dot
      const long = Math.hypot(p.fromX - p.x, p.fromY - p.y), rim = p.radius / long;
      if (long <= p.radius) continue;
      const hair = [[p.fromX, p.fromY], [p.x + (p.fromX - p.x) * rim, p.y + (p.fromY - p.y) * rim]];
      context.globalAlpha = p.opacity * 0.8;
      stroke(context, CASING, 2, hair);
      stroke(context, "rgba(255,255,255,0.9)", 0.8, hair);
    }
    for (const p of this.drawn) {
      context.globalAlpha = p.opacity;
      disc(context, p.x, p.y, p.radius, p.colour, CASING, 1);
      if (p.clamped) {
        const half = p.radius + 2.5;
        Object.assign(context, { strokeStyle: "#fff", lineWidth: 1.2 });
        context.strokeRect(p.x - half, p.y - half, 2 * half, 2 * half);
      }
      if (p.i === state.point) disc(context, p.x, p.y, p.radius + 4, null, "#fff", 2);
    }
    context.globalAlpha = 1;
  }

  skeleton(context, state, at, theme) {
    this.joints = [];
    const { skeleton, place, score, M, J } = this.reading;
    if (!skeleton) return;
    const found = this.reading.jointMass(state), max = this.group.most("jointMass", state);
    for (const m of skeleton.people) {
      // Discs stay small beside the body, so that a far-away person is not buried under their joints.
      const from = (state.frame * M + m) * J, heights = Array.from({ length: J }, (_, j) => place.values[2 * (from + j) + 1]);
      const body = at.scale * (Math.max(...heights) - Math.min(...heights));
      const reach = Math.min(0.022 * Math.min(at.width, at.height, 420), Math.max(3, 0.022 * body));
      const joint = (j) => {
        const index = from + j;
        const [px, py] = [place.values[2 * index], place.values[2 * index + 1]];
        const value = found ? found.mass[index] / (max || 1) : null;
        const radius = value == null ? 3 : 3 + reach * Math.sqrt(value);
        return { index: m * J + j, px, py, x: at.x(px), y: at.y(py), score: score[index], value, radius };
      };
      const joints = skeleton.names.map((_, j) => joint(j));
      for (const [a, b] of skeleton.bones) {
        if (!joints[a].score || !joints[b].score) continue;
        const ends = [[joints[a].x, joints[a].y], [joints[b].x, joints[b].y]];
        const unsure = Math.min(joints[a].score, joints[b].score) < LOW_SCORE;
        stroke(context, "rgba(10,12,16,0.5)", 4, ends);
        stroke(context, "rgba(255,255,255,0.92)", 1.6, ends, unsure ? [3, 3] : []);
      }
      // A joint that was not seen has no known place; it is drawn only where its file put one inside the frame.
      const { width, height } = this.reading.clip;
      const inside = (j) => j.score > 0 || (j.px > 0 && j.py > 0 && j.px < width && j.py < height);
      for (const j of joints.filter(inside).sort((a, b) => a.radius - b.radius)) this.joint(context, j, state, theme);
    }
  }

  joint(context, j, state, theme) {
    this.joints.push(j);
    const unsure = j.score < LOW_SCORE, ring = j.radius + 2.2;
    if (unsure) {
      context.setLineDash([2.5, 2.5]);
      disc(context, j.x, j.y, j.radius + 1, null, CASING, 3.5);
      disc(context, j.x, j.y, j.radius + 1, null, j.value == null ? "#fff" : viridis(j.value), 1.8);
      context.setLineDash([]);
    } else {
      disc(context, j.x, j.y, ring, "rgba(10,12,16,0.55)", CASING, 2.5);
      disc(context, j.x, j.y, j.radius, j.value == null ? "#e8eaee" : viridis(j.value));
      context.beginPath();
      context.arc(j.x, j.y, ring, -Math.PI / 2, -Math.PI / 2 + 2 * Math.PI * j.score);
      Object.assign(context, { strokeStyle: "#fff", lineWidth: 1.4 });
      context.stroke();
    }
    if (j.index === state.joint) {
      disc(context, j.x, j.y, ring + 3.5, null, "#fff", 2);
      const flip = j.x > this.at.x0 + 0.7 * this.at.width;
      context.font = `600 12px ${theme.font}`;
      const x = j.x + (flip ? -ring - 8 : ring + 8);
      write(context, this.reading.jointName(j.index), x, j.y, "#fff", flip ? "right" : "left", "rgba(10,12,16,0.85)");
    }
  }
}

export class Strip {
  constructor(host, reading, store, group, clock, withPoints = true) {
    Object.assign(this, { reading, store, group, clock, withPoints, tallest: withPoints ? 64 : 76 });
    this.sheet = new Sheet(host, "Film strip");
    const slider = { role: "slider", tabindex: 0, "aria-label": "Frame", "aria-valuemin": 1, "aria-valuemax": reading.T, class: "strip-canvas" };
    for (const [name, value] of Object.entries(slider)) this.sheet.canvas.setAttribute(name, value);
    this.sheet.listen(store, (x) => ({ frame: this.frameAt(x) }));
  }

  frameAt(x) { return Math.max(0, Math.min(this.reading.T - 1, Math.floor((x / this.sheet.width) * this.reading.T))); }

  render(state, theme, images) {
    const { reading, sheet } = this;
    const cell = sheet.canvas.clientWidth / reading.T, gap = cell > 26 ? 2 : 1;
    const thumb = Math.min(this.tallest, ((cell - 2 * gap) * reading.clip.height) / reading.clip.width);
    const found = this.withPoints && reading.frameMass(state), bars = found ? 16 : 0;
    sheet.canvas.style.height = `${Math.round(thumb + 20 + bars)}px`;
    if (!sheet.begin(theme) || !images) return;
    const queried = state.eachFrame && state.frame; // then the weights change with the frame
    const still = `${reading.id} ${reading.key(state)} ${state.count} ${queried} ${state.point}`;
    sheet.still(still, (context) => {
      for (let t = 0; t < reading.T; t++) {
        const at = fit(reading.clip, t * cell + gap, 2, cell - 2 * gap, thumb);
        context.imageSmoothingQuality = "high";
        context.drawImage(images[t], at.x0, at.y0, at.width, at.height);
        if (this.withPoints) {
          const biggest = Math.max(1.6, thumb * 0.05);
          for (const p of pointsOn(reading, state, t, at, biggest, this.group.most("pointMass", state))) {
            context.globalAlpha = p.opacity;
            disc(context, p.x, p.y, Math.max(0.7, p.radius), p.colour, "rgba(10,12,16,0.5)", 0.5);
          }
          context.globalAlpha = 1;
        }
        if (!found) continue;
        const top = thumb + 18, h = (13 * found.mass[t]) / found.max;
        context.fillStyle = theme.soft;
        context.fillRect(t * cell + gap, top + 13 - h, cell - 2 * gap, h);
        const base = top + 13 - (13 * Math.min(found.max, found.base[t])) / found.max;
        stroke(context, theme.ink, 1, [[t * cell + gap, base], [(t + 1) * cell - gap, base]], [1.5, 2]);
      }
    });
    const { context } = sheet, every = Math.max(1, Math.ceil(20 / cell));
    for (let t = 0; t < reading.T; t++) {
      const here = t === state.frame;
      context.font = `${here ? 600 : 400} 11px ${theme.font}`;
      if (here || t % every === 0) write(context, t + 1, (t + 0.5) * cell, thumb + 11, here ? theme.accent : theme.soft, "center");
    }
    Object.assign(context, { strokeStyle: theme.accent, lineWidth: 2 });
    const here = fit(reading.clip, state.frame * cell + gap, 2, cell - 2 * gap, thumb);
    context.strokeRect(here.x0 - 1, here.y0 - 1, here.width + 2, here.height + 2);
    if (this.store.chosen.frame !== state.frame) { // a preview leaves a mark where the playhead waits
      context.fillStyle = theme.accent;
      context.fillRect(this.store.chosen.frame * cell + gap, thumb + 3, cell - 2 * gap, 2);
    }
    sheet.canvas.setAttribute("aria-valuenow", state.frame + 1);
    const seconds = reading.clip.seconds[state.frame].toFixed(2);
    sheet.canvas.setAttribute("aria-valuetext", `frame ${state.frame + 1} of ${reading.T}, ${seconds} s`);
  }
}
