// Player: one clock and one highlight drive all views, for one reading or for several lanes of the same clip.
import { decode, digits, range, Reading, readout, sum, tokenName } from "./reading.js";
import { Clock, Store } from "./store.js";
import { element, mark, readTheme, renderLegend, say } from "./drawing.js";
import { loadFrames, Stage, Strip } from "./stage.js";
import { Curves, renderLedger } from "./charts.js";

const BACK = { "[": "layer", ArrowUp: "joint" };
const ON = { "]": "layer", ArrowDown: "joint", h: "head", q: "query", t: "lit", g: "ghost", m: "heat", e: "eachFrame" };

// Puts a template of the page into `host`; returns its named parts, with the texts that the payload has for them.
function fill(root, template, host, { said }) {
  const made = root.parentElement.querySelector(`[data-template=${template}]`).content.cloneNode(true);
  const parts = Object.fromEntries([...made.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]));
  for (const [name, text] of Object.entries(said)) if (parts[name]) parts[name].textContent = text;
  host.append(made);
  return parts;
}

// A button that chooses one value of the state: hover previews, click chooses (both are listened to by the player).
function option(host, name, value, text, title = "") {
  return element("button", { type: "button", text, title, "data-choose": JSON.stringify({ [name]: value }) }, host);
}

// One clip through one checkpoint: sentence, answers, stage, key, curves, ledger.
class Lane {
  constructor(root, host, reading, store) {
    const parts = fill(root, "lane", host, reading);
    Object.assign(this, { parts, reading, stage: new Stage(parts.stage, reading, store) });
    parts.lane.reading = reading;
    for (const { label, probability, share, title } of reading.classes.slice(0, 5)) {
      const button = option(parts.answers, "label", label, null, title);
      element("span", { text: label, class: "label" }, button);
      element("span", { text: share, class: "number" }, button);
      element("i", { style: `width:${100 * probability}%` }, button);
    }
    const { people = [], limbs = [] } = reading.skeleton ?? {};
    if (people.length > 1) for (const m of people) option(parts.people, "person", m, reading.called("person", m));
    renderLegend(parts.limbs, reading.joints ? limbs.map((name, i) => [`var(--limb-${i % 5})`, name]) : []);
    parts.slider.max = Math.ceil(Math.log2(reading.points?.limits));
    parts.slider.addEventListener("input", () => store.choose({ count: 2 ** parts.slider.value }));
    parts.eachFrame.hidden = !reading.points?.by_query_frame;
    this.curves = new Curves(parts, reading);
  }
  render(state, theme) {
    const { parts, reading } = this;
    const piece = ([text, strong]) => element(strong ? "strong" : "span", { text });
    if (state.key !== this.said) parts.sentence.replaceChildren(...reading.sentence(state).map(piece));
    this.said = state.key;
    this.stage.render(state, theme, this.images);
    this.curves.render(state);
    renderLedger(parts, reading, state);
    this.key(state);
  }

  // How many points are drawn, what colours and sizes mean.
  key(state) {
    const { parts, reading, reading: { points } } = this;
    const found = reading.pointMass(state);
    parts.points.hidden = !found;
    parts.discs.hidden = !reading.jointMass(state);
    say(parts.largest, `${digits(reading.most("jointMass", state), 2)} ×`);
    if (!found) return;
    const count = Math.min(state.count, points.limits);
    parts.slider.value = Math.ceil(Math.log2(count));
    const carried = sum(found.order.slice(0, count).map((i) => found.mass[i])) / (found.total || 1);
    say(parts.covers, `${count} of ${points.count} points carry ${Math.round(100 * carried)} % of the mass on points`);
    say(parts.reach, points.most[state.layer]);
    say(parts.heaviest, digits(reading.most("pointMass", state), 2));
    say(parts.about, points.about[state.layer]);
  }
}

