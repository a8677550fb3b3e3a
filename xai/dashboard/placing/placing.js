// Placing joints by hand: the stage, the joints by name, the frames, and what can be done. The frames and all places
// are here: dragging, stepping and undoing never wait for the server, which only finds the joints between key frames.
import { Keys } from "./keys.js";
import { Stage } from "./stage.js";

const SOON = 350; // ms after the last key press
const HIGH = 560; // CSS pixels of the stage
const KEYS = "Drag a joint, or a bone to move the whole person. With the keyboard: Tab to a joint; arrows move it by a pixel, with Shift by ten, with Alt the whole person; + and - resize the person; Space says whether the joint is seen; comma and full stop step through the frames; Ctrl+Z undoes.";

function make(tag, attributes = {}, parent = null, text = null) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text != null) made.textContent = text;
  parent?.append(made);
  return made;
}

class Placing {
  constructor(root) {
    Object.assign(this, { root, frame: 0, person: 0, joint: 0, names: false, boxing: false });
    this.onFilm = () => { this.film = globalThis.kinescopeFilms?.get(this.data.film); this.strip(); this.draw(); };
    document.addEventListener("kinescope-film", this.onFilm);
    this.watch = new ResizeObserver(() => this.draw());
  }

  close() {
    document.removeEventListener("kinescope-film", this.onFilm);
    this.watch.disconnect();
    clearTimeout(this.timer);
  }

  show(data) {
    const anew = this.data?.edition !== data.edition, left = globalThis.kinescopePlacing;
    this.data = data;
    if (!anew) {
      this.keys.take(data.tracked);
      return this.draw();
    }
    if (left?.keys.edition === data.edition) this.goOn(left);
    else {
      this.keys = new Keys(data);
      this.frame = Math.min(this.frame, data.clip.frames - 1);
      this.person = Math.min(this.person, data.people - 1);
      this.joint = 0;
      this.boxing = !this.anybody(this.person);
    }
    globalThis.kinescopePlacing = this;
    this.build();
    this.onFilm();
  }

  // Another page was looked at, or the element was drawn anew: frame, undo and what was not reported yet are as left.
  goOn({ keys, frame, person, joint, names, boxing }) {
    Object.assign(this, { keys, frame, person, joint, names, boxing });
    keys.take(this.data.tracked);
    if (keys.revision !== this.data.revision) this.commitSoon();
  }

  anybody(person) { return this.keys.framesOf(person).length > 0 || Boolean(this.data.given[person]); }

  build() {
    const { root, data } = this;
    root.replaceChildren();
    const bar = make("div", { class: "p-bar" }, root);
    const button = (parent, text, title, act) => {
      const made = make("button", { type: "button", title }, parent, text);
      made.addEventListener("click", () => { act(); this.draw(); });
      return made;
    };
    this.whose = [];
    if (data.people > 1) {
      const group = make("span", { class: "p-group", role: "group", "aria-label": "whose joints" }, bar);
      for (let m = 0; m < data.people; m++)
        this.whose.push(button(group, `Person ${m + 1}`, `place person ${m + 1}`, () => { this.person = m; this.boxing = !this.anybody(m); }));
    }
    const first = make("span", { class: "p-group" }, bar);
    this.boxer = button(first, "Draw a box", "drag a rectangle around the person; a standing skeleton is fitted to it", () => { this.boxing = !this.boxing; });
    button(first, "Stand mid-frame", "put a standing skeleton in the middle of the frame", () => this.middle());
    this.copier = button(first, "Copy previous key", "put the joints of the previous key frame here", () => this.copy());
    this.keyer = button(make("span", { class: "p-group" }, bar), "Key frame", "keep these joints as they are, or give them back to tracking", () => this.toggleKey());
    const last = make("span", { class: "p-group" }, bar);
    this.undoer = button(last, "Undo", "Ctrl+Z", () => this.keys.undo() && this.commit());
    this.redoer = button(last, "Redo", "Ctrl+Shift+Z", () => this.keys.redo() && this.commit());
    const label = make("label", { class: "p-toggle" }, bar);
    const box = make("input", { type: "checkbox" }, label);
    label.append("all names");
    box.checked = this.names;
    box.addEventListener("change", () => { this.names = box.checked; this.draw(); });

    const main = make("div", { class: "p-main" }, root);
    const left = make("div", { class: "p-view" }, main);
    const host = make("div", { class: "p-stage" }, left);
    host.style.aspectRatio = `${data.clip.width} / ${data.clip.height}`;
    left.style.maxWidth = `${Math.round((HIGH * data.clip.width) / data.clip.height)}px`;
    this.hint = make("p", { class: "p-hint" }, host);
    this.stage = new Stage(host, this);
    this.watch.disconnect();
    this.watch.observe(host);
    const time = make("div", { class: "p-time" }, left);
    button(time, "◀", "frame before (,)", () => this.step(-1)).setAttribute("aria-label", "frame before");
    this.slider = make("input", { type: "range", min: 0, max: data.clip.frames - 1, "aria-label": "frame" }, time);
    this.slider.addEventListener("input", () => { this.frame = Number(this.slider.value); this.draw(); });
    button(time, "▶", "next frame (.)", () => this.step(1)).setAttribute("aria-label", "next frame");
    this.clock = make("span", { class: "p-clock" }, time);

    const side = make("div", { class: "p-side" }, main);
    this.list = make("ul", { class: "p-list", "aria-label": "joints" }, side);
    this.rows = data.layout.joints.map((name, j) => {
      const row = make("li", {}, this.list);
      const check = make("input", { type: "checkbox", "aria-label": `${name} is seen` }, row);
      check.addEventListener("change", () => this.see(j, check.checked));
      const choose = button(row, name, "show it in the frame", () => this.focus(j));
      choose.style.setProperty("--hue", data.layout.colours[j]);
      const meter = make("span", { class: "p-meter" }, row);
      make("i", {}, meter);
      const number = make("span", { class: "p-number" }, row);
      row.addEventListener("pointerenter", () => this.point(this.person, j));
      return { row, check, choose, meter, number };
    });
    this.tape = make("div", { class: "p-film", "aria-hidden": "true" }, root);
    this.said = make("p", { class: "p-said", role: "status" }, side);
    make("p", { class: "p-keys" }, side, KEYS);
    root.onkeydown = (event) => this.shortcut(event);
    root.onfocusout = () => this.timer && this.commit(); // the last key press counts, whatever is pressed next
  }

