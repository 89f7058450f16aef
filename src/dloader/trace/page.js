const B = DATA.batches, N = B.label.length, END = Math.max(DATA.duration, 1), ROW = 26;
const grid = $("grid"), body = $("body"), space = $("space"), overview = $("overview"), detail = $("detail");
const format = (least, most) => new Intl.NumberFormat("en", { minimumFractionDigits: least, maximumFractionDigits: most });
const number = format(0, 3), tenths = format(1, 1), cents = format(2, 2);
const span = (us, digits) => us === null ? "–" : us < 1e3 ? number.format(Math.round(us)) + " us" : us < 999950 ? (digits || tenths).format(us / 1e3) + " ms" : (digits || cents).format(us / 1e6) + " s";
const count = (n, one, many) => number.format(n) + " " + (n === 1 ? one : many);
const sum = (list, of) => list.reduce((total, each) => total + of(each), 0);
const state = { order: N > 400 ? "loader" : "opened", filter: "", bad: false, view: [0, END], open: new Set(), pick: null };
let rows = [];
const numberOf = new Map();
const picked = () => rows[numberOf.get(state.pick)];

// -- what is known of batches

const finding = new Array(N).fill(-1), onChain = new Set(DATA.chain), after = new Map();
DATA.findings.forEach((f, k) => f.batches.forEach((i) => { if (finding[i] < 0) finding[i] = k; }));
B.came_from.forEach((sources, i) => sources.forEach((s) => { if (!after.has(s)) after.set(s, []); after.get(s).push(i); }));
const endOf = (i) => B.ended[i] ?? END;
const began = (i) => B.started[i] ?? endOf(i);
const hasRun = (i) => B.started[i] !== null;
const ran = (i) => endOf(i) - began(i);
const isBad = (i) => B.bad[i] === 1;
const hue = (i) => "var(--h" + B.loader[i] % 7 + ")";
const isInteresting = (i) => isBad(i) || (finding[i] >= 0 && DATA.findings[finding[i]].severity === "warning");
const askedFor = (i) => DATA.asked[B.asked[i]];
const text = (i) => (B.label[i] + " " + askedFor(i) + " " + B.sample[i].join(" ")).toLowerCase();
const heldIn = (from, to) => DATA.busy.filter(([start, end]) => end > from && start < to).map(([start, end]) => [Math.max(start, from), Math.min(end, to)]);

// -- rows: a batch each, or a group; `rest` are those of a loader that are not here one by one -------------------

const nothing = { batches: 0, keys: 0, ran: 0, density: [] };
const nameOf = (row) => row.group ? B.name[row.batches[0]] + " × " + number.format(row.batches.length + row.rest.batches) : B.label[row.batches[0]];
const keysOf = (row) => sum(row.batches, (i) => B.keys[i]) + row.rest.keys;
const ranOf = (row) => row.batches.some(hasRun) ? sum(row.batches, ran) + row.rest.ran : null;
function askedBy(row) {
  const places = new Set(row.batches.map((i) => B.asked[i]));
  return places.size === 1 ? askedFor(row.batches[0]) : places.size + " places";
}
function grouped() {
  if (state.order === "opened") return DATA.rows;
  const byLoader = state.order === "loader", key = byLoader ? B.loader : B.asked, groups = new Map();
  for (let i = 0; i < N; i++) { if (!groups.has(key[i])) groups.set(key[i], []); groups.get(key[i]).push(i); }
  const ranAll = (group) => sum(group, ran) + (byLoader && DATA.rest[B.loader[group[0]]] || nothing).ran;
  return [...groups.values()].map((group) => [ranAll(group), group]).sort((a, b) => b[0] - a[0]).map((pair) => pair[1]);
}
function rebuild() {
  rows = [];
  const wanted = (i) => (!state.bad || isInteresting(i)) && (!state.filter || text(i).includes(state.filter)), all = !state.bad && !state.filter;
  for (const group of grouped()) {
    const batches = all ? group : group.filter(wanted), rest = all && state.order === "loader" && DATA.rest[B.loader[group[0]]] || nothing;
    if (!batches.length) continue;
    if (group.length === 1) { rows.push({ id: "b" + group[0], batches, rest, level: 1 }); continue; }
    const id = state.order + batches[0];
    rows.push({ id, batches, rest, level: 1, group: true });
    if (state.open.has(id)) for (const i of batches) rows.push({ id: "b" + i, batches: [i], rest: nothing, level: 2 });
  }
  numberOf.clear();
  rows.forEach((row, k) => { numberOf.set(row.id, k); });
  if (!picked()) state.pick = rows.length ? rows[0].id : null;
  const shown = sum(rows.filter((row) => row.level === 1), (row) => row.batches.length + row.rest.batches), every = N + sum(Object.values(DATA.rest), (rest) => rest.batches);
  $("count").textContent = (every > N && shown < every ? number.format(shown) + " of " + number.format(every) + " batches" : count(shown, "batch", "batches"));
  grid.setAttribute("aria-rowcount", rows.length + 1);
  space.style.height = rows.length * ROW + "px";
  draw();
}

