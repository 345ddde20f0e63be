// A threshold under the hand: line, colours and counts at once from the bins; rows and funnel from the server, a moment
// later, and the question before them is taken back.
const WAIT_MS = 220;
const form = document.querySelector("[data-dial]");
const bins = JSON.parse(document.querySelector("#bins")?.textContent ?? "null");
const field = form?.elements.value;
const range = form?.querySelector("input[type=range]");
const live = document.querySelector("[data-live]");
const problem = document.querySelector("#problem");
const NUMBER = /^\s*-?(\d+(_\d+)*\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i; // as rules spell it
let timer, asking = new AbortController();
const save = document.querySelector("[data-save]");
let good = save && new URL(save.href).search; // of the last value that the step can have

/** Where a value stands among the bins, of 1000. */
function placeOf(value) {
  const { edges } = bins, width = 1000 / bins.counts.length;
  if (value <= edges[0]) return 0;
  for (let i = 0; i + 1 < edges.length; i++)
    if (value < edges[i + 1]) return (i + (value - edges[i]) / (edges[i + 1] - edges[i])) * width;
  return 1000;
}
/** The edge next to a place: thresholds that a hand finds are round numbers. */
const valueAt = (place) => bins.edges[Math.round((Math.max(0, Math.min(1000, place)) * bins.counts.length) / 1000)];
const shown = (value) => String(Number(value.toPrecision(10)));

/** Rows below a value, as far as bins can tell. */
function under(value) {
  const { edges, counts, below, beyond } = bins;
  let rows = below;
  for (let i = 0; i < counts.length; i++) {
    if (value >= edges[i + 1]) rows += counts[i];
    else { if (value > edges[i]) rows += (counts[i] * (value - edges[i])) / (edges[i + 1] - edges[i]); return rows; }
  }
  return value > edges[edges.length - 1] ? rows + beyond : rows;
}

function draw(value) {
  document.querySelector(".big output").textContent = field.value;
  if (!bins || Number.isNaN(value)) return;
  const place = placeOf(value), above = form.dataset.above === "1", line = form.querySelector(".line");
  line.setAttribute("x1", place);
  line.setAttribute("x2", place);
  for (const bar of form.querySelectorAll("rect"))
    bar.setAttribute("class", (Number(bar.getAttribute("x")) >= place - 0.01) === above ? "passes" : "fails");
  const moved = Math.round(under(value) - under(Number(form.dataset.old))) * (above ? -1 : 1);
  tell(moved, live.dataset.pass, live.dataset.fail);
}

/** So many rows more pass, or fewer. */
function tell(moved, pass, fail) {
  const words = moved > 0 ? pass : moved < 0 ? fail : live.dataset.none;
  live.textContent = words.replace("{n}", Math.abs(moved).toLocaleString());
  live.className = `live ${moved > 0 ? "kept" : moved < 0 ? "refused" : ""}`;
}

/** The rows have been counted: their number takes the place of the estimate. */
function counted(place) {
  const moved = place.querySelector("[data-moved]")?.dataset.moved;
  if (moved) tell(Number(moved), live.dataset.exactPass, live.dataset.exactFail);
}

/** What is wrong with the value, beside its field; empty: nothing. */
function complain(words) {
  problem.textContent = words;
  field.ariaInvalid = words ? "true" : null;
}

async function ask(place, path, query, signal) {
  place.dispatchEvent(new Event("supersede")); // what the page itself asked for when it opened
  place.setAttribute("aria-busy", "true");
  if (place.dataset.busy) place.textContent = place.dataset.busy; // what stood there is of another value
  try {
    let answer, text;
    for (;;) {
      answer = await fetch(`${path}${query}`, { headers: { "X-Part": "1" }, signal });
      text = await answer.text();
      if (answer.status !== 202) break;
      place.innerHTML = text; // what is being prepared
      await new Promise((go) => setTimeout(go, 1000));
    }
    if (answer.status === 400) { // a number, but none that this step can have
      complain(new DOMParser().parseFromString(text, "text/html").body.textContent.trim());
      place.replaceChildren();
      show(good);
    } else {
      place.innerHTML = text; // our own server's, escaped there
      counted(place);
    }
    place.removeAttribute("aria-busy");
  } catch (error) {
    if (error.name !== "AbortError") place.removeAttribute("aria-busy");
  }
}

/** The value in the title, in the address, and in what would be saved. */
function show(query) {
  document.querySelector(".big output").textContent = new URLSearchParams(query).get("value");
  history.replaceState(null, "", `/thresholds${query}`);
  save.href = `/save${query}`;
}

function later() {
  clearTimeout(timer);
  asking.abort();
  complain("");
  timer = setTimeout(async () => {
    asking = new AbortController();
    const { signal } = asking, query = `?${new URLSearchParams(new FormData(form))}`;
    show(query);
    const asked = ["crossing", "funnel"].map((kind) => {
      const place = document.querySelector(`[data-${kind}]`);
      return ask(place, place.dataset[kind], query, signal);
    });
    await asked[0];
    if (!signal.aborted && !problem.textContent) good = query;
  }, WAIT_MS);
}

/** What was typed, if it is a number; else only the field says so. */
function typed(isFinished) {
  if (NUMBER.test(field.value)) {
    if (bins) range.value = placeOf(Number(field.value));
    draw(Number(field.value));
    later();
  } else {
    clearTimeout(timer);
    if (isFinished) complain(problem.dataset.number);
  }
}

function move(value) {
  field.value = shown(value);
  range.value = placeOf(value);
  draw(value);
  later();
}

if (form && bins) {
  range.hidden = false;
  range.addEventListener("input", () => move(valueAt(Number(range.value))));
  // Arrow keys go from edge to edge: a step of the range itself would move nothing that anyone sees.
  range.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -8, PageUp: 8 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = Math.round((placeOf(Number(field.value)) * bins.counts.length) / 1000);
    move(bins.edges[Math.max(0, Math.min(bins.edges.length - 1, at + step))]);
  });
  const chart = form.querySelector("svg");
  const follow = (event) => {
    const box = chart.getBoundingClientRect();
    move(valueAt((1000 * (event.clientX - box.left)) / box.width));
  };
  chart.addEventListener("pointerdown", (event) => { chart.setPointerCapture(event.pointerId); follow(event); });
  chart.addEventListener("pointermove", (event) => chart.hasPointerCapture(event.pointerId) && follow(event));
  if (NUMBER.test(field.value)) draw(Number(field.value));
}
if (form) {
  document.querySelector("[data-crossing]").addEventListener("part", (event) => counted(event.currentTarget));
  field.addEventListener("input", () => typed(false));
  field.addEventListener("change", () => typed(true));
  form.addEventListener("submit", (event) => { event.preventDefault(); typed(true); });
}
