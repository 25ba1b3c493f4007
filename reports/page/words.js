// Numbers and designs in words, and elements made of them. Text is only ever set as text: names of
// designs and networks never become markup.

const TIMES = "\u00d7", MINUS = "\u2212";

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function svgElement(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// Digits behind the point -> what writes numbers so; making one takes long.
const FORMATS = Array.from({length: 5}, (_, digits) => new Intl.NumberFormat("en",
  {minimumFractionDigits: digits, maximumFractionDigits: digits}));

// A number with so many digits behind the point; null: with four significant ones.
function figure(value, digits) {
  if (value === null) return "\u2013";
  const shown = digits === null ? String(Number(value.toPrecision(4))) :
    FORMATS[Math.min(digits, FORMATS.length - 1)].format(value);
  return shown.replace(/^-(?=[0.,]*$)/, "").replace("-", MINUS);
}

function points(count) {
  return `${figure(count, null)} point${count === 1 ? "" : "s"}`;
}

function saved(ratio) {
  const percent = 100 * (1 - ratio);
  if (Math.abs(percent) < 0.05) return "as exact";
  const digits = Math.abs(percent) < 9.95 ? 1 : 0;
  return `${figure(Math.abs(percent), digits)} % ${percent > 0 ? "less" : "more"}`;
}

// What a design loses: predicted, and emulated where it was verified.
function dropWords(fields, number) {
  const emulated = fields.emulated_drop_pp[number];
  return `predicted drop ${figure(fields.predicted_drop_pp[number], 2)} \u00b1 ` +
    `${figure(fields.spread_pp[number], 2)} points` +
    (emulated === null ? "" : `, emulated ${figure(emulated, 2)}`);
}

// What a tip says of a design, line by line.
function tip(store, number) {
  const {fields, data} = store;
  const costs = [["area", "area_ratio"], ["power", "power_ratio"], ["delay", "delay_ratio"]];
  const run = data.runs[data.run[number]];
  return [
    fields.spec[number],
    costs.map(([cost, field]) => `${cost} ${TIMES}${figure(fields[field][number], 3)}`).join(", "),
    dropWords(fields, number),
    [
      ...(data.runs.length > 1 ? [run.name] : []),
      ...(store.picks().includes(number) ? ["the pick"] : []),
      ...(run.baseline === number ? ["the exact multiplier that ratios refer to"] : []),
      ...(store.onFront(number) ? [] : ["not on the front"]),
    ].join(" \u00b7 "),
  ].filter(Boolean);
}