export class Player {
  constructor(root) {
    this.root = root;
    const data = (event, kind) => event.target.closest(`[data-${kind}]`)?.dataset[kind];
    const on = (event) => JSON.parse(data(event, "choose") ?? data(event, "pin") ?? "null");
    const near = (event) => (event.pointerType === "mouse" || event.target.matches(":focus-visible")) && on(event);
    const [start, end] = [(event) => near(event) && this.store.preview(on(event)), () => this.store.preview({})];
    for (const name of ["pointerover", "focusin"]) root.addEventListener(name, start);
    for (const name of ["pointerout", "focusout"]) root.addEventListener(name, (event) => on(event) && end());
    root.addEventListener("click", (event) => {
      if (data(event, "key")) this.actions()[data(event, "key")]();
      if (data(event, "free")) this.store.free([data(event, "free")]);
      if (on(event)) this.store[data(event, "pin") ? "pin" : "choose"](on(event));
      if (on(event)?.lit === "head") this.lanes[0].parts.ledgerPlot.scrollIntoView({ block: "nearest" });
      if (!event.target.closest("a, button, input")) root.focus({ preventScroll: true });
    });
    root.addEventListener("keydown", (event) => this.press(event));
    new ResizeObserver(() => this.repaint()).observe(root);
  }

  // Called on every run of the page; rebuilds only when the evidence is another one.
  show({ readings, view, linked, large, trust }) {
    const shown = readings.map(({ id }) => id).join();
    this.root.classList.toggle("large", Boolean(large));
    if (shown !== this.shown) this.build(readings.map((payload) => new Reading(payload)));
    readings.forEach(({ looks }, i) => (this.readings[i].looks ??= decode(looks))); // they may come a moment later
    const asked = JSON.stringify([shown, view]);
    if (asked !== this.asked) this.go({ ...view, ...(linked && this.fromLink()) });
    Object.assign(this, { shown, asked, linked, view });
    this.parts.copy.hidden = !linked;
    for (const { parts, reading } of this.lanes) Object.assign(parts.trust, trust?.[this.readings.indexOf(reading)]);
    this.repaint();
  }
  build(readings) {
    this.clock?.play(false);
    const { root } = this, [first] = readings;
    for (const reading of readings) reading.lanes = readings;
    const lead = readings.find(({ model }) => model.token_mode === "cross") ?? first; // its queries are for all lanes
    const store = new Store({ ...lead.start, ...(readings[1] && { layer: null, label: null }) }, () => this.repaint());
    Object.assign(this, { readings, lead, lists: lead.lists, store, clock: new Clock(store, first.clip.seconds) });

    root.replaceChildren();
    root.classList.toggle("several", readings.length > 1);
    root.classList.toggle("framewise", first.model.token_mode === "frame-wise");
    root.style = `--aspect:${first.clip.width / first.clip.height};--frames:${first.T};--lanes:${readings.length}`;
    this.parts = fill(root, "player", root, first);
    this.strip = new Strip(this.parts.strip, first);
    const rows = `; rows: ${readings.map(({ model }) => model.token_mode).join(", ")}; `;
    if (readings[1]) say(this.parts.order, `${lead.windows ? rows : ""}marks in the strip: those of the first`);
    this.diagram(this.parts, first.flow);
    this.lanes = readings.map((reading) => new Lane(root, this.parts.lanes, reading, store));
    const loads = this.lanes.map(async (lane) => (lane.images = await loadFrames(lane.reading)));
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches || location.search.includes("frame=");
    Promise.all(loads).then(() => this.clock.play(this.linked && !this.view && !still));
  }

  // The model, drawn: also the control. A bar for what each query reads; `render` shows those of the chosen one.
  diagram({ kinds, blocks, model, modal }, flow) {
    const colour = (kind) => `var(--token-${kind})`;
    renderLegend(kinds, flow.kinds.map((kind) => [colour(kind), tokenName(kind)]));
    flow.reads.forEach((attentions, layer) => {
      const block = option(blocks, "layer", layer);
      element("b", { text: this.lead.called("layer", layer) }, block);
      for (const { name, by } of attentions) {
        const host = element("span", { class: "flow", text: name }, block);
        for (const [query, { text, title, parts }] of Object.entries(by)) {
          const bar = element("span", { "data-query": query, title }, host);
          element("small", { text }, bar);
          for (const [kind, mass] of parts) element("i", { style: `flex:${mass};background:${colour(kind)}` }, bar);
        }
      }
    });
    for (const query of this.lead.model.queries) option(modal, "query", query, tokenName(query));
    const short = { layer: (i) => i + 1, head: (i) => (i < 0 ? "mean of heads" : i + 1), query: tokenName };
    for (const [name, text] of Object.entries(short)) {
      const row = element("div", { class: `choices ${name}`, role: "group", "aria-label": name }, model);
      element("span", { class: "choices-label", text: name === "layer" ? "block" : name }, row);
      for (const value of this.lists[name]) option(row, name, value, text(value), this.lead.called(name, value));
    }
  }

