// The stage: one frame with its skeletons. Joints are dragged, or focused and moved with the arrow keys.
import { Keys } from "./keys.js";

const SVG = "http://www.w3.org/2000/svg";
const RADIUS = 6, REACH = 15; // CSS pixels: what is drawn, and what a finger hits

function draw(tag, attributes, parent, text = null) {
  const made = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) if (value != null) made.setAttribute(key, value);
  if (text != null) made.textContent = text;
  parent?.append(made);
  return made;
}

export class Stage {
  constructor(host, view) {
    Object.assign(this, { host, view, drag: null });
    this.picture = document.createElement("canvas");
    this.picture.setAttribute("aria-hidden", "true");
    this.svg = draw("svg", { role: "group", "aria-label": "the frame with its joints" }, null);
    host.append(this.picture, this.svg);
    this.svg.addEventListener("pointerdown", (event) => this.down(event));
    this.svg.addEventListener("pointermove", (event) => this.move(event));
    this.svg.addEventListener("pointerup", (event) => this.up(event));
    this.svg.addEventListener("pointercancel", () => this.cancel());
  }

  get scale() { return this.host.clientWidth / this.view.data.clip.width; }
  x(px) { return (px + 0.5) * this.scale; } // integer pixel coordinates are pixel centres, hence the half
  where(event) {
    const box = this.svg.getBoundingClientRect();
    return [(event.clientX - box.left) / this.scale - 0.5, (event.clientY - box.top) / this.scale - 0.5];
  }

  paint() {
    const { view, picture, scale } = this, { width, height } = view.data.clip, ratio = window.devicePixelRatio || 1;
    if (!scale) return;
    const wide = Math.round(width * scale * ratio), high = Math.round(height * scale * ratio);
    if (picture.width !== wide || picture.height !== high) Object.assign(picture, { width: wide, height: high });
    const frame = view.film?.[view.frame];
    const context = picture.getContext("2d");
    context.imageSmoothingQuality = "high";
    if (frame?.complete && frame.naturalWidth) context.drawImage(frame, 0, 0, wide, high);
    else frame?.addEventListener("load", () => view.draw(), { once: true });
    this.svg.setAttribute("viewBox", `0 0 ${width * scale} ${height * scale}`);
    Object.assign(this.svg.style, view.boxing ? { cursor: "crosshair", touchAction: "none" } : { cursor: "default", touchAction: "pan-y" });
    this.skeletons();
  }

  // Elements are kept while the same joints are shown: what is focused stays focused, what is dragged keeps the pointer.
  skeletons() {
    const { view, svg } = this;
    const poses = Array.from({ length: view.data.people }, (_, m) => view.keys.pose(m, view.frame));
    const shape = poses.map((pose) => (pose ? 1 : 0)).join("") + view.data.edition;
    if (shape !== this.shape) {
      this.shape = shape;
      svg.replaceChildren();
      this.people = poses.map((pose, m) => (pose ? this.person(m) : null));
      this.rubber = draw("rect", { class: "p-rubber", visibility: "hidden" }, svg);
    }
    poses.forEach((pose, m) => pose && this.put(this.people[m], pose, m));
  }

  person(m) {
    const { layout } = this.view.data, group = draw("g", {}, this.svg);
    const casings = layout.bones.map(() => draw("line", { class: "p-casing" }, group));
    const bones = layout.bones.map(([, b]) => draw("line", { class: "p-bone", stroke: layout.colours[b] }, group));
    const joints = layout.joints.map((name, j) => {
      const joint = draw("g", { class: "p-joint", tabindex: 0, role: "button", "data-joint": j, "data-person": m }, group);
      draw("circle", { class: "p-reach", r: REACH }, joint);
      draw("circle", { class: "p-ring", r: RADIUS + 3.5, pathLength: 100 }, joint);
      draw("circle", { class: "p-dot", r: RADIUS, fill: layout.colours[j] }, joint);
      draw("path", { class: "p-cross", d: "M-4 -4L4 4M-4 4L4 -4" }, joint);
      draw("text", { class: "p-name", x: 11, y: 4 }, joint, name);
      joint.addEventListener("focus", () => this.view.point(m, j));
      joint.addEventListener("pointerenter", () => this.view.point(m, j));
      joint.addEventListener("keydown", (event) => this.key(event, m, j));
      return joint;
    });
    return { group, casings, bones, joints };
  }

