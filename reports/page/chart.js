// A plot of the designs over two axes. Designs of the fronts are elements that the keyboard
// reaches; what else was evaluated is one path of dots. Pointers find the nearest design of all.

const NEAR_PX = 18, DRAG_PX = 6, MARGIN = {left: 62, right: 14, top: 12, bottom: 46};
const SHAPES = {
  "o": r => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
  "s": r => polygon([[-1, -1], [1, -1], [1, 1], [-1, 1]], 0.87 * r),
  "^": r => polygon([[0, -1.15], [1.1, 0.9], [-1.1, 0.9]], r),
  "v": r => polygon([[0, 1.15], [1.1, -0.9], [-1.1, -0.9]], r),
  "D": r => polygon([[0, -1], [1, 0], [0, 1], [-1, 0]], 1.15 * r),
  "P": r => polygon(cross(), 1.1 * r),
  "X": r => polygon(cross().map(([x, y]) => [(x - y) * 0.71, (x + y) * 0.71]), 1.15 * r),
  "p": r => polygon(corners(5), 1.1 * r),
  "H": r => polygon(corners(6), 1.1 * r),
  "*": r => polygon(corners(10).map(([x, y], i) => i % 2 ? [0.42 * x, 0.42 * y] : [x, y]), 1.5 * r),
};

function polygon(places, r) {
  return "M" + places.map(([x, y]) => `${(x * r).toFixed(2)} ${(y * r).toFixed(2)}`).join("L") + "z";
}

function corners(count) {
  return Array.from({length: count}, (_, i) => 2 * Math.PI * i / count)
    .map(angle => [Math.sin(angle), -Math.cos(angle)]);
}

function cross() {
  const [a, b] = [0.36, 1];
  return [[-a, -b], [a, -b], [a, -a], [b, -a], [b, a], [a, a], [a, b], [-a, b], [-a, a], [-b, a],
    [-b, -a], [-a, -a]];
}

class Chart {
  #store;
  #host;
  #svg = svgElement("svg", {role: "listbox", tabindex: "-1"});
  #note = element("p", {class: "muted note"});
  #axes;
  #tips;
  #places = [];
  #scales;
  #focused = null;
  #drag = null;
  #due = false;