  // Goes to a place of a link or of a lesson, counted from 0; what it does not name, or is not there, stays.
  go(view) {
    for (const [name, value] of Object.entries(view))
      if (value != null && (name === "lit" ? this.lead.boxes : this.lists[name])?.includes(value))
        this.store[/^(frame|joint|point|patch)$/.test(name) ? "pin" : "choose"]({ [name]: value });
  }
  // The link of the page names what differs from the opening, counted from 1 as on screen; head 0 is the mean of heads.
  fromLink() {
    const count = ([name, text]) => /^\d+$/.test(text) && !/label|query/.test(name);
    const read = (pair) => [pair[0], count(pair) ? pair[1] - 1 : pair[1] === "true" || pair[1]];
    return Object.fromEntries([...new URLSearchParams(location.search)].map(read));
  }
  toLink() {
    const url = new URL(location.href);
    const { chosen: at } = this.store, opening = { ...this.store.start, ...this.view };
    const moved = (name) => at[name] !== opening[name];
    const names = this.view ? Object.keys(this.lists) : ["frame", "person", "ghost", "eachFrame", "heat"];
    const held = [...(this.view ? [] : this.store.held()), ...names.filter(moved)];
    for (const name of Object.keys(this.lists)) url.searchParams.delete(name);
    for (const name of held) url.searchParams.set(name, Number.isInteger(at[name]) ? at[name] + 1 : at[name]);
    const here = Object.entries(this.linked || {}).every(([name, value]) => url.searchParams.get(name) === value);
    if (here && url.href !== location.href) history.replaceState(history.state, "", url);
    return url.href;
  }
  // The next of the tokens that are lit, on the frame that is shown; patches stand in rows.
  step(to) {
    const [{ stage, reading }] = this.lanes;
    const { lit, frame, ...now } = this.store.view();
    const kind = this.lists.lit.includes(lit) ? (lit ?? "joint") : "joint";
    const drawn = { point: stage.drawn, joint: stage.joints }[kind];
    const all = drawn?.map(({ index }) => index).reverse() ?? reading.patchesOf(frame); // the heaviest first
    const row = drawn ? 1 : reading.looks.columns;
    const by = { Left: -1, Right: 1, Up: -row, Down: row }[to];
    const next = all.includes(now[kind]) ? (all.indexOf(now[kind]) + by) % all.length : 0;
    if (all.length) this.store.pin({ [kind]: all.at(next) });
  }
  copy() {
    const refused = () => window.prompt("The link of this view", this.toLink());
    navigator.clipboard?.writeText(this.toLink()).then(() => say(this.parts.copy, "copied"), refused) ?? refused();
    setTimeout(() => say(this.parts.copy, "copy link"), 1500);
  }
  actions() {
    const { store, clock, lists, parts } = this;
    const { joint, frame } = store.chosen;
    const now = this.lead.now(store.chosen);
    const next = (list, value, by) => list.at((list.indexOf(value) + by) % list.length);
    const cycle = (name, by) => () => store.choose({ [name]: next(lists[name], now[name], by) });
    const cycles = (keys, by) => Object.fromEntries(Object.entries(keys).map(([key, name]) => [key, cycle(name, by)]));
    return {
      ...cycles(BACK, -1),
      ...cycles(ON, 1),
      ...Object.fromEntries(["Left", "Right", "Up", "Down"].map((to) => [`ShiftArrow${to}`, () => this.step(to)])),
      ArrowLeft: () => clock.go(frame - 1),
      ArrowRight: () => clock.go(frame + 1),
      Home: () => clock.go(0),
      End: () => clock.go(-1),
      " ": () => clock.play(!store.playing),
      ",": () => clock.faster(0.5),
      ".": () => clock.faster(2),
      speed: () => clock.faster(clock.speed > 0.25 ? 0.5 : 4),
      c: () => this.copy(),
      Enter: () => store.pin(joint == null ? { frame } : { frame, joint }),
      Escape: () => (parts.help.hidden = true) && store.free([...store.held(), "joint"]),
      "?": () => (parts.help.hidden = !parts.help.hidden),
    };
  }
  press(event) {
    const { ctrlKey, metaKey, altKey } = event;
    const key = (event.shiftKey && event.key.startsWith("Arrow") ? "Shift" : "") + event.key;
    const action = this.actions()[key];
    const pressed = event.composedPath()[0];
    const own = pressed.matches?.("button, input") && [" ", "Enter"].includes(key); // what the browser does with it
    if (!action || own || (pressed.type === "range" && key.includes("Arrow")) || ctrlKey || metaKey || altKey) return;
    event.preventDefault();
    event.stopPropagation(); // the page has its own keys
    action();
  }
  repaint() {
    cancelAnimationFrame(this.request);
    this.request = requestAnimationFrame(() => this.render());
  }
  render() {
    const { parts, store, root, lead } = this;
    if (!root.isConnected) return; // the page was left before this frame
    const [first] = this.readings;
    const state = first.now(store.view());
    const theme = (this.theme = readTheme(root));
    this.strip.render(state, theme, this.lanes[0].images);
    for (const lane of this.lanes) lane.render(lane.reading.now(store.view()), theme);
    const place = (frame) => (frame === state.frame ? "here" : frame === store.chosen.frame ? "waits" : "");
    for (const column of root.querySelectorAll("[data-frame]")) mark(column, "class", place(column.dataset.frame - 1));
    for (const bar of root.querySelectorAll("[data-query]")) bar.hidden = bar.dataset.query !== state.query;
    for (const button of root.querySelectorAll("[data-choose], [data-toggle]")) {
      const now = (button.closest(".lane")?.reading ?? lead).now(store.view());
      const { choose, toggle } = button.dataset;
      const chosen = choose && Object.entries(JSON.parse(choose)).every(([name, value]) => now[name] === value);
      mark(button, "aria-pressed", chosen ?? now[toggle]);
    }
    this.chips(parts.chips, store);
    say(parts.when, `frame ${state.frame + 1} of ${first.T}  ${first.clip.seconds[state.frame].toFixed(2)} s`);
    say(parts.play, store.playing ? "pause" : "play");
    say(parts.speed, { 1: "1 ×", 0.5: "½ ×", 0.25: "¼ ×" }[this.clock.speed]);
    say(parts.bars, digits(first.most("frameMass", state), 2));
    mark(root, "data-lit", state.lit ?? "");
    const token = store.hover.lit ? null : state.patch ?? state.point ?? state.joint; // a box that is hovered speaks
    const box = token == null && parts.model.querySelector(`[data-choose='{"lit":"${state.lit}"}']`);
    say(parts.readout, box ? box.title : readout(state, this.readings));
    document.dispatchEvent(new CustomEvent("kinescope:view", { detail: this })); // the cube draws the same place
    clearTimeout(this.waiting);
    if (store.playing) return;
    this.waiting = setTimeout(() => {
      say(parts.live, parts.readout.textContent); // what a screen reader says, once nothing moves
      if (this.linked) this.toLink();
    }, 400);
  }
  // What is pinned or differs from the start; a click frees it.
  chips(host, store) {
    const held = store.held().map((name) => [name, this.lead.called(name, store.chosen[name])]);
    if (host.dataset.said === held.join()) return;
    host.dataset.said = held.join();
    this.parts.hint.hidden = held.length > 0;
    if (this.linked) this.toLink();
    host.replaceChildren();
    for (const [name, text] of held) {
      const chip = { type: "button", class: "chip", "data-free": name, "aria-label": `Free ${text}` };
      element("button", { ...chip, text: `${text} ×` }, host);
    }
  }
  close() {
    this.clock.play(false);
    cancelAnimationFrame(this.request);
    clearTimeout(this.waiting);
    this.root.player = null;
  }
}

export default function mount({ data, parentElement }) {
  const root = parentElement.querySelector(".player");
  root.player ??= new Player(root);
  root.player.show(data);
  return () => root.player?.close();
}
