// Player: one clock and one highlight drive all views, for one reading or for several lanes of the same clip.
import { digits, Reading, tokenName } from "./reading.js";
import { Clock, Store } from "./store.js";
import { element, readTheme, say } from "./drawing.js";
import { loadFrames, Stage, Strip } from "./stage.js";
import { Curves, Ledger } from "./charts.js";
import { Diagram, headChoices, layerChoices, queryChoices } from "./diagram.js";
import { Answers, Key, readout, renderChips, renderLegend, steps } from "./legend.js";

const KEYS = [
  ["← →", "step one frame"], ["Home End", "first, last frame"], ["Space", "play, pause"], [", .", "slower, faster: ¼, ½, 1 ×"],
  ["↑ ↓", "previous, next joint"], ["Enter", "pin frame and joint"], ["Esc", "free what is pinned"], ["[ ]", "previous, next block"],
  ["h", "next head"], ["q", "next query token"], ["g", "references (zero offsets)"], ["m", "curves or heat map"], ["?", "this list"],
];

// One clip through one checkpoint: sentence, answers, stage, key, curves, ledger.
class Lane {
  constructor(host, reading, store, group, several) {
    Object.assign(this, { reading, store });
    const root = element("section", { class: "lane", "aria-label": reading.model.name ?? "" }, host);
    const part = (name, title) => {
      const made = element("div", { class: name }, root);
      if (title) this[`${name}Title`] = element("h3", { text: title }, made);
      return made;
    };
    this.top = part("top");
    if (several) element("h2", { text: reading.model.name ?? reading.model.token_mode }, this.top);
    this.sentence = element("p", { class: "sentence" }, this.top);
    const untrained = "These weights were never trained: what they read explains nothing.";
    if (!reading.model.trained_on) element("p", { class: "warning", text: untrained }, this.top);
    const [answers, stage, curves] = [part("answers-cell"), part("stage"), part("curves", "joint curves")];
    const [ledger, key] = [part("ledger"), part("key")];
    this.stage = new Stage(stage, reading, store, group);
    this.curves = new Curves(curves, reading, store, group);
    this.views = [
      new Answers(answers, reading, store), this.stage, this.curves, new Ledger(ledger, reading, store, group),
      new Key(key, reading, store, group),
    ];
    this.curveOptions(this.curvesTitle);
  }

  curveOptions(title) {
    const { people } = this.reading.skeleton ?? { people: [] };
    const options = people.length > 1 ? people.map((m) => ["person", m, `person ${m + 1}`]) : [];
    if (people.length) options.push(["heat", true, "heat map"]);
    this.options = options.map(([name, value, text]) => {
      const click = () => this.store.choose({ [name]: name === "heat" ? !this.store.chosen.heat : value });
      return [name, value, element("button", { type: "button", class: "small", text, on: { click } }, title)];
    });
    this.limbs = element("span", { class: "legend" }, title);
  }

  render(state, theme) {
    const key = this.reading.key(state);
    if (key !== this.said) {
      this.said = key;
      const pieces = this.reading.sentence(state).map(([text, strong]) => element(strong ? "strong" : "span", { text }));
      this.sentence.replaceChildren(...pieces);
    }
    if (this.coloured !== theme.id) {
      this.coloured = theme.id;
      const limbs = (this.reading.joints && this.reading.skeleton?.limbs) || [];
      renderLegend(this.limbs, limbs.map((limb, i) => [theme.limb(i), limb]));
    }
    for (const [name, value, button] of this.options) button.setAttribute("aria-pressed", state[name] === value);
    for (const view of this.views) view.render(state, theme, this.images);
  }
}

export class Player {
  constructor(root) {
    this.root = root;
    this.report = () => {};
    root.tabIndex = 0;
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", "Player: film, skeleton, sampling points and curves on one clock. Press ? for its keys.");
    root.addEventListener("keydown", (event) => this.press(event));
    root.addEventListener("pointerdown", (event) => {
      if (!event.target.closest("button, input, [role=slider], [role=button]")) root.focus({ preventScroll: true });
    });
    this.observer = new ResizeObserver(() => this.repaint());
    this.observer.observe(root);
  }

  // Called on every run of the page; rebuilds only when the evidence is another one.
  show({ readings: payloads, view }) {
    const shown = payloads.map((payload) => payload.id).join();
    if (shown !== this.shown) this.build(payloads, shown);
    const asked = JSON.stringify(view);
    if (view && asked !== this.asked) this.go(view);
    this.asked = asked;
    this.repaint();
  }