  strip() {
    if (!this.tape || !this.film) return;
    this.tape.replaceChildren();
    this.cells = this.film.map((picture, t) => {
      const cell = make("div", { class: "p-cell" }, this.tape);
      const image = make("img", { src: picture.src, alt: "", draggable: "false" }, cell);
      image.addEventListener("click", () => { this.frame = t; this.draw(); });
      make("i", {}, cell);
      make("span", {}, cell, String(this.data.clip.numbers[t]));
      return cell;
    });
  }

  shortcut(event) {
    const undo = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z";
    const step = event.ctrlKey || event.metaKey || event.altKey ? 0 : { ",": -1, ".": 1 }[event.key];
    if (undo) (event.shiftKey ? this.keys.redo() : this.keys.undo()) && this.commit();
    else if (step) this.step(step);
    else if (event.key === "Escape" && this.boxing && this.anybody(this.person)) this.boxing = false;
    else return;
    event.preventDefault();
    event.stopPropagation();
    this.draw();
  }

  step(by) { this.frame = Math.max(0, Math.min(this.data.clip.frames - 1, this.frame + by)); }

  point(person, joint) {
    if (person === this.person && joint === this.joint) return;
    if (this.stage.drag) return;
    Object.assign(this, { person, joint });
    this.draw();
  }

  focus(j) {
    this.joint = j;
    this.stage.people?.[this.person]?.joints[j].focus();
  }

  // ---- What can be done; each ends in a report to the server ------------------------------------------------------

  stand([left, top, right, bottom]) {
    if (right - left < 4 || bottom - top < 4) return;
    const place = this.data.layout.pose.map(([x, y]) => [left + x * (right - left), top + y * (bottom - top)]);
    this.boxing = false;
    this.keys.change(this.person, this.frame, { place, seen: place.map(() => true) });
    this.commit();
  }

  middle() {
    const { width, height } = this.data.clip, high = 0.8 * height, wide = Math.min(0.8 * width, 0.5 * high);
    this.stand([(width - wide) / 2, 0.1 * height, (width + wide) / 2, 0.9 * height]);
  }

  copy() {
    const [before] = this.keys.around(this.person, this.frame);
    if (before == null) return;
    this.keys.change(this.person, this.frame, this.keys.of(this.person, before));
    this.commit();
  }

  toggleKey() {
    const pose = this.keys.pose(this.person, this.frame);
    if (!pose) return;
    this.keys.change(this.person, this.frame, pose.key ? null : pose);
    this.boxing = !this.anybody(this.person);
    this.commit();
  }

  see(j, seen) {
    const pose = this.keys.pose(this.person, this.frame);
    if (pose) {
      this.keys.change(this.person, this.frame, { ...pose, seen: pose.seen.map((value, i) => (i === j ? seen : value)) });
      this.commit();
    }
  }

