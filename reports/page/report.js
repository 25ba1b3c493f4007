// Makes the page live: one store, and everything that shows or changes what is chosen in it.

const store = new Store(JSON.parse(document.getElementById("data").textContent));
const byId = id => document.getElementById(id);

// What is pointed at, or reached by the keyboard.
const tips = {
  show(number, x, y) {
    const box = byId("tip"), [spec, ...lines] = tip(store, number);
    box.replaceChildren(element("strong", {}, spec), ...lines.map(line => element("div", {}, line)));
    box.hidden = false;
    const width = document.documentElement.clientWidth, height = window.innerHeight;
    box.style.left = `${Math.max(4, Math.min(x + 14, width - box.offsetWidth - 8))}px`;
    box.style.top = `${y + 18 + box.offsetHeight > height ? y - box.offsetHeight - 12 : y + 18}px`;
  },
  hide() {
    byId("tip").hidden = true;
  },
};

function pickLine(run, number) {
  const name = store.data.runs.length > 1 ? `${run.name}: ` : "";
  if (number === null) {
    return element("li", {}, `${name}no design of the front keeps the budget with so small a drop`);
  }
  const {fields} = store;
  const link = element("a", {href: `#design-${number}`}, fields.spec[number]);
  const costs = [["area", "area_ratio"], ["power", "power_ratio"], ["delay", "delay_ratio"]]
    .map(([cost, field]) => `${cost} ${TIMES}${figure(fields[field][number], 3)}`).join(", ");
  return element("li", {}, name, link, ` \u2013 ${costs}, ${dropWords(fields, number)}`);
}

function startLimit() {
  const slider = byId("limit"), {limits, runs} = store.data;
  slider.max = limits.length - 1;
  slider.value = limits.indexOf(runs[0].max_drop_pp);
  slider.addEventListener("input", () => store.choose({limit: limits[slider.value]}));
  store.subscribe(() => {
    byId("limit-shown").textContent = points(store.limit);
    slider.setAttribute("aria-valuetext", points(store.limit));
    const picks = store.picks();
    byId("picks").replaceChildren(...runs.map((run, index) => pickLine(run, picks[index])));
  });
}

function startLevel() {
  const select = byId("level"), {levels} = store.data;
  select.append(...levels.map(level => element("option", {value: level.name}, level.title)));
  select.closest("label").hidden = levels.length < 2;
  select.addEventListener("change", () => store.choose({level: select.value, brush: null}));
}

function startFilter() {
  byId("filter").addEventListener("input", event =>
    store.choose({text: event.target.value.toLowerCase()}));
  byId("clear").addEventListener("click", () => store.choose({brush: null}));
  store.subscribe(() => {
    const front = store.numbers.filter(number => store.onFront(number));
    const shown = front.filter(number => store.shows(number)).length;
    const all = store.brush === null && store.text === "";
    byId("shown").textContent = all ? "" : `${shown} of ${front.length} designs of the front shown`;
    byId("clear").hidden = store.brush === null;
  });
}

function startLegend() {
  const {marks, runs, front} = store.data;
  const present = new Set(store.fields.family.slice(0, front));
  for (const [family, mark] of Object.entries(marks)) {
    if (!present.has(family)) continue;
    const sign = svgElement("svg", {viewBox: "-8 -8 16 16", width: 14, height: 14, "aria-hidden": true},
      svgElement("path", {
        class: "mark run-0", style: `color:var(${mark.color})`, d: (SHAPES[mark.marker] ?? SHAPES.o)(5.5),
      }));
    byId("legend").append(element("li", {}, sign, family));
  }
  if (runs.length > 1) {
    byId("legend").append(element("li", {}, `filled: ${runs[0].name}; hollow: ${runs[1].name}`));
  }
}

// Marks in the pictures, rows and drawings of a design lead to it; what is selected shows there too.
function startLinks() {
  document.addEventListener("click", event => {
    const link = event.target.closest('a[href^="#design-"]');
    if (link) select(link.getAttribute("href"));
    const drawn = event.target.closest("#drawings .drawing");
    if (drawn) store.choose({selected: Number(drawn.id.slice("drawing-".length))});
  });
  window.addEventListener("hashchange", () => select(location.hash));
  select(location.hash);
  store.subscribe(() => {
    for (const old of document.querySelectorAll("figure .selected, #drawings .selected")) {
      old.classList.remove("selected");
    }
    const marks = document.querySelectorAll(`figure a[href="#design-${store.selected}"]`);
    for (const mark of marks) mark.classList.add("selected");
    byId(`drawing-${store.selected}`)?.classList.add("selected");
  });
}

function select(hash) {
  const number = Number(/^#design-(\d+)$/.exec(hash)?.[1] ?? NaN);
  if (number in store.fields.spec) store.choose({selected: number});
}

// The accelerator's section is of the run's own pick; it says what is known of what is selected.
function startAccelerator() {
  const line = byId("chip-selected");
  if (line === null) return;
  store.subscribe(() => {
    const {fields, data, selected} = store;
    const told = data.levels.flatMap(level => {
      const costs = level === data.levels[0] ? fields : level.costs;
      const area = costs.area_ratio?.[selected], energy = costs.power_ratio?.[selected];
      if (area === undefined || area === null) return [];
      return [`${level.title.toLowerCase()}: area ${saved(area)}, energy ${saved(energy)}`];
    });
    line.replaceChildren("Selected: ", element("code", {}, fields.spec[selected]),
      ` \u2013 ${told.join("; ")}.`);
    line.hidden = false;
  });
}

function startPrinting() {
  const folded = [...document.querySelectorAll("details.still")];
  folded.forEach(details => { details.open = false; });
  window.addEventListener("beforeprint", () => folded.forEach(details => { details.open = true; }));
  window.addEventListener("afterprint", () => folded.forEach(details => { details.open = false; }));
}

document.documentElement.classList.add("live");
for (const part of document.querySelectorAll(".live-only")) part.hidden = false;
startLimit();
startLevel();
startFilter();
startLegend();
startAccelerator();
const cost = store.data.runs[0].cost_field;
new Chart(store, byId("chart-1"), "predicted_drop_pp", cost, tips);
new Chart(store, byId("chart-2"), "area_ratio", cost === "power_ratio" ? "delay_ratio" : "power_ratio",
  tips);
new Panel(store, byId("selected"));
new DesignTable(store, byId("designs"));
startLinks();
startPrinting();
