// Draws the interactive figures of a page with Plotly, from the data that stand in it.
"use strict";

const COLORS = ["#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc"];
const SYMBOLS = ["circle", "square", "diamond", "cross", "triangle-up"];
const THREADS = [1, 2, 4, 8, 16];
const METHODS = ["one-step Q", "one-step Sarsa", "n-step Q", "A3C"];

// ---- Controls ---------------------------------------------------------------------------------------------------

function select(form, label, options, change) {
  const box = document.createElement("select");
  options.forEach((text, index) => box.add(new Option(text, index)));
  box.addEventListener("change", change);
  return labelled(form, label, box);
}

function checkbox(form, label, checked, change) {
  const box = document.createElement("input");
  box.type = "checkbox";
  box.checked = checked;
  box.addEventListener("change", change);
  return labelled(form, label, box);
}

function labelled(form, text, control) {
  const label = document.createElement("label");
  if (control.type === "checkbox") label.append(control, " " + text);
  else label.append(text + " ", control);
  form.append(label);
  return control;
}

// ---- Appearance -------------------------------------------------------------------------------------------------

function axis(title, style) {
  return {
    title: { text: title, standoff: 8 }, gridcolor: style.grid, zerolinecolor: style.grid, linecolor: style.grid, automargin: true,
  };
}

function appearance() {
  const page = getComputedStyle(document.body);
  const color = page.color;
  return { color, grid: "rgba(128, 128, 128, 0.3)", font: page.fontFamily };
}

function layout(style) {
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: style.color, family: style.font, size: 13 },
    margin: { l: 50, r: 10, t: 30, b: 45 }, height: 430, hovermode: "closest",
    legend: { orientation: "h", y: -0.22, x: 0, traceorder: "normal" },
  };
}

function translucent(color) {
  const part = (from) => parseInt(color.slice(from, from + 2), 16);
  return `rgba(${part(1)}, ${part(3)}, ${part(5)}, 0.18)`;
}

// ---- Learning rates ---------------------------------------------------------------------------------------------

function ratesTraces(panel) {
  return panel.series.map((series) => {
    const number = METHODS.indexOf(series.method);
    const texts = series.x.map((rate, index) => {
      const seed = series.seed ? `<br>seed ${series.seed[index]}` : "";
      return `${series.method}<br>learning rate ${rate}<br>score ${series.y[index]}${seed}`;
    });
    return {
      name: series.method, x: series.x, y: series.y, mode: "markers", customdata: series.command, text: texts,
      hovertemplate: "%{text}<extra></extra>",
      marker: { color: COLORS[number], symbol: SYMBOLS[number], size: 8 },
    };
  });
}

function learningRates(root, panels, plot, form) {
  const command = root.querySelector(".command");
  const draw = () => {
    const panel = panels[game.value], style = appearance();
    const x = { ...axis("learning rate", style), type: "log", dtick: 1, tickformat: ".0e" };
    command.hidden = true;
    Plotly.react(plot, ratesTraces(panel), { ...layout(style), xaxis: x, yaxis: axis("final score", style) }, CONFIG);
  };
  const game = select(form, "Game", panels.map((panel) => panel.title), draw);
  draw();
  plot.on("plotly_click", (event) => {
    const text = event.points[0].customdata;
    command.hidden = !text;
    command.textContent = text || "";
  });
  return draw;
}

// ---- Learning curves --------------------------------------------------------------------------------------------

function curveTraces(line, onRight) {
  const color = COLORS[THREADS.indexOf(line.threads)] || COLORS[0];
  const axes = onRight ? { xaxis: "x2", yaxis: "y2" } : {};
  const isPaper = line.by === "paper";
  const curve = {
    ...axes, name: line.name, x: line.x, y: line.y, mode: "lines+markers",
    line: { color, dash: isPaper ? "dot" : "solid", width: 2 },
    marker: { symbol: SYMBOLS[THREADS.indexOf(line.threads)] || "circle", size: 5, color },
    hovertemplate: "epoch %{x}, score %{y}<extra>%{fullData.name}</extra>",
  };
  if (!line.low) return [curve];
  const edge = { ...axes, x: line.x, mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false };
  return [{ ...edge, y: line.low }, { ...edge, y: line.high, fill: "tonexty", fillcolor: translucent(color) }, curve];
}

function learningCurves(root, panels, plot, form) {
  const draw = () => {
    const panel = panels[game.value], style = appearance();
    const shown = panel.lines.filter((line) =>
      line.method === METHODS[method.value] && threads[THREADS.indexOf(line.threads)].checked
      && (line.by !== "paper" || paper.checked));
    const beside = Boolean(panel.paper_title) && shown.some((line) => line.by === "paper");
    const traces = shown.flatMap((line) => curveTraces(line, beside && line.by === "paper"));
    const spec = { ...layout(style), xaxis: axis("epochs", style), yaxis: axis("score", style) };
    if (beside) splitInTwo(spec, style, panel);
    if (!shown.length) spec.annotations = [note("no runs with this choice", 0.5, 0.5)];
    Plotly.react(plot, traces, spec, CONFIG);
  };
  const game = select(form, "Game", panels.map((panel) => panel.title), draw);
  const method = select(form, "Method", METHODS, draw);
  method.value = METHODS.indexOf("A3C");
  form.append("Actor-learners:");
  const threads = THREADS.map((n) => checkbox(form, `${n}`, [1, 4, 16].includes(n), draw));
  const paper = checkbox(form, "the paper's curves", true, draw);
  draw();
  return draw;
}

function splitInTwo(spec, style, panel) {
  const narrow = window.innerWidth < 700;
  spec.xaxis2 = axis("epochs", style);
  spec.yaxis2 = { ...axis("score", style), anchor: "x2" };
  spec.xaxis2.anchor = "y2";
  const titles = [panel.title, panel.paper_title];
  if (narrow) {
    spec.yaxis.domain = [0.62, 1];
    spec.yaxis2.domain = [0, 0.38];
    spec.height = 720;
    spec.annotations = [note(titles[0], 0.5, 1.06), note(titles[1], 0.5, 0.44)];
  } else {
    spec.xaxis.domain = [0, 0.45];
    spec.xaxis2.domain = [0.55, 1];
    spec.annotations = [note(titles[0], 0.22, 1.08), note(titles[1], 0.78, 1.08)];
  }
}

function note(text, x, y) {
  return { text, x, y, xref: "paper", yref: "paper", xanchor: "center", showarrow: false };
}

// ---- All figures of the page ------------------------------------------------------------------------------------

const CONFIG = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["lasso2d", "select2d"] };
const FIGURES = { learning_rates: learningRates, learning_curves: learningCurves };

function start() {
  const redraw = [];
  document.querySelectorAll(".interactive").forEach((root) => {
    const { figure, panels } = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    const form = root.querySelector(".controls");
    form.addEventListener("submit", (event) => event.preventDefault());
    redraw.push(FIGURES[figure](root, panels, root.querySelector(".plot"), form));
  });
  const all = () => redraw.forEach((draw) => draw());
  new MutationObserver(all).observe(document.body, { attributes: true, attributeFilter: ["data-theme"] });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
}

start();