  // Axes are fields of designs; `tips` shows what is pointed at.
  constructor(store, host, x, y, tips) {
    this.#store = store;
    this.#host = host;
    this.#axes = {x: this.#axis(x), y: this.#axis(y)};
    this.#tips = tips;
    host.append(
      element("div", {class: "tools"}, this.#chooser("y"), this.#chooser("x")), this.#svg, this.#note);
    this.#listen();
    new ResizeObserver(() => this.#drawSoon()).observe(host);
    store.subscribe(() => this.#drawSoon());
  }

  #axis(field) {
    return this.#store.data.axes.find(axis => axis.field === field) ?? this.#store.data.axes[0];
  }

  #chooser(which) {
    const select = element("select", {"data-axis": which});
    for (const axis of this.#store.data.axes) {
      const option = element("option", {value: axis.field}, axis.title);
      option.selected = axis === this.#axes[which];
      select.append(option);
    }
    select.addEventListener("change", () => {
      this.#axes[which] = this.#axis(select.value);
      this.#drawSoon();
    });
    return element("label", {}, which === "x" ? "Across " : "Up ", select);
  }

  #listen() {
    const svg = this.#svg;
    svg.addEventListener("pointermove", event => this.#moved(event));
    svg.addEventListener("pointerleave", () => this.#tips.hide());
    svg.addEventListener("pointerdown", event => {
      if (event.button !== 0) return;
      this.#drag = {start: this.#place(event), moved: false};
    });
    svg.addEventListener("pointerup", event => this.#released(event));
    svg.addEventListener("pointercancel", () => { this.#drag = null; });
    svg.addEventListener("focusin", event => this.#focus(event.target));
    svg.addEventListener("focusout", () => { this.#focused = null; this.#tips.hide(); });
    svg.addEventListener("keydown", event => this.#pressed(event));
  }

  #place(event) {
    const box = this.#svg.getBoundingClientRect();
    return {x: event.clientX - box.left, y: event.clientY - box.top};
  }

  #nearest(place) {
    const distance = one => Math.hypot(one.x - place.x, one.y - place.y) + (one.front ? 0 : 3);
    const near = this.#places
      .map(one => ({one, far: distance(one)}))
      .filter(({far}) => far < NEAR_PX)
      .sort((a, b) => a.far - b.far || a.one.number - b.one.number);
    return near[0]?.one ?? null;
  }

  #moved(event) {
    const place = this.#place(event);
    const drag = this.#drag;
    if (drag !== null) {
      const far = Math.hypot(place.x - drag.start.x, place.y - drag.start.y);
      if (!drag.moved && far > DRAG_PX) {
        drag.moved = true;
        this.#svg.setPointerCapture(event.pointerId);
        this.#tips.hide();
      }
      if (drag.moved) this.#store.choose({brush: this.#brushed(drag.start, place), brushed: this});
      return;
    }
    const found = this.#nearest(place);
    this.#svg.classList.toggle("pointing", found !== null);
    if (found === null) this.#tips.hide();
    else this.#tips.show(found.number, event.clientX, event.clientY);
  }

  #brushed(from, to) {
    return ["x", "y"].map(which => {
      const values = [from[which], to[which]].map(pixel => this.#scales[which].valueAt(pixel));
      return {axis: this.#axes[which], low: Math.min(...values), high: Math.max(...values)};
    });
  }

  #released(event) {
    const drag = this.#drag;
    this.#drag = null;
    if (drag === null || drag.moved) return;
    const found = this.#nearest(this.#place(event));
    if (found !== null) this.#store.choose({selected: found.number});
    else this.#store.choose({brush: null});
  }

  #focus(target) {
    const number = target.dataset.number;
    if (number === undefined) return;
    this.#focused = Number(number);
    if (!target.matches(":focus-visible")) return;
    const box = target.getBoundingClientRect();
    this.#tips.show(this.#focused, box.right, box.top);
  }

  // Arrows go from design to design as they lie across the plot; Enter selects.
  #pressed(event) {
    const marks = [...this.#svg.querySelectorAll("[data-number]")];
    const steps = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1};
    const here = marks.indexOf(document.activeElement);
    if (event.key in steps && here >= 0) {
      marks[Math.min(Math.max(here + steps[event.key], 0), marks.length - 1)].focus();
    } else if (event.key === "Home" || event.key === "End") {
      marks.at(event.key === "Home" ? 0 : -1)?.focus();
    } else if ((event.key === "Enter" || event.key === " ") && here >= 0) {
      this.#store.choose({selected: Number(marks[here].dataset.number)});
    } else if (event.key === "Escape") {
      this.#store.choose({brush: null});
    } else {
      return;
    }
    event.preventDefault();
  }

  // Once for all changes until the next frame.
  #drawSoon() {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      this.#draw();
    });
  }

  #draw() {
    const width = this.#host.clientWidth;
    if (width === 0) return;
    const height = Math.round(Math.min(Math.max(0.68 * width, 260), 420));
    const store = this.#store, {x, y} = this.#axes;
    this.#places = store.numbers
      .map(number => ({
        number, front: store.onFront(number), vx: store.value(number, x), vy: store.value(number, y),
      }))
      .filter(one => one.vx !== null && one.vy !== null);
    const wanted = new Set([...store.picks(), ...store.data.runs.map(run => run.baseline)]);
    const framing = this.#places.filter(one => one.front || wanted.has(one.number));
    const scale = (axis, key, start, end) =>
      scaleOf(axis.kind, framing.map(one => one[key]), this.#most(axis), start, end);
    this.#scales = {
      x: scale(x, "vx", MARGIN.left, width - MARGIN.right),
      y: scale(y, "vy", height - MARGIN.bottom, MARGIN.top),
    };
    for (const one of this.#places) {
      one.x = this.#scales.x.within(one.vx);
      one.y = this.#scales.y.within(one.vy);
      one.outside = one.vx > this.#scales.x.high || one.vy > this.#scales.y.high ||
        one.vx < this.#scales.x.low || one.vy < this.#scales.y.low;
    }
    const label = `${y.title} against ${x.title}`;
    this.#svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.#svg.setAttribute("height", height);
    this.#svg.setAttribute("aria-label", label);
    const refocus = this.#focused;
    this.#svg.replaceChildren(
      ...this.#grid(width, height), ...this.#limits(width, height), this.#dots(), ...this.#lines(),
      ...this.#marks(), ...this.#rings(), ...this.#brushBox());
    if (refocus !== null) this.#svg.querySelector(`[data-number="${refocus}"]`)?.focus();
    this.#note.textContent = this.#remark();
  }

  // Costs of whole elements and arrays have no bound: few designs have them.
  #most(axis) {
    return this.#store.level === this.#store.data.levels[0].name ? axis.most : null;
  }

