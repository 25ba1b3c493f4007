// What the page knows of the designs, and what its reader has chosen. Whoever shows a choice
// subscribes and is called after every change.

class Store {
  #listeners = [];

  constructor(data) {
    this.data = data;
    this.fields = data.fields;
    this.numbers = data.run.map((_, number) => number);
    this.limit = data.runs[0].max_drop_pp;
    this.level = data.levels[0].name;
    this.text = "";
    this.brush = null;
    const baselines = data.runs.map(run => run.baseline);
    this.selected = this.picks().find(number => number !== null) ?? baselines[0];
  }

  subscribe(listener) {
    this.#listeners.push(listener);
    listener();
  }

  choose(changes) {
    const followed = this.picks().indexOf(this.selected);
    Object.assign(this, changes);
    if ("limit" in changes && followed >= 0) {
      this.selected = this.picks()[followed] ?? this.selected;
    }
    this.#listeners.forEach(listener => listener());
  }

  // A design's value on an axis, at the level that is chosen; null where the run has none.
  value(number, axis) {
    const level = this.data.levels.find(one => one.name === this.level);
    if (axis.kind === "cost" && level !== this.data.levels[0]) {
      return level.costs[axis.field]?.[number] ?? null;
    }
    return this.fields[axis.field][number];
  }

  onFront(number) {
    return number < this.data.front;
  }

  // The design that each run picks within the limit: its order of preference says which.
  picks() {
    return this.data.runs.map(run => this.limit === run.max_drop_pp ? run.pick :
      run.preferred.find(number => this.drop(number) <= this.limit) ?? null);
  }

  // What is lost as far as is known: emulated, or else predicted.
  drop(number) {
    const {emulated_drop_pp: emulated, predicted_drop_pp: predicted} = this.fields;
    return emulated?.[number] ?? predicted[number];
  }

  // Whether a design is in the brushed part of a plot and has the text that is looked for.
  shows(number) {
    if (!this.fields.spec[number].toLowerCase().includes(this.text)) return false;
    if (this.brush === null) return true;
    return this.brush.every(({axis, low, high}) => {
      const value = this.value(number, axis);
      return value !== null && value >= low && value <= high;
    });
  }
}

// Designs that no other of them beats in two axes, by ascending first value.
function staircase(store, numbers, x, y) {
  const sign = axis => axis.less_is_better ? 1 : -1;
  const points = numbers
    .map(number => ({number, x: store.value(number, x), y: store.value(number, y)}))
    .filter(point => point.x !== null && point.y !== null)
    .sort((a, b) => sign(x) * (a.x - b.x) || sign(y) * (a.y - b.y));
  const steps = [];
  for (const point of points) {
    const last = steps.at(-1);
    if (!last || sign(y) * point.y < sign(y) * last.y) steps.push(point);
  }
  return steps;
}