// -- time: its place in the view, in percent

const at = (time) => (time - state.view[0]) / (state.view[1] - state.view[0]) * 100;
function ticksOf() {
  const width = $("scale").clientWidth || 600, [from, to] = state.view, raw = (to - from) / Math.max(1, width / 95), power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((n) => raw / power <= n), ticks = [];
  for (let t = Math.ceil(from / step) * step; t <= to && ticks.length < 60; t += step) ticks.push(t);
  return ticks;
}
const tickAt = (t, words) => el("span", { class: "tick", style: "left:" + at(t) + "%" }, words);
function drawScale(ticks) {
  const room = (t) => (100 - at(t)) * $("scale").clientWidth / 100;
  $("scale").replaceChildren(...ticks.filter((t) => room(t) > 120 || t === state.view[0]).map((t) => tickAt(t, t === 0 ? "0" : span(t, number))), el("span", { class: "tick last" }, span(state.view[1])));
}

// -- pictures

function penOf(canvas, height) {
  const width = canvas.clientWidth || 600, ratio = devicePixelRatio || 1, pen = canvas.getContext("2d");
  canvas.width = width * ratio; canvas.height = height * ratio;
  pen.scale(ratio, ratio);
  return [pen, width];
}
/** Adds to each of some columns how many batches run in it, from one time to another. */
function addRunning(columns, batches, rest, from, to) {
  const width = columns.length, place = (time) => (time - from) / (to - from) * width;
  for (const i of batches) if (hasRun(i)) {
    const first = Math.min(width - 1, Math.round(place(B.started[i]))), last = Math.max(first, Math.round(place(endOf(i))) - 1);
    for (let x = Math.max(0, first); x <= Math.min(width - 1, last); x++) columns[x]++;
  }
  const parts = (rest || nothing).density, part = (x) => (from + x / width * (to - from)) / END * parts.length;
  if (parts.length) for (let x = 0; x < width; x++) columns[x] += Math.max(0, ...parts.slice(Math.floor(part(x)), Math.ceil(part(x + 1))));
}
function bars(i, cell) {
  const end = endOf(i), words = B.ended_how[i], [first, last] = state.view;
  const part = (kind, from, to, color) => {
    if (to < first || from > last) return;
    const left = Math.max(0, at(from)), wide = Math.max(0, Math.min(100, at(to)) - left);
    cell.append(el("span", { class: "bar " + kind, style: `left:${left}%;width:${wide}%;--c:${color}` }));
  };
  part("open", B.opened[i], B.closed[i] ?? end, hue(i));
  if (B.closed[i] !== null) part("wait", B.closed[i], began(i), hue(i));
  if (hasRun(i)) {
    part("run", B.started[i], end, !isBad(i) || !words ? hue(i) : B.gone[i] ? "var(--grey)" : "var(--bad)");
    for (const [from, to] of heldIn(B.started[i], end)) if (at(to) - at(from) > 0.3) part("held", from, to);
  }
  if (words && end >= first && B.opened[i] <= last) {
    const place = at(end) > 72 ? "right:" + (Math.min(100, 100 - at(B.opened[i])) + 0.5) : "left:" + (Math.max(0, at(end)) + 0.5);
    cell.append(el("span", { class: "note" + (B.gone[i] ? " left" : ""), style: place + "%" }, (B.gone[i] ? "" : "✕ ") + words));
  }
}
function comb(row, cell) {
  const canvas = el("canvas", { class: "comb", "aria-hidden": "true" }), first = row.batches[0];
  cell.append(canvas);
  const [pen, width] = penOf(canvas, ROW), x = (time) => at(time) * width / 100, spans = row.batches.filter(hasRun);
  if (!row.rest.batches && sum(spans, (i) => x(endOf(i)) - x(B.started[i])) >= 3 * spans.length) {
    for (const i of spans) {
      pen.fillStyle = isBad(i) ? getComputedStyle(cell).getPropertyValue("--bad") : colorOf(B.loader[i]);
      pen.fillRect(x(B.started[i]), 7, Math.max(2, x(endOf(i)) - x(B.started[i]) - 1), 12);
    }
    return;
  }
  const columns = new Float64Array(Math.ceil(width));
  addRunning(columns, row.batches, row.rest, ...state.view);
  const most = columns.reduce((a, b) => Math.max(a, b), 1);
  pen.fillStyle = colorOf(B.loader[first]);
  columns.forEach((n, left) => { if (n) { const h = Math.max(3, 14 * n / most); pen.fillRect(left, 20 - h, 1, h); } });
}
function drawHeld() {
  const [pen, width] = penOf($("held").querySelector("canvas"), 16);
  pen.fillStyle = colorOf(null);
  for (const [from, to] of heldIn(...state.view)) pen.fillRect(at(from) * width / 100, 4, Math.max(1, (at(to) - at(from)) * width / 100), 8);
}
let running = { columns: 0 }; // of each loader in each column of the overview; the same until the window is another one
function drawOverview() {
  const height = 52, [pen, width] = penOf(overview, height), columns = Math.max(1, Math.floor(width));
  if (running.columns !== columns) {
    running = { columns, of: DATA.loaders.map(() => new Float64Array(columns)) };
    const batches = DATA.loaders.map(() => []);
    for (let i = 0; i < N; i++) batches[B.loader[i]].push(i);
    running.of.forEach((one, loader) => addRunning(one, batches[loader], DATA.rest[loader], 0, END));
  }
  const total = Array.from({ length: columns }, (_, x) => sum(running.of, (one) => one[x])), most = total.reduce((a, b) => Math.max(a, b), 1), base = new Float64Array(columns);
  running.of.forEach((one, loader) => {
    pen.fillStyle = colorOf(loader);
    one.forEach((n, x) => { if (n) { const h = n / most * (height - 10); pen.fillRect(x, height - 2 - base[x] - h, 1, h); base[x] += h; } });
  });
  const grey = colorOf(null), [from, to] = state.view.map((t) => t / END * width);
  pen.fillStyle = grey;
  total.forEach((n, x) => { if (!n) pen.fillRect(x, height - 2, 1, 1.5); });
  pen.fillStyle = grey + "55"; pen.fillRect(0, 0, from, height); pen.fillRect(to, 0, width - to, height);
  $("most").textContent = "batches running, at most " + number.format(Math.ceil(most));
}
function shape(tag, props) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(props)) node.setAttribute(name, value);
  return node;
}
function drawLines() {
  const row = picked(), cell = row && !row.group && document.querySelector("#r-" + CSS.escape(row.id) + " .time");
  if (!cell) return;
  const i = row.batches[0], svg = shape("svg", { class: "lines", "aria-hidden": "true" }), x = (t) => cell.offsetLeft + at(t) * cell.clientWidth / 100;
  const line = (a, b, dashes) => {
    const [k, l] = [a, b].map((each) => numberOf.get("b" + each));
    if (k === undefined || l === undefined) return;
    const [x1, x2, y1, y2] = [x(endOf(a)), x(B.opened[b]), k * ROW + 13, l * ROW + 13], bend = Math.max(12, Math.abs(x2 - x1) / 2);
    svg.append(shape("path", { d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`, "stroke-dasharray": dashes }));
  };
  for (const s of B.came_from[i]) line(s, i, "none");
  for (const f of (after.get(i) || []).slice(0, 60)) line(i, f, "4 3");
  space.append(svg);
}

// -- the grid: only the rows in view are there

const chip = (i) => el("span", { class: "chip", style: "--c:" + hue(i) });
function drawRow(row, k) {
  const first = row.batches[0], isPicked = row.id === state.pick, failed = row.batches.filter(isBad).length, isOpen = state.open.has(row.id), name = nameOf(row);
  const badge = row.level === 1 && (row.group || state.order !== "opened") && finding[first] >= 0 ? DATA.findings[finding[first]].badge : "";
  const label = el("span", { role: "rowheader", class: "m label level" + row.level, title: name },
    row.group && el("span", { class: "twist", "aria-hidden": "true" }, isOpen ? "▾" : "▸"), badge && el("span", { class: "badge" }, badge), row.group && failed > 0 && el("span", { class: "badge bad" }, "✕ " + failed),
    chip(first), el("span", {}, name), row.batches.some((i) => onChain.has(i)) && el("span", { class: "mark", title: "on the longest chain" }, "◆"));
  const cells = [askedBy(row), number.format(keysOf(row)), row.group ? "" : span(began(first) - B.opened[first]), span(ranOf(row))], time = el("span", { role: "gridcell", class: "time" });
  const sentence = name + ", asked by " + cells[0] + ", " + count(keysOf(row), "key", "keys") + ", ran " + cells[3] + (row.group ? "" : ", opened at " + span(B.opened[first]) + (B.ended_how[first] && ", " + B.ended_how[first]));
  const node = el("div", { role: "row", id: "r-" + row.id, class: "row" + (isPicked ? " pick" : ""), style: `top:${k * ROW}px;height:${ROW}px`, "aria-rowindex": k + 2, "aria-level": row.level, "aria-selected": String(isPicked), "aria-expanded": row.group ? String(isOpen) : null, "aria-label": sentence },
    label, ...cells.map((words, n) => el("span", { role: "gridcell", class: n ? "n m" : "m grey", title: n ? null : words }, words)), time);
  node.addEventListener("click", () => { if (row.group && isPicked) toggle(row); pick(row.id); grid.focus({ preventScroll: true }); });
  return [node, time, row];
}
function draw() {
  const from = Math.max(0, Math.floor(body.scrollTop / ROW) - 4), to = Math.ceil((body.scrollTop + body.clientHeight) / ROW) + 4, ticks = ticksOf();
  const made = rows.slice(from, to).map((row, n) => drawRow(row, from + n));
  space.replaceChildren(...made.map((each) => each[0]));
  for (const [, cell, row] of made) {
    cell.append(...ticks.map((t) => tickAt(t)));
    if (row.group) comb(row, cell); else bars(row.batches[0], cell);
  }
  if (document.getElementById("r-" + state.pick)) grid.setAttribute("aria-activedescendant", "r-" + state.pick); else grid.removeAttribute("aria-activedescendant");
  drawScale(ticks); drawLines(); drawOverview(); drawHeld();
}

// -- details of what is chosen

const link = (i) => el("a", { href: "#detail", onclick: (event) => { event.preventDefault(); show(i); grid.focus({ preventScroll: true }); } }, B.label[i]);
const links = (list) => [...list.slice(0, 12).flatMap((i, k) => [k ? ", " : "", link(i)]), list.length > 12 ? " and " + (list.length - 12) + " more" : ""];
const linked = (words, i) => i === null ? [words] : [link(i), words.slice(B.label[i].length)];
function times(i) {
  const held = hasRun(i) ? sum(heldIn(B.started[i], endOf(i)), ([from, to]) => to - from) : 0;
  return "opened at " + span(B.opened[i]) + (B.closed[i] === null ? ", never closed" : ", gathered keys for " + span(B.closed[i] - B.opened[i])) +
    (hasRun(i) ? ", then waited " + span(B.started[i] - B.closed[i]) + " to start, ran " + span(ran(i)) : ", never started") +
    (held && held * 20 >= ran(i) ? ", for " + span(held) + " of this a resolver held the event loop, so that it may have been done earlier" : "");
}
function describe() {
  const row = picked(), list = el("dl"), code = (words) => words && el("code", {}, words);
  const add = (term, ...what) => { if (what.some((w) => w)) list.append(el("dt", {}, term), el("dd", {}, ...what)); };
  if (!row) { detail.replaceChildren(el("span", { class: "grey" }, "Nothing is shown.")); return; }
  const i = row.batches[0], found = DATA.findings[finding[i]], keys = keysOf(row);
  if (row.group) {
    add("asked by", code(askedBy(row)));
    add("batches", number.format(row.batches.length + row.rest.batches), row.rest.batches ? ", of which " + number.format(row.batches.length) + " are here one by one" : "");
    add("ran", span(ranOf(row)));
  } else {
    add("asked by", code(askedFor(i)), B.steps[i] && " " + B.steps[i]);
    add(B.steps[i] ? "resolve called at" : "at", code(B.places[i].map((p) => DATA.places[p]).join(" ← ")));
    add("keys", code(B.sample[i].join(", ")), B.sample[i].length && keys > B.sample[i].length ? ", …" : "");
    add("values", code(B.values[i].join(", ")));
    add("times", times(i));
    add("closed because", DATA.because[B.because[i]]);
    add("why not in the batch before", ...linked(B.why_not[i], B.before[i]));
    add("keys came from", ...links(B.came_from[i]));
    add("then followed", ...links(after.get(i) || []));
    add("loaded inside of", B.inside[i] === null ? "" : link(B.inside[i]));
    add("it", B.ended_how[i]);
    add("round", String(B.round[i]));
  }
  if (found) add("finding", found.message + (found.expected && " (expected: " + found.expected + ")"));
  add("batch function", code(DATA.loaders[B.loader[i]].source));
  detail.replaceChildren(el("strong", {}, chip(i), code(nameOf(row)), " " + count(keys, "key", "keys")), list);
}

// -- what is done

function pick(id) {
  state.pick = id;
  const top = numberOf.get(id) * ROW;
  body.scrollTop = Math.max(top + ROW - body.clientHeight, Math.min(top, body.scrollTop));
  draw(); describe();
}
function toggle(row, open = !state.open.has(row.id)) {
  state.open[open ? "add" : "delete"](row.id);
  rebuild();
}
function show(i) {
  if (!rows.some((row) => row.batches.includes(i))) {
    state.filter = $("filter").value = ""; state.bad = $("bad").checked = false;
    rebuild();
  }
  if (!numberOf.has("b" + i)) toggle(rows.find((row) => row.batches.includes(i)), true);
  pick("b" + i);
}
function zoom(from, to) {
  const width = Math.min(END, Math.max(END / 1e5, to - from)), start = Math.min(Math.max(0, from), END - width);
  state.view = [start, start + width];
  draw();
}
const all = () => zoom(0, END);
const scaleBy = (factor) => { const [from, to] = state.view, edge = (to - from) * (1 - factor) / 2; zoom(from + edge, to - edge); };
const shift = (share) => { const [from, to] = state.view, by = (to - from) * share; zoom(from + by, to + by); };
function zoomToPick() {
  const batches = picked().batches, from = batches.reduce((least, i) => Math.min(least, B.opened[i]), END), to = batches.reduce((most, i) => Math.max(most, endOf(i)), 0), edge = (to - from) * 0.1;
  zoom(from - edge, to + edge);
}
const step = (by) => pick(rows[Math.min(rows.length - 1, Math.max(0, numberOf.get(state.pick) + by))].id);
function hunt(by) {
  const many = rows.length, from = numberOf.get(state.pick);
  for (let n = 1; n <= many; n++) { const row = rows[(from + by * n + n * many) % many]; if (row.batches.some((i) => isBad(i) || finding[i] >= 0)) { pick(row.id); return; } }
}
function close(row) {
  if (row.group) toggle(row, false);
  else if (row.level === 2) pick(rows.slice(0, numberOf.get(row.id)).findLast((each) => each.group).id);
}
function press(event, keys) {
  if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  keys[event.key]();
}
function gridKey(event) {
  const row = picked(), page = Math.max(1, Math.floor(body.clientHeight / ROW) - 1);
  if (!row) return;
  const [source] = B.came_from[row.batches[0]], [next] = after.get(row.batches[0]) || [];
  press(event, {
    ArrowDown: () => step(1), ArrowUp: () => step(-1), PageDown: () => step(page), PageUp: () => step(-page), Home: () => step(-rows.length), End: () => step(rows.length),
    ArrowRight: () => row.group && toggle(row, true), ArrowLeft: () => close(row), Enter: () => row.group && toggle(row),
    p: () => source !== undefined && show(source), c: () => next !== undefined && show(next), n: () => hunt(1), N: () => hunt(-1), z: zoomToPick,
  });
}
const help = () => $("help").showModal();
function pageKey(event) {
  if (!event.target.matches("input, select")) press(event, { "+": () => scaleBy(0.5), "=": () => scaleBy(0.5), "-": () => scaleBy(2), 0: all, "[": () => shift(-0.25), "]": () => shift(0.25), "/": () => $("filter").focus(), t: toggleTheme, "?": help });
}
const renew = () => { rebuild(); describe(); };
function setFilter(words) { state.filter = words.toLowerCase(); renew(); }
function focusOn(row) { pick(row.id); grid.focus(); grid.scrollIntoView({ block: "nearest" }); }
const on = (id, event, then) => $(id).addEventListener(event, then);
on("grid", "keydown", gridKey);
document.addEventListener("keydown", pageKey);
on("body", "scroll", draw);
addEventListener("resize", draw);
$("order").value = state.order;
on("order", "change", () => { state.order = $("order").value; state.open.clear(); renew(); });
on("filter", "input", () => setFilter($("filter").value));
on("filter", "keydown", (event) => press(event, { Escape: () => setFilter($("filter").value = ""), ArrowDown: () => grid.focus() }));
on("bad", "change", () => { state.bad = $("bad").checked; renew(); });
on("out", "click", () => scaleBy(2)); on("in", "click", () => scaleBy(0.5)); on("all", "click", all);
on("theme", "click", toggleTheme); on("why", "click", help); on("close", "click", () => $("help").close());
for (const button of document.querySelectorAll("[data-show]")) {
  button.hidden = false;
  button.addEventListener("click", () => { const i = Number(button.dataset.show); if (!rows.some((row) => row.batches.includes(i))) show(i); focusOn(rows.find((row) => row.batches.includes(i))); });
}
let drag = null;
on("overview", "pointerdown", (event) => { drag = event.offsetX; overview.setPointerCapture(event.pointerId); });
on("overview", "pointerup", (event) => {
  const [from, to] = [drag, event.offsetX].sort((a, b) => a - b).map((x) => x / overview.clientWidth * END);
  if (drag !== null && Math.abs(event.offsetX - drag) > 4) zoom(from, to);
  drag = null;
});
on("overview", "dblclick", all);
$("loaders")?.tBodies[0].addEventListener("click", (event) => {
  const name = event.target.closest("tr").cells[0].textContent;
  state.order = $("order").value = "loader";
  renew();
  const row = rows.find((each) => B.name[each.batches[0]] === name);
  if (row) focusOn(row);
});
const UNITS = { ms: 1e3, s: 1e6 };
function valueOf(line, column) {
  const words = line.cells[column].textContent, [digits, unit] = words.replaceAll(",", "").split(" "), value = Number(digits) * (UNITS[unit] || 1);
  return Number.isNaN(value) ? words : value;
}
for (const table of document.querySelectorAll("#loaders, #fields")) table.querySelectorAll("th").forEach((head, column) => {
  let order = 1;
  const sort = el("button", { type: "button", onclick: () => {
    order = -order;
    const lines = [...table.tBodies[0].rows].map((line) => [valueOf(line, column), line]).sort(([a], [b]) => a < b ? -order : a > b ? order : 0);
    table.tBodies[0].append(...lines.map((pair) => pair[1]));
    table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order < 0 ? "descending" : "ascending");
  } }, head.textContent);
  head.replaceChildren(sort);
});
themed.push(draw);
document.querySelectorAll(".scripted").forEach((node) => { node.hidden = false; });
$("held").hidden = $("heldkey").hidden = !DATA.busy.length;
applyTheme();
renew();
document.documentElement.dataset.ready = "true";
