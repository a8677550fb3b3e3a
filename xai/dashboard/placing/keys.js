// What was placed: joints of people on key frames, and where they are on all others. Knows nothing of the screen.
const name = (person, frame) => `${person}:${frame}`;
const copy = (pose) => ({ place: pose.place.map((p) => [...p]), seen: [...pose.seen] });

export class Keys {
  constructor(data) {
    Object.assign(this, { frames: data.clip.frames, people: data.people, size: data.clip, given: data.given });
    this.edition = data.edition;
    this.revision = data.revision;
    this.poses = new Map(data.keys.map((key) => [name(key.person, key.frame), copy(key)]));
    this.past = [];
    this.future = [];
    this.stale = new Set();
    this.take(data.tracked);
  }

  // Joints that the server found. Those that it found for another state of the keys are kept where nothing changed.
  take(tracked) {
    this.tracked = tracked;
    if (tracked.revision === this.revision) this.stale.clear();
  }

  of(person, frame) { return this.poses.get(name(person, frame)); }

  framesOf(person) {
    return [...this.poses.keys()].filter((key) => key.startsWith(`${person}:`)).map((key) => Number(key.split(":")[1])).sort((a, b) => a - b);
  }

  around(person, frame) {
    const keys = this.framesOf(person);
    return [keys.filter((t) => t < frame).at(-1), keys.find((t) => t > frame)];
  }

  // Where a person is: places, what is seen, how sure that is (1 for placed by hand, null while it is being found).
  pose(person, frame) {
    const key = this.of(person, frame);
    if (key) return { ...key, trust: key.seen.map(Number), key: true };
    if (!this.stale.has(name(person, frame))) {
      const place = this.tracked.place[frame]?.[person], trust = this.tracked.score[frame]?.[person];
      return place && trust.some(Boolean) ? { place, trust, seen: trust.map((value) => value > 0), key: false } : null;
    }
    const [before, after] = this.around(person, frame);
    if (before == null && after == null) return null;
    const a = this.of(person, before ?? after), b = this.of(person, after ?? before);
    const part = before == null || after == null ? 0 : (frame - before) / (after - before);
    const place = a.place.map(([x, y], j) => [x + part * (b.place[j][0] - x), y + part * (b.place[j][1] - y)]);
    const near = part < 0.5 ? a : b;
    return { place, seen: near.seen, trust: near.seen.map((seen) => (seen ? null : 0)), key: false };
  }

  // Every change goes through here: what was is remembered, and the frames up to the next key frames are found anew.
  change(person, frame, pose, remember = true) {
    if (remember) {
      this.past.push(this.snapshot());
      this.future = [];
    }
    if (pose) this.poses.set(name(person, frame), this.within(copy(pose)));
    else this.poses.delete(name(person, frame));
    this.revision += 1;
    this.age(person, frame);
  }

  age(person, frame) {
    if (this.given[person]) return; // brought joints stay where they are
    const [before, after] = this.around(person, frame);
    for (let t = (before ?? -1) + 1; t < (after ?? this.frames); t++) this.stale.add(name(person, t));
  }

  within(pose) {
    const { width, height } = this.size, clip = (value, most) => Math.max(-most / 4, Math.min(1.25 * most, value));
    pose.place = pose.place.map(([x, y]) => [clip(x, width), clip(y, height)]);
    return pose;
  }

  snapshot() { return JSON.stringify([...this.poses]); }

  back(from, to) {
    if (!from.length) return false;
    to.push(this.snapshot());
    this.poses = new Map(JSON.parse(from.pop()));
    this.revision += 1;
    for (let person = 0; person < this.people; person++)
      if (!this.given[person]) for (let t = 0; t < this.frames; t++) this.stale.add(name(person, t));
    return true;
  }

  undo() { return this.back(this.past, this.future); }
  redo() { return this.back(this.future, this.past); }

  report() {
    const round = (value) => Math.round(value * 100) / 100;
    const keys = [...this.poses].map(([key, { place, seen }]) => {
      const [person, frame] = key.split(":").map(Number);
      return { person, frame, place: place.map((p) => p.map(round)), seen };
    });
    return { edition: this.edition, revision: this.revision, keys };
  }
}