  commit() {
    clearTimeout(this.timer);
    this.timer = null;
    this.draw();
    this.report(this.keys.report());
  }

  commitSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.commit(), SOON);
  }

  // ---- Drawing ------------------------------------------------------------------------------------------------------

  draw() {
    if (!this.waiting) this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.paint(); });
  }

  paint() {
    if (!this.stage) return;
    const { data, frame, person, keys } = this, pose = keys.pose(person, frame), many = keys.framesOf(person);
    this.stage.paint();
    this.slider.value = frame;
    const number = data.clip.numbers[frame], seconds = data.clip.seconds[frame].toFixed(2);
    this.clock.textContent = `frame ${number}, ${seconds} s`;
    this.slider.setAttribute("aria-valuetext", `frame ${number}, ${seconds} seconds${pose?.key ? ", key frame" : ""}`);
    this.whose.forEach((button, m) => button.setAttribute("aria-pressed", m === person));
    this.boxer.setAttribute("aria-pressed", this.boxing);
    this.keyer.setAttribute("aria-pressed", Boolean(pose?.key));
    this.keyer.disabled = !pose;
    this.copier.disabled = keys.around(person, frame)[0] == null;
    this.undoer.disabled = !keys.past.length;
    this.redoer.disabled = !keys.future.length;
    this.hint.hidden = !this.boxing;
    this.hint.textContent = `Drag a box around ${data.people > 1 ? `person ${person + 1}` : "the person"}`;
    this.rows.forEach(({ row, check, choose, meter, number: text }, j) => {
      const trust = pose?.trust[j];
      row.classList.toggle("p-here", j === this.joint);
      check.checked = Boolean(pose?.seen[j]);
      check.disabled = choose.disabled = !pose;
      meter.firstChild.style.width = `${100 * (pose?.key ? pose.seen[j] : trust ?? 0)}%`;
      text.textContent = !pose ? "" : !pose.seen[j] ? "unseen" : pose.key ? "placed" : trust == null ? "…" : trust.toFixed(2);
    });
    this.cells?.forEach((cell, t) => {
      const each = t === frame ? pose : keys.pose(person, t), seen = each?.trust.filter((_, j) => each.seen[j]) ?? [];
      const mean = seen.length ? seen.reduce((sum, value) => sum + (value ?? 0), 0) / seen.length : 0;
      cell.classList.toggle("p-here", t === frame);
      cell.classList.toggle("p-key", Boolean(each?.key));
      cell.children[1].style.width = `${100 * mean}%`;
    });
    const cell = this.cells?.[frame];
    if (cell && this.scrolled !== frame) {
      this.scrolled = frame;
      this.tape.scrollLeft = cell.offsetLeft - (this.tape.clientWidth - cell.clientWidth) / 2;
    }
    const listed = many.map((t) => data.clip.numbers[t]).join(", "), who = data.people > 1 ? `Person ${person + 1}: ` : "";
    this.said.textContent = many.length
      ? `${who}${many.length} key frame${many.length > 1 ? "s" : ""} (${listed}). ${this.advice(many)}`
      : data.given[person] ? `${who}joints were brought; dragging one corrects this frame.` : `${who}no key frame yet. Draw a box around the person, or let a skeleton stand mid-frame, then drag its joints.`;
  }

  // The frame that is known worst: where another key frame would help most.
  advice(many) {
    const { keys, person, data } = this;
    if (data.given[person]) return "Joints were brought; dragging one corrects its frame.";
    let worst = null;
    for (let t = 0; t < data.clip.frames; t++) {
      const pose = keys.pose(person, t), seen = pose && !pose.key ? pose.trust.filter((_, j) => pose.seen[j]) : [];
      if (seen.some((value) => value == null)) return "Finding the joints between them.";
      const mean = seen.length ? seen.reduce((sum, value) => sum + value, 0) / seen.length : 1;
      if (mean < (worst?.mean ?? 0.95)) worst = { t, mean };
    }
    if (!worst) return "The joints between them were followed with confidence.";
    return `Least sure: frame ${data.clip.numbers[worst.t]} (${Math.round(100 * worst.mean)} %); correct a joint there and it becomes a key frame.`;
  }
}

const open = new WeakMap();

export default function mount({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".placing");
  if (!open.has(root)) open.set(root, (root.view = new Placing(root)));
  const view = open.get(root);
  view.report = (keys) => setStateValue("keys", keys);
  view.show(data);
  return () => {
    view.close();
    open.delete(root);
  };
}