  #remark() {
    const outside = this.#places.filter(one => one.outside).length;
    const missing = this.#store.data.front - this.#places.filter(one => one.front).length;
    return [
      outside ? `${outside} beyond the ends of the axes, drawn at the edge.` : "",
      missing ? `${missing} designs of the front have no such figures.` : "",
    ].filter(Boolean).join(" ");
  }

  #grid(width, height) {
    const {x, y} = this.#scales, bottom = height - MARGIN.bottom;
    const parts = [];
    const digits = ticks => Math.max(0, ...ticks.map(tick =>
      (String(Number(tick.toPrecision(6))).split(".")[1] ?? "").length));
    const across = x.ticks(width / 80), up = y.ticks(height / 50);
    for (const tick of across) {
      parts.push(
        svgElement("path", {class: "grid", d: `M${x.at(tick)} ${MARGIN.top}V${bottom}`}),
        svgElement("text", {class: "tick", x: x.at(tick), y: bottom + 16, "text-anchor": "middle"},
          figure(tick, digits(across))));
    }
    for (const tick of up) {
      parts.push(
        svgElement("path", {class: "grid", d: `M${MARGIN.left} ${y.at(tick)}H${width - MARGIN.right}`}),
        svgElement("text", {class: "tick", x: MARGIN.left - 7, y: y.at(tick) + 4, "text-anchor": "end"},
          figure(tick, digits(up))));
    }
    const title = (which, attributes) =>
      svgElement("text", {class: "axis", "text-anchor": "middle", ...attributes},
        this.#axes[which].title + (this.#scales[which].bent ? " (asinh scale)" : ""));
    parts.push(
      title("x", {x: (MARGIN.left + width - MARGIN.right) / 2, y: height - 8}),
      title("y", {transform: `translate(14 ${(MARGIN.top + bottom) / 2}) rotate(-90)`}));
    return parts;
  }

  // The allowed drop, and the limit of the budget, where an axis shows them.
  #limits(width, height) {
    const store = this.#store, parts = [];
    const rows = {
      x: at => `M${at} ${MARGIN.top}V${height - MARGIN.bottom}`,
      y: at => `M${MARGIN.left} ${at}H${width - MARGIN.right}`,
    };
    for (const which of ["x", "y"]) {
      const axis = this.#axes[which], scale = this.#scales[which];
      const limits = axis.field === "predicted_drop_pp" ? [store.limit] :
        store.level === store.data.levels[0].name ? store.data.runs
          .filter(run => run.cost_field === axis.field && run.cost_limit !== null)
          .map(run => run.cost_limit) : [];
      for (const limit of limits.filter(one => one >= scale.low && one <= scale.high)) {
        parts.push(svgElement("path", {class: "limit", d: rows[which](scale.at(limit))}));
      }
    }
    return parts;
  }

  #dots() {
    const store = this.#store, group = svgElement("g", {"aria-hidden": "true"});
    const others = this.#places.filter(one => !one.front);
    for (const [name, members] of [
      ["other", others.filter(one => store.shows(one.number))],
      ["other faded", others.filter(one => !store.shows(one.number))],
    ]) {
      const d = members.map(one => `M${one.x.toFixed(1)} ${one.y.toFixed(1)}h0`).join("");
      if (d) group.append(svgElement("path", {class: name, d}));
    }
    return group;
  }

  #lines() {
    const store = this.#store, {x, y} = this.#axes;
    const end = this.#scales.x.start;
    const parts = [];
    store.data.runs.forEach((run, index) => {
      const own = store.numbers.filter(number => store.data.run[number] === index);
      const front = own.filter(number => store.onFront(number));
      const exact = own.filter(number => store.fields.exact[number]);
      for (const [name, members] of [["front", front], ["exact", exact]]) {
        const steps = staircase(store, members, x, y);
        if (steps.length < 2 || (name === "exact" && exact.length < 3)) continue;
        const d = steps.map((step, i) => {
          const [px, py] = [this.#scales.x.within(step.x), this.#scales.y.within(step.y)];
          return i ? `H${px.toFixed(1)}V${py.toFixed(1)}` : `M${px.toFixed(1)} ${py.toFixed(1)}`;
        }).join("");
        parts.push(svgElement("path", {class: `line ${name} run-${index}`, d}));
      }
    });
    return parts;
  }

  #marks() {
    const store = this.#store, picks = store.picks();
    const many = store.data.front > 150;
    const marks = this.#places.filter(one => one.front).sort((a, b) => a.x - b.x || a.y - b.y);
    const reachable = marks.find(one => one.number === store.selected) ?? marks[0];
    return marks.map(one => {
      const number = one.number, mark = store.data.marks[store.fields.family[number]];
      const shape = svgElement("path", {
        "d": (one.outside ? SHAPES["^"] : SHAPES[mark.marker] ?? SHAPES.o)(many ? 3.5 : 5),
        "class": `mark run-${store.data.run[number]}` + (store.shows(number) ? "" : " faded"),
        "style": `color:var(${mark.color})`,
        "transform": `translate(${one.x.toFixed(1)} ${one.y.toFixed(1)})`,
        "role": "option",
        "aria-selected": String(number === store.selected),
        "aria-label": tip(store, number).join("; "),
        "tabindex": one === reachable ? "0" : "-1",
        "data-number": number,
      });
      if (picks.includes(number)) shape.classList.add("pick");
      return shape;
    });
  }

  // Around the pick, around what is selected, and stars for the exact multipliers.
  #rings() {
    const store = this.#store, parts = [];
    const at = number => this.#places.find(one => one.number === number);
    const draw = (number, kind, d) => {
      const one = at(number);
      if (!one) return;
      parts.push(svgElement("path",
        {class: kind, d, transform: `translate(${one.x.toFixed(1)} ${one.y.toFixed(1)})`}));
    };
    store.data.runs.forEach((run, index) =>
      draw(run.baseline, `baseline run-${index}`, SHAPES["*"](5.5)));
    store.picks().forEach(number => draw(number, "ring", SHAPES.o(9)));
    draw(store.selected, "chosen", SHAPES.s(12));
    return parts;
  }

  #brushBox() {
    const {brush, brushed} = this.#store;
    const own = brush !== null && brushed === this && brush[0].axis === this.#axes.x &&
      brush[1].axis === this.#axes.y;
    if (!own) return [];
    const [x, y] = [this.#scales.x, this.#scales.y];
    const [left, right] = [x.within(brush[0].low), x.within(brush[0].high)];
    const [bottom, top] = [y.within(brush[1].low), y.within(brush[1].high)];
    return [svgElement("rect",
      {class: "brush", x: left, y: top, width: right - left, height: bottom - top})];
  }
}
