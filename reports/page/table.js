// The table of the front: sorted by its headings, filtered, and a design selected by a click or by
// arrows and Enter.

class DesignTable {
  #store;
  #body;

  constructor(store, table) {
    this.#store = store;
    this.#body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.querySelector("button")
      ?.addEventListener("click", () => this.#sort(heads, column)));
    this.#body.addEventListener("click", event => {
      const row = event.target.closest("tr");
      if (row && !event.target.closest("a")) store.choose({selected: numberOf(row)});
    });
    this.#body.addEventListener("keydown", event => this.#pressed(event));
    store.subscribe(() => this.#show());
  }

  #show() {
    const store = this.#store, picks = store.picks();
    const rows = [...this.#body.rows];
    for (const row of rows) {
      const number = numberOf(row), selected = number === store.selected;
      row.hidden = !store.shows(number);
      row.classList.toggle("pick", picks.includes(number));
      row.classList.toggle("selected", selected);
      row.tabIndex = selected ? 0 : -1;
      if (selected) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
    const shown = rows.filter(row => !row.hidden);
    if (shown.length && !shown.some(row => row.tabIndex === 0)) shown[0].tabIndex = 0;
  }

  #pressed(event) {
    const row = event.target.closest("tr");
    if (event.target !== row) return;
    const shown = [...this.#body.rows].filter(one => !one.hidden), here = shown.indexOf(row);
    const steps = {ArrowDown: 1, ArrowUp: -1};
    if (event.key in steps) shown[here + steps[event.key]]?.focus();
    else if (event.key === "Enter" || event.key === " ") {
      this.#store.choose({selected: numberOf(row)});
    } else return;
    event.preventDefault();
  }

  #sort(heads, column) {
    const head = heads[column], sign = head.ariaSort === "ascending" ? -1 : 1;
    heads.forEach(other => { if (other.ariaSort) other.ariaSort = "none"; });
    head.ariaSort = sign > 0 ? "ascending" : "descending";
    const key = row => {
      const cell = row.cells[column], text = cell.dataset.value;
      return text === undefined ? cell.textContent : text === "" ? Infinity : Number(text);
    };
    const compare = (x, y) =>
      typeof x === "string" ? sign * x.localeCompare(y, "en", {numeric: true}) :
      x === y ? 0 : x === Infinity ? 1 : y === Infinity ? -1 : sign * (x - y);
    this.#body.append(...[...this.#body.rows].sort((a, b) => compare(key(a), key(b))));
  }
}

function numberOf(row) {
  return Number(row.id.slice("design-".length));
}
