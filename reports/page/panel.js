// The selected design: its figures, what it costs at each level, its drawing, its Verilog.

class Panel {
  #store;
  #host;
  #shown = null;

  constructor(store, host) {
    this.#store = store;
    this.#host = host;
    store.subscribe(() => this.#show());
  }

  #show() {
    const store = this.#store, number = store.selected;
    const key = `${number} ${store.picks()}`;
    if (key === this.#shown) return;
    this.#shown = key;
    const {data, fields} = store, run = data.runs[data.run[number]];
    const heading = element("h3", {class: "spec"}, fields.spec[number]);
    const roles = [
      store.picks().includes(number) ? "the pick within the limit" : "",
      run.baseline === number ? "the exact multiplier that ratios refer to" : "",
      store.onFront(number) ? "on the front" : "not on the front",
      fields.encoding[number].replaceAll("_", " "),
      data.runs.length > 1 ? run.name : "",
    ].filter(Boolean).join(" \u00b7 ");
    const links = element("p", {});
    if (store.onFront(number)) {
      links.append(element("a", {href: `#design-${number}`}, "Its row in the table"));
    }
    this.#host.replaceChildren(
      heading, element("p", {class: "muted"}, roles),
      element("div", {class: "columns"}, this.#figures(number),
        element("div", {}, this.#levels(number), links, this.#verilog(number)),
        this.#drawing(number)));
  }

  #figures(number) {
    const body = element("tbody");
    for (const {field, name, meaning, digits} of this.#store.data.headings) {
      const value = this.#store.fields[field][number];
      if (value === null) continue;
      body.append(element("tr", {title: meaning}, element("th", {scope: "row"}, name),
        element("td", {}, figure(value, digits))));
    }
    return element("div", {class: "scroll"},
      element("table", {class: "figures", "aria-label": "Figures of the selected design"}, body));
  }

  #levels(number) {
    const {data, fields} = this.#store, body = element("tbody");
    let missing = false;
    for (const level of data.levels) {
      const own = level === data.levels[0];
      const value = field => own ? fields[field][number] : level.costs[field]?.[number] ?? null;
      const row = element("tr", {}, element("th", {scope: "row"}, level.title));
      for (const [field, ratio] of [["area_um2", "area_ratio"], ["energy_fj", "power_ratio"]]) {
        row.append(
          element("td", {}, figure(value(field), 0)),
          element("td", {}, value(ratio) === null ? "" : saved(value(ratio))));
      }
      missing ||= value("area_um2") === null;
      body.append(row);
    }
    const head = element("thead", {}, element("tr", {},
      element("th", {scope: "col"}, "In the accelerator"),
      ...["\u00b5m\u00b2", "saved", "fJ", "saved"].map(word => element("th", {scope: "col"}, word))));
    const found = [element("div", {class: "scroll"},
      element("table", {class: "at-levels", "aria-label": "Cost at each level"}, head, body))];
    if (missing) {
      found.push(element("p", {class: "muted"}, "The run set its pick alone in an accelerator; ",
        element("code", {}, "dse synth SPEC --array 8x8 --network NETWORK"),
        " does so with any design that has a spec."));
    }
    return element("div", {}, ...found);
  }

  #drawing(number) {
    const drawn = document.getElementById(`drawing-${number}`);
    if (drawn === null) return element("p", {class: "muted"}, "This design is not drawn.");
    const copy = drawn.cloneNode(true);
    copy.removeAttribute("id");
    copy.removeAttribute("tabindex");
    return copy;
  }

  #verilog(number) {
    const found = this.#store.data.verilog[number];
    if (found === undefined) return element("p", {class: "muted"}, "No Verilog of it was exported.");
    const file = element("p", {}, "Verilog: ",
      element("a", {href: found.href}, element("code", {}, decodeURIComponent(found.href))));
    if (found.packed === undefined) return file;
    const text = element("pre", {class: "verilog", tabindex: "0"}, "\u2026");
    const details = element("details", {class: "source"},
      element("summary", {}, "Show the Verilog"), text);
    details.addEventListener("toggle", async () => {
      if (text.textContent === "\u2026") text.textContent = await unpacked(found.packed);
    });
    return element("div", {}, file, details);
  }
}

async function unpacked(packed) {
  const bytes = Uint8Array.from(atob(packed), character => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}