  put({ group, casings, bones, joints }, pose, m) {
    const { view } = this, { layout } = view.data, mine = m === view.person;
    group.classList.toggle("p-other", !mine);
    layout.bones.forEach(([a, b], i) => {
      const shown = pose.seen[a] && pose.seen[b];
      const ends = { x1: this.x(pose.place[a][0]), y1: this.x(pose.place[a][1]), x2: this.x(pose.place[b][0]), y2: this.x(pose.place[b][1]) };
      for (const line of [casings[i], bones[i]]) {
        for (const [key, value] of Object.entries(ends)) line.setAttribute(key, value);
        line.setAttribute("visibility", shown ? "visible" : "hidden");
      }
      bones[i].style.opacity = 0.35 + 0.65 * Math.min(pose.trust[a] ?? 0.6, pose.trust[b] ?? 0.6);
    });
    joints.forEach((joint, j) => {
      const [x, y] = pose.place[j], trust = pose.trust[j], here = mine && j === view.joint;
      joint.setAttribute("transform", `translate(${this.x(x)} ${this.x(y)})`);
      joint.classList.toggle("p-unseen", !pose.seen[j]);
      joint.classList.toggle("p-placed", pose.key);
      joint.classList.toggle("p-here", here || view.names);
      joint.classList.toggle("p-left", this.x(x) > 0.75 * this.host.clientWidth);
      joint.children[1].setAttribute("stroke-dasharray", pose.key ? "100 0" : `${100 * (trust ?? 0)} 100`);
      joint.children[2].style.fillOpacity = pose.key ? 1 : 0.3 + 0.7 * (trust ?? 0.3);
      const sure = pose.key ? "placed by hand" : trust == null ? "being found" : `tracked, confidence ${Math.round(100 * trust)} %`;
      const whose = view.data.people > 1 ? ` of person ${m + 1}` : "";
      joint.setAttribute("aria-label", `${layout.joints[j]}${whose}: x ${Math.round(x)}, y ${Math.round(y)}, ${pose.seen[j] ? sure : "not seen"}`);
    });
  }

  down(event) {
    if (event.button) return;
    const { view } = this, at = this.where(event), joint = event.target.closest?.(".p-joint");
    const bone = event.target.closest?.(".p-casing, .p-bone");
    if (view.boxing) this.drag = { box: at };
    else if (joint) this.drag = { person: Number(joint.dataset.person), joint: Number(joint.dataset.joint), from: at };
    else if (bone) this.drag = { person: this.people.findIndex((each) => each?.group.contains(bone)), from: at };
    else return;
    event.preventDefault();
    this.svg.setPointerCapture(event.pointerId);
    if (joint && !view.boxing) {
      joint.focus({ preventScroll: true });
      view.point(this.drag.person, this.drag.joint);
    }
    if (!this.drag.box) this.drag.pose = view.keys.pose(this.drag.person, view.frame);
  }

  move(event) {
    const { drag, view } = this;
    if (!drag) return;
    const at = this.where(event);
    if (drag.box) {
      const [left, right] = [drag.box[0], at[0]].sort((a, b) => a - b), [top, bottom] = [drag.box[1], at[1]].sort((a, b) => a - b);
      const sides = { x: this.x(left), y: this.x(top), width: (right - left) * this.scale, height: (bottom - top) * this.scale, visibility: "visible" };
      for (const [key, value] of Object.entries(sides)) this.rubber.setAttribute(key, value);
      drag.drawn = [left, top, right, bottom];
      return;
    }
    const shift = [at[0] - drag.from[0], at[1] - drag.from[1]];
    if (!drag.moved && Math.hypot(...shift) * this.scale < 2) return; // a click moves nothing
    const place = drag.pose.place.map(([x, y], j) => (drag.joint == null || j === drag.joint ? [x + shift[0], y + shift[1]] : [x, y]));
    const seen = drag.pose.seen.map((value, j) => value || j === drag.joint);
    view.keys.change(drag.person, view.frame, { place, seen }, !drag.moved);
    drag.moved = true;
    view.draw();
  }

  up() {
    const { drag, view } = this;
    this.drag = null;
    if (!drag) return;
    this.rubber.setAttribute("visibility", "hidden");
    if (drag.drawn) view.stand(drag.drawn);
    else if (drag.moved) view.commit();
  }

  cancel() {
    if (this.drag?.moved) this.view.commit();
    this.drag = null;
    this.rubber?.setAttribute("visibility", "hidden");
  }

  key(event, m, j) {
    const { view } = this, step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const pose = view.keys.pose(m, view.frame), grow = { "+": 1.05, "=": 1.05, "-": 1 / 1.05 }[event.key];
    let place = null, seen = [...pose.seen];
    if (step && !event.ctrlKey && !event.metaKey) {
      const far = event.shiftKey ? 10 : 1;
      place = pose.place.map(([x, y], i) => (event.altKey || i === j ? [x + far * step[0], y + far * step[1]] : [x, y]));
    } else if (grow && !event.ctrlKey && !event.metaKey) {
      const middle = [0, 1].map((axis) => pose.place.reduce((sum, p) => sum + p[axis], 0) / pose.place.length);
      place = pose.place.map((p) => p.map((value, axis) => middle[axis] + grow * (value - middle[axis])));
    } else if (event.key === "Delete" || event.key === "Backspace" || event.key === " ") {
      place = pose.place;
      seen[j] = !seen[j];
    }
    if (!place) return;
    event.preventDefault();
    event.stopPropagation();
    view.keys.change(m, view.frame, { place, seen });
    view.draw();
    view.commitSoon();
  }
}
