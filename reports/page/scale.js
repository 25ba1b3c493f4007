// From values to pixels and back. Drops that pass a few points, and costs of which some are a small
// part of the exact multiplier's, are scaled by the inverse hyperbolic sine, as in the pictures
// beside: linear near zero, logarithmic beyond.

const BENDS = {
  drop: {
    width: 1,
    ticks: [-20, -10, -5, -2, -1, 0, 1, 2, 5, 10, 20, 50, 100],
    needed: (low, high) => high > 8,
  },
  cost: {
    width: 0.05,
    ticks: [0, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
    needed: (low, high) => low < 0.1 && high > 0.5,
  },
};

class Scale {
  #bend;
  #low;
  #factor;

  // Values from `low` to `high` lie at pixels from `start` to `end`; `bend` is of BENDS, or null.
  constructor(bend, low, high, start, end) {
    this.#bend = bend;
    this.low = low;
    this.high = high;
    this.start = start;
    this.#low = bent(bend, low);
    this.#factor = (end - start) / (bent(bend, high) - this.#low);
  }

  get bent() {
    return this.#bend !== null;
  }

  at(value) {
    return this.start + this.#factor * (bent(this.#bend, value) - this.#low);
  }

  // The same, but values beyond the ends lie at the ends.
  within(value) {
    return this.at(Math.min(Math.max(value, this.low), this.high));
  }

  valueAt(pixel) {
    return unbent(this.#bend, this.#low + (pixel - this.start) / this.#factor);
  }

  ticks(most) {
    if (this.bent) return this.#bend.ticks.filter(tick => tick >= this.low && tick <= this.high);
    const rough = (this.high - this.low) / most;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find(factor => factor * power >= rough);
    const first = Math.ceil(this.low / step);
    const count = Math.floor(this.high / step) - first + 1;
    return Array.from({length: count}, (_, index) => (first + index) * step);
  }
}

function bent(bend, value) {
  return bend ? Math.asinh(value / bend.width) : value;
}

function unbent(bend, value) {
  return bend ? bend.width * Math.sinh(value) : value;
}

// The scale of an axis that shows all of `values`, but none above `most` unless that is null.
function scaleOf(kind, values, most, start, end) {
  const within = most === null ? values : values.filter(value => value <= most);
  const shown = within.length ? within : [0, 1];
  const low = Math.min(...shown), high = Math.max(...shown);
  const bend = BENDS[kind]?.needed(low, high) ? BENDS[kind] : null;
  const [from, to] = [bent(bend, low), bent(bend, high)];
  const margin = 0.05 * ((to - from) || Math.abs(to) || 1);
  return new Scale(bend, unbent(bend, from - margin),
    within.length < values.length ? most : unbent(bend, to + margin), start, end);
}
