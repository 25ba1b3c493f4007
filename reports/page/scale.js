// From values to pixels and back. Drops that pass a few points are scaled by the inverse hyperbolic
// sine, as in the pictures beside: linear within about one point of zero, logarithmic beyond.

const LINEAR_LIMIT_PP = 8;
const DROP_TICKS_PP = [-20, -10, -5, -2, -1, 0, 1, 2, 5, 10, 20, 50, 100];

class Scale {
  #low;
  #factor;

  // Values from `low` to `high` lie at pixels from `start` to `end`.
  constructor(kind, low, high, start, end) {
    this.low = low;
    this.high = high;
    this.start = start;
    this.bent = isBent(kind, high);
    this.#low = this.#bend(low);
    this.#factor = (end - start) / (this.#bend(high) - this.#low);
  }

  #bend(value) {
    return this.bent ? Math.asinh(value) : value;
  }

  at(value) {
    return this.start + this.#factor * (this.#bend(value) - this.#low);
  }

  // The same, but values beyond the ends lie at the ends.
  within(value) {
    return this.at(Math.min(Math.max(value, this.low), this.high));
  }

  valueAt(pixel) {
    const bent = this.#low + (pixel - this.start) / this.#factor;
    return this.bent ? Math.sinh(bent) : bent;
  }

  ticks(most) {
    if (this.bent) return DROP_TICKS_PP.filter(tick => tick >= this.low && tick <= this.high);
    const rough = (this.high - this.low) / most;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find(factor => factor * power >= rough);
    const first = Math.ceil(this.low / step);
    const count = Math.floor(this.high / step) - first + 1;
    return Array.from({length: count}, (_, index) => (first + index) * step);
  }
}

function isBent(kind, high) {
  return kind === "drop" && high > LINEAR_LIMIT_PP;
}

// The ends of an axis that shows all of `values`, but none above `most` unless that is null.
function ends(kind, values, most) {
  const within = most === null ? values : values.filter(value => value <= most);
  const shown = within.length ? within : [0, 1];
  const low = Math.min(...shown), high = Math.max(...shown);
  const [bend, unbend] = isBent(kind, high) ? [Math.asinh, Math.sinh] : [Number, Number];
  const margin = 0.05 * ((bend(high) - bend(low)) || Math.abs(bend(high)) || 1);
  return [unbend(bend(low) - margin),
    within.length < values.length ? most : unbend(bend(high) + margin)];
}