  build(payloads, shown) {
    this.clock?.pause();
    this.shown = shown;
    this.asked = null;
    const readings = (this.readings = payloads.map((payload) => new Reading(payload)));
    const [first] = readings, several = readings.length > 1;
    const group = { readings, most: (name, state) => Math.max(...readings.map((reading) => reading[name](state)?.max ?? 0)) };
    const modal = (reading) => (reading.queries.includes("own") ? 0 : reading.queries.length);
    const richest = readings.reduce((a, b) => (modal(b) > modal(a) ? b : a)); // its queries are offered to all lanes
    const few = (k) => k <= Math.max(32, first.points.limits / 10);
    const start = {
      frame: 0, joint: null, point: null, person: first.skeleton?.people[0] ?? 0,
      layer: several ? null : first.layers - 1, head: -1, query: richest.queries[0], // null is each lane's own
      label: several ? null : first.classes[0].label,
      count: first.points ? steps(first.points.limits).findLast(few) ?? 8 : 0,
      ghost: false, eachFrame: false, heat: false,
    };
    const overTime = first.pointFrames(start) ?? [];
    const hardest = first.hardestJoint(start);
    const overJoint = hardest?.ratio >= 1.15 && Array.from({ length: first.T }).map((_, t) => first.jointMass(start).mass[t * first.M * first.J + hardest.joint]);
    const telling = overJoint || overTime; // open where there is something to see
    start.frame = Math.max(0, telling.indexOf(Math.max(...telling)));
    this.store = new Store(start);
    this.clock = new Clock(this.store, first.clip.seconds);
    this.store.listeners.add(() => this.repaint());
    this.store.onPin = () => this.tellPage();

    this.root.replaceChildren();
    this.root.classList.toggle("several", several);
    this.root.style.setProperty("--aspect", first.clip.width / first.clip.height);
    this.bar = element("div", { class: "bar" }, this.root);
    this.chips = element("div", { class: "chips" }, this.bar);
    this.readout = element("p", { class: "readout" }, this.bar);
    this.film = element("div", { class: "film" }, this.root);
    this.transport(element("div", { class: "transport" }, this.film));
    this.strip = new Strip(this.film, first, this.store, group, this.clock, !several);
    this.controls = [];
    const model = element("div", { class: "model" }, this.root);
    if (several) {
      const most = (name) => readings.reduce((a, b) => (b[name] > a[name] ? b : a));
      const rows = [[layerChoices, most("layers")], [headChoices, most("heads")], [queryChoices, richest]];
      this.controls = rows.map(([choices, reading]) => choices(model, reading, this.store));
    } else this.diagram = new Diagram(model, first, this.store);
    const host = element("div", { class: "lanes" }, this.root);
    this.lanes = readings.map((reading) => new Lane(host, reading, this.store, group, several));
    this.live = element("p", { class: "unseen", role: "status", "aria-live": "polite" }, this.root);
    this.help = element("div", { class: "help", hidden: true, role: "dialog", "aria-label": "Keys" }, this.root);
    for (const [keys, text] of KEYS) element("kbd", { text: keys }, this.help), element("span", { text }, this.help);
    this.lanes.forEach((lane) => loadFrames(lane.reading).then((images) => ((lane.images = images), this.repaint())));
  }

  transport(host) {
    const button = (text, title, click) =>
      element("button", { type: "button", class: "small", text, "aria-label": title, title, on: { click } }, host);
    this.playButton = button("play", "Play or pause (Space)", () => this.clock.toggle());
    this.speedButton = button("1 ×", "Speed (, and .)", () => this.clock.faster(this.clock.speed > 0.25 ? 0.5 : 4));
    this.bars = element("span", { class: "quiet bars" }, host);
    this.when = element("span", { class: "when" }, host);
    const pin = () => this.store.pin({ frame: this.store.chosen.frame });
    button("pin this frame", "Pin the frame, so that the link of the page shows it (Enter)", pin);
    button("?", "Keys", () => this.toggleHelp());
  }
  toggleHelp() { this.help.hidden = !this.help.hidden; }

  // A view that the page asks for: a link, or a step of a lesson.
  go(view) {
    const { store, readings: [first] } = this, { joint, person = 0, ...rest } = view;
    const known = Object.entries(rest).filter(([name, value]) => name in store.chosen && value != null);
    const values = Object.fromEntries(known);
    if (joint != null && first.skeleton && joint < first.J && person < first.M) values.joint = person * first.J + joint;
    if (values.frame != null) values.frame = Math.max(0, Math.min(first.T - 1, values.frame));
    for (const name of ["frame", "joint"]) if (name in values) store.pinned.add(name);
    store.choose(values);
    this.told = JSON.stringify(this.place());
  }

