// The map: points that can be pointed at, clicked, and drawn around.
const MAX_POINTS = 200;
const plot = document.querySelector("#plot");
const colours = ["#3b78c4", "#d9822b", "#3a9a5f", "#b5467c", "#8a6fd1", "#b3a125", "#2aa3a3", "#c65b4e", "#7b8794"];
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function traces(data) {
  const base = { type: "scatter", mode: "markers", hoverinfo: "none" };
  const size = data.rows.length > 1000 ? 5 : 7;
  const pick = (places) => ({
    x: places.map((i) => data.x[i]), y: places.map((i) => data.y[i]), customdata: places.map((i) => data.rows[i]),
  });
  const all = data.rows.map((_, i) => i);
  if (data.values) {
    const marker = { size, color: data.values, colorscale: "Viridis", showscale: true, colorbar: { thickness: 12, outlinewidth: 0 } };
    return [{ ...base, ...pick(all), marker }];
  }
  if (!data.of) return [{ ...base, ...pick(all), marker: { size, color: colours[0], opacity: 0.75 } }];
  const names = [...data.labels, plot.dataset.other, plot.dataset.none];
  return names.map((name, group) => {
    const color = group < data.labels.length ? colours[group] : style("--soft");
    const opacity = group < data.labels.length ? 0.8 : 0.35;
    return { ...base, ...pick(all.filter((i) => data.of[i] === group)), name, marker: { size, color, opacity } };
  }).filter((trace) => trace.x.length);
}

const corners = (text) => text.split(";").map((pair) => pair.split(",").map(Number));

function outline(text) {
  if (!text) return [];
  const path = corners(text).map(([x, y], i) => `${i ? "L" : "M"}${x},${y}`).join("") + "Z";
  return [{ type: "path", path, line: { color: style("--warm"), width: 2 }, layer: "above" }];
}

/** The polygon of a lasso or a box as the URL has it: few points, few digits. */
function drawn(event) {
  const { lassoPoints: lasso, range } = event;
  let points = lasso ? lasso.x.map((x, i) => [x, lasso.y[i]]) : null;
  if (range) points = [[range.x[0], range.y[0]], [range.x[1], range.y[0]], [range.x[1], range.y[1]], [range.x[0], range.y[1]]];
  if (!points || points.length < 3) return "";
  const every = Math.ceil(points.length / MAX_POINTS);
  return points.filter((_, i) => i % every === 0).map(([x, y]) => `${Number(x.toPrecision(4))},${Number(y.toPrecision(4))}`).join(";");
}

function tell(text, number) {
  const place = document.querySelector("#drawn");
  const made = document.querySelector("#show").content.cloneNode(true);
  const link = made.querySelector("a");
  link.href = `${plot.dataset.grid}&lasso=${encodeURIComponent(text)}`;
  link.textContent = link.textContent.replace("{n}", number.toLocaleString("en"));
  place.replaceChildren(made);
  history.replaceState(null, "", `${plot.dataset.page}&lasso=${encodeURIComponent(text)}`);
}

let asked = 0;
async function show(row) {
  const mine = ++asked;
  await new Promise((go) => setTimeout(go, 80)); // whoever passes by is not asked about
  if (mine !== asked) return;
  const answer = await fetch(`/map/card?row=${row}`, { headers: { "X-Part": "1" } });
  if (mine === asked && answer.ok) document.querySelector("#card").innerHTML = await answer.text(); // escaped by our server
}

async function start() {
  let answer;
  while ((answer = await fetch(plot.dataset.points, { headers: { "X-Part": "1" } })).status === 202) {
    await new Promise((go) => setTimeout(go, 1000));
  }
  if (!answer.ok) return; // the squares stay
  const data = await answer.json();
  const axis = { visible: false, fixedrange: false };
  const layout = {
    dragmode: matchMedia("(pointer: coarse)").matches ? "pan" : "lasso", margin: { l: 8, r: 8, t: 8, b: 8 },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: style("--ink") },
    xaxis: axis, yaxis: { ...axis, scaleanchor: "x" }, legend: { itemsizing: "constant", orientation: "h", y: 0, yanchor: "top" },
    shapes: outline(plot.dataset.lasso), modebar: { color: style("--soft"), bgcolor: "rgba(0,0,0,0)", activecolor: style("--accent") },
  };
  const config = { displaylogo: false, responsive: true, scrollZoom: true, modeBarButtonsToRemove: ["toImage", "autoScale2d"] };
  plot.replaceChildren();
  await Plotly.newPlot(plot, traces(data), layout, config);
  plot.on("plotly_hover", (event) => show(event.points[0].customdata));
  plot.on("plotly_click", (event) => location.assign(`/map/go?row=${event.points[0].customdata}`));
  plot.on("plotly_selected", (event) => {
    const text = event && drawn(event);
    if (text) tell(text, event.points.length);
  });
  plot.dataset.state = "here";
}

if (plot && window.Plotly) start();
