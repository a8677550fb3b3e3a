// One highlight state and one clock. Views read `view()`; they never talk to each other.

export class Store {
  constructor(start) {
    this.start = { ...start }; // where Esc returns to
    this.chosen = { ...start };
    this.hover = {};
    this.pinned = new Set();
    this.playing = false;
    this.listeners = new Set();
    this.onPin = () => {};
  }

  // What is on screen: a hover previews over what is chosen. While the film plays, the clock alone says which frame.
  view() {
    const { frame, ...rest } = this.hover;
    return { ...this.chosen, ...rest, frame: this.playing || frame == null ? this.chosen.frame : frame };
  }

  tell() { for (const listener of this.listeners) listener(); }

  preview(values) {
    const next = values ?? {};
    if (JSON.stringify(next) === JSON.stringify(this.hover)) return;
    this.hover = next;
    this.tell();
  }

  choose(values) {
    Object.assign(this.chosen, values);
    for (const name of Object.keys(values)) delete this.hover[name];
    this.tell();
  }

  pin(values) {
    for (const name of Object.keys(values)) this.pinned.add(name);
    this.choose(values);
    this.onPin();
  }

  // A frame that is freed stays on screen; everything else returns to where it started.
  free(names = [...new Set([...this.pinned, ...this.moved()])]) {
    for (const name of names) {
      this.pinned.delete(name);
      if (name !== "frame") this.chosen[name] = this.start[name];
    }
    this.hover = {};
    this.tell();
    this.onPin();
  }

  // Choices that differ from the start; they show as chips, like pins.
  moved() { return ["layer", "head", "query", "label"].filter((name) => this.chosen[name] !== this.start[name]); }
}

export class Clock {
  constructor(store, seconds) {
    this.store = store;
    this.frames = seconds.length;
    const steps = seconds.slice(1).map((second, i) => second - seconds[i]).filter((step) => step > 0);
    const usual = steps.length ? steps.reduce((a, b) => a + b, 0) / steps.length : 1 / 12;
    this.length = seconds.map((second, i) => {
      const step = seconds[i + 1] - second;
      return 1000 * (step > 0 ? step : usual);
    });
    this.speed = 1;
  }

  seek(frame) {
    this.store.pinned.delete("frame");
    this.store.choose({ frame: Math.max(0, Math.min(this.frames - 1, frame)) });
  }

  step(by) {
    this.pause();
    this.seek((this.store.chosen.frame + by + this.frames) % this.frames);
  }

  faster(by) {
    this.speed = Math.max(0.25, Math.min(1, this.speed * by));
    this.store.tell();
  }

  toggle() { return this.store.playing ? this.pause() : this.play(); }

  pause() {
    cancelAnimationFrame(this.request);
    this.store.playing = false;
    this.store.tell();
  }

  play() {
    this.store.playing = true;
    let due = performance.now() + this.length[this.store.chosen.frame] / this.speed;
    const tick = (now) => {
      if (!this.store.playing) return;
      if (now >= due) {
        const next = (this.store.chosen.frame + 1) % this.frames;
        due = Math.max(due, now - 100) + this.length[next] / this.speed; // a tab that slept does not catch up
        this.seek(next);
      }
      this.request = requestAnimationFrame(tick);
    };
    this.request = requestAnimationFrame(tick);
    this.seek(this.store.chosen.frame);
  }
}