  place() {
    const { chosen, pinned } = this.store, [{ J }] = this.readings, { layer, head, query, label } = chosen;
    const joint = pinned.has("joint") ? chosen.joint : null;
    const frame = pinned.has("frame") ? chosen.frame : null;
    const who = joint == null ? { joint, person: chosen.person } : { joint: joint % J, person: Math.floor(joint / J) };
    return { frame, ...who, layer, head, query, label };
  }
  tellPage() {
    const said = JSON.stringify(this.place());
    if (said !== this.told) this.report(this.place());
    this.told = said;
  }

  press(event) {
    const { store, clock, readings: [first] } = this, { chosen } = store;
    const pressed = event.composedPath()[0], onButton = pressed.matches?.("button, [role=button], input");
    if (event.ctrlKey || event.metaKey || event.altKey || (onButton && [" ", "Enter"].includes(event.key))) return;
    if (pressed.type === "range" && event.key.startsWith("Arrow")) return;
    const joint = (by) => {
      if (!first.skeleton) return;
      const all = first.skeleton.people.flatMap((m) => first.skeleton.names.map((_, j) => m * first.J + j));
      store.choose({ joint: all[(all.indexOf(chosen.joint) + by + all.length + (chosen.joint == null && by < 0)) % all.length] });
    };
    const layer = (by) => store.choose({ layer: Math.max(0, Math.min(first.layers - 1, first.layer(chosen) + by)) });
    const actions = {
      ArrowLeft: () => clock.step(-1), ArrowRight: () => clock.step(1), Home: () => clock.seek(0), End: () => clock.seek(first.T - 1),
      " ": () => clock.toggle(), ",": () => clock.faster(0.5), ".": () => clock.faster(2), ArrowUp: () => joint(-1), ArrowDown: () => joint(1),
      Enter: () => store.pin({ frame: chosen.frame, ...(chosen.joint == null ? {} : { joint: chosen.joint }) }),
      Escape: () => ((this.help.hidden = true), store.free([...new Set([...store.pinned, ...store.moved(), "joint"])])),
      "[": () => layer(-1), "]": () => layer(1), h: () => store.choose({ head: ((first.head(chosen) + 2) % (first.heads + 1)) - 1 }),
      q: () => store.choose({ query: first.queries[(first.queries.indexOf(first.query(chosen)) + 1) % first.queries.length] }),
      g: () => store.choose({ ghost: !chosen.ghost }), m: () => store.choose({ heat: !chosen.heat }), "?": () => this.toggleHelp(),
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    event.stopPropagation(); // the page has its own keys
    actions[event.key]();
  }

  repaint() {
    this.request ??= requestAnimationFrame(() => {
      this.request = null;
      this.render();
    });
  }

  render() {
    if (!this.store) return;
    const theme = (this.theme = readTheme(this.root, this.theme)), state = this.store.view(), [first] = this.readings;
    for (const lane of this.lanes) lane.render(state, theme);
    this.strip.render(state, theme, this.lanes[0].images);
    this.diagram?.render(state, theme);
    for (const update of this.controls) update(state);
    renderChips(this.chips, this.store, first);
    say(this.playButton, this.store.playing ? "pause" : "play");
    say(this.speedButton, { 1: "1 ×", 0.5: "½ ×", 0.25: "¼ ×" }[this.clock.speed]);
    say(this.when, `frame ${state.frame + 1} of ${first.T}  ${first.clip.seconds[state.frame].toFixed(2)} s`);
    const frames = this.strip.withPoints && first.frameMass(state);
    const bars = () => `bars: mass of ${tokenName(first.readerName("windows", state))} on each frame (temporal stride attention)`;
    say(this.bars, frames ? `${bars()}, highest ${digits(frames.max, 2)} raw; dotted: uniform` : "");
    const said = readout(state, this.readings);
    say(this.readout, said);
    clearTimeout(this.speaking);
    if (!this.store.playing) this.speaking = setTimeout(() => (this.live.textContent = said), 400);
  }

  close() {
    this.clock?.pause();
    this.observer.disconnect();
    cancelAnimationFrame(this.request);
    clearTimeout(this.speaking);
  }
}

const players = new WeakMap();

export default function mount({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".player") ;
  if (!players.has(root)) players.set(root, (root.player = new Player(root)));
  const player = players.get(root);
  player.report = (view) => setStateValue("view", view);
  player.show(data);
  return () => {
    player.close();
    players.delete(root);
  };
}
