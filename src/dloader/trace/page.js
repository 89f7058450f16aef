const B = DATA.batches, N = B.label.length, END = Math.max(DATA.duration, 1), ROW = 26;
const grid = $("grid"), body = $("body"), space = $("space"), overview = $("overview"), detail = $("detail");
const format = (least, most) => new Intl.NumberFormat("en", { minimumFractionDigits: least, maximumFractionDigits: most });
const number = format(0, 3), tenths = format(1, 1), cents = format(2, 2);
const span = (us, digits) => us === null ? "–" : us < 1e3 ? number.format(Math.round(us)) + " us" : us < 999950 ? (digits || tenths).format(us / 1e3) + " ms" : (digits || cents).format(us / 1e6) + " s";
const endOf = (i) => B.ended[i] === null ? END : B.ended[i];
const state = { order: N > 400 ? "loader" : "opened", filter: "", bad: false, view: [0, END], open: new Set(), pick: null };
let rows = [];

const finding = new Array(N).fill(-1);
DATA.findings.forEach((f, k) => f.batches.forEach((i) => { if (finding[i] < 0) finding[i] = k; }));
const onChain = new Uint8Array(N), numberOf = new Map(), after = new Map();
DATA.chain.forEach((i) => { onChain[i] = 1; });
for (let i = 0; i < N; i++) for (const s of B.came_from[i]) { if (!after.has(s)) after.set(s, []); after.get(s).push(i); }
const isBad = (i) => B.bad[i] === 1;
const isInteresting = (i) => isBad(i) || (finding[i] >= 0 && DATA.findings[finding[i]].severity === "warning");
const text = (i) => (B.label[i] + " " + DATA.asked[B.asked[i]] + " " + B.sample[i].join(" ")).toLowerCase();

function grouped() {
  if (state.order === "opened") return DATA.rows;
  const key = state.order === "loader" ? B.loader : B.asked, groups = new Map();
  for (let i = 0; i < N; i++) { if (!groups.has(key[i])) groups.set(key[i], []); groups.get(key[i]).push(i); }
  const ran = (group) => group.reduce((sum, i) => sum + (B.started[i] === null ? 0 : endOf(i) - B.started[i]), 0);
  return [...groups.values()].map((group) => [ran(group), group]).sort((a, b) => b[0] - a[0]).map((pair) => pair[1]);
}
function rebuild() {
  rows = [];
  const wanted = (i) => (!state.bad || isInteresting(i)) && (!state.filter || text(i).includes(state.filter));
  let shown = 0;
  for (const group of grouped()) {
    const some = state.bad || state.filter ? group.filter(wanted) : group;
    if (!some.length) continue;
    shown += some.length;
    if (some.length === 1 && group.length === 1) { rows.push({ id: "b" + some[0], batches: some, level: 1 }); continue; }
    const id = state.order + some[0];
    rows.push({ id, batches: some, level: 1, group: true });
    if (state.open.has(id)) for (const i of some) rows.push({ id: "b" + i, batches: [i], level: 2 });
  }
  numberOf.clear();
  rows.forEach((row, k) => { numberOf.set(row.id, k); });
  if (state.pick === null || !numberOf.has(state.pick)) state.pick = rows.length ? rows[0].id : null;
  $("count").textContent = number.format(shown) + (shown === 1 ? " batch" : " batches");
  grid.setAttribute("aria-rowcount", rows.length + 1);
  space.style.height = rows.length * ROW + "px";
  draw();
}
const nameOf = (row) => row.group ? B.name[row.batches[0]] + " × " + row.batches.length : B.label[row.batches[0]];
function askedBy(row) {
  const places = new Set(row.batches.map((i) => B.asked[i]));
  return places.size === 1 ? DATA.asked[B.asked[row.batches[0]]] : places.size + " places";
}
const keysOf = (row) => row.batches.reduce((sum, i) => sum + B.keys[i], 0);
const ranOf = (row) => row.batches.every((i) => B.started[i] === null) ? null : row.batches.reduce((sum, i) => sum + (B.started[i] === null ? 0 : endOf(i) - B.started[i]), 0);
const waitedOf = (row) => row.group ? null : (B.started[row.batches[0]] === null ? endOf(row.batches[0]) : B.started[row.batches[0]]) - B.opened[row.batches[0]];
const at = (time) => (time - state.view[0]) / (state.view[1] - state.view[0]) * 100;

function bars(i, cell) {
  const color = isBad(i) ? (B.ended_how[i] === "" ? null : "var(--bad)") : null, end = endOf(i);
  const part = (kind, from, to) => {
    if (to < state.view[0] || from > state.view[1]) return;
    const left = Math.max(0, at(from)), right = Math.min(100, at(to));
    const bar = el("span", { class: "bar " + kind });
    bar.style.left = left + "%"; bar.style.width = Math.max(0, right - left) + "%";
    bar.style.setProperty("--c", kind === "run" && color ? (B.gone[i] ? "var(--grey)" : color) : "var(--h" + B.loader[i] % 7 + ")");
    cell.append(bar);
  };
  part("open", B.opened[i], B.closed[i] === null ? end : B.closed[i]);
  if (B.closed[i] !== null) part("wait", B.closed[i], B.started[i] === null ? end : B.started[i]);
  if (B.started[i] !== null) part("run", B.started[i], end);
  if (B.started[i] !== null) for (const [from, to] of heldIn(B.started[i], end)) if (at(to) - at(from) > 0.3) part("held", from, to);
  if (B.ended_how[i] && end >= state.view[0] && B.opened[i] <= state.view[1]) {
    const note = el("span", { class: "note" + (B.gone[i] ? " left" : "") }, (B.gone[i] ? "" : "✕ ") + B.ended_how[i]);
    const right = at(end);
    if (right > 72) note.style.right = Math.min(100, 100 - at(B.opened[i])) + 0.5 + "%"; else note.style.left = Math.max(0, right) + 0.5 + "%";
    cell.append(note);
  }
}
function comb(row, cell) {
  const canvas = el("canvas", { class: "comb", "aria-hidden": "true" });
  cell.append(canvas);
  const width = canvas.clientWidth || 600, ratio = devicePixelRatio || 1, height = ROW;
  canvas.width = width * ratio; canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const spans = row.batches.filter((i) => B.started[i] !== null).map((i) => [at(B.started[i]) * width / 100, at(endOf(i)) * width / 100, i]);
  if (spans.length && spans.reduce((sum, s) => sum + s[1] - s[0], 0) / spans.length >= 3) {
    for (const [from, to, i] of spans) {
      if (to < 0 || from > width) continue;
      pen.fillStyle = isBad(i) ? getComputedStyle(cell).getPropertyValue("--bad") : colorOf(B.loader[i]);
      pen.fillRect(from, 7, Math.max(2, to - from - 1), 12);
    }
    return;
  }
  const counts = new Uint32Array(Math.ceil(width));
  for (const [from, to] of spans) for (let x = Math.max(0, from | 0); x <= Math.min(width - 1, to); x++) counts[x]++;
  const most = counts.reduce((a, b) => Math.max(a, b), 1);
  pen.fillStyle = colorOf(B.loader[row.batches[0]]);
  for (let x = 0; x < counts.length; x++) if (counts[x]) { const h = Math.max(3, 14 * counts[x] / most); pen.fillRect(x, 20 - h, 1, h); }
}
function drawRow(row, k) {
  const first = row.batches[0], found = finding[first], picked = row.id === state.pick, failed = row.batches.filter(isBad).length;
  const name = el("span", { role: "rowheader", class: "m", title: nameOf(row) });
  if (row.level === 2) name.style.paddingLeft = "26px";
  if (row.group) name.append(el("span", { class: "twist", "aria-hidden": "true" }, state.open.has(row.id) ? "▾" : "▸"));
  if (found >= 0 && DATA.findings[found].badge && (row.group || state.order !== "opened") && row.level === 1) name.append(el("span", { class: "badge" }, DATA.findings[found].badge));
  if (failed && row.group) name.append(el("span", { class: "badge bad" }, "✕ " + failed));
  const chip = el("span", { class: "chip" });
  chip.style.setProperty("--c", "var(--h" + B.loader[first] % 7 + ")");
  name.append(chip, nameOf(row));
  if (row.batches.some((i) => onChain[i])) name.append(el("span", { class: "mark", title: "on the longest chain" }, " ◆"));
  const cell = el("span", { role: "gridcell", class: "time" }), cells = [askedBy(row), number.format(keysOf(row)), row.group ? "" : span(waitedOf(row)), span(ranOf(row))];
  const sentence = nameOf(row) + ", asked by " + cells[0] + ", " + cells[1] + (cells[1] === "1" ? " key" : " keys") + ", ran " + cells[3] + (row.group ? "" : ", opened at " + span(B.opened[first]) + (B.ended_how[first] ? ", " + B.ended_how[first] : ""));
  const node = el("div", { role: "row", id: "r-" + row.id, class: "row" + (picked ? " pick" : ""), "aria-rowindex": k + 2, "aria-level": row.level, "aria-selected": picked ? "true" : "false", "aria-expanded": row.group ? String(state.open.has(row.id)) : null, "aria-label": sentence },
    name, el("span", { role: "gridcell", class: "m grey", title: cells[0] }, cells[0]), el("span", { role: "gridcell", class: "n m" }, cells[1]), el("span", { role: "gridcell", class: "n m" }, cells[2]), el("span", { role: "gridcell", class: "n m" }, cells[3]), cell);
  node.style.top = k * ROW + "px"; node.style.height = ROW + "px";
  node.addEventListener("click", () => { if (row.group && picked) toggle(row); pick(row.id); grid.focus({ preventScroll: true }); });
  return [node, cell, row];
}
function draw() {
  const from = Math.max(0, Math.floor(body.scrollTop / ROW) - 4), to = Math.min(rows.length, Math.ceil((body.scrollTop + body.clientHeight) / ROW) + 4);
  const made = [];
  for (let k = from; k < to; k++) made.push(drawRow(rows[k], k));
  const ticks = ticksOf();
  space.replaceChildren(...made.map((m) => m[0]));
  for (const [, cell, row] of made) {
    for (const t of ticks) { const tick = el("span", { class: "tick" }); tick.style.left = at(t) + "%"; cell.append(tick); }
    if (row.group) comb(row, cell); else bars(row.batches[0], cell);
  }
  $("scale").replaceChildren(...ticks.filter((t) => t === 0 || (100 - at(t)) * $("scale").clientWidth > 5600).map((t) => { const tick = el("span", { class: "tick" }, t === 0 ? "0" : span(t, number)); tick.style.left = at(t) + "%"; return tick; }));
  if (state.pick !== null && document.getElementById("r-" + state.pick)) grid.setAttribute("aria-activedescendant", "r-" + state.pick); else grid.removeAttribute("aria-activedescendant");
  drawLines(); drawOverview(); drawHeld();
}
function heldIn(from, to) { return DATA.busy.filter(([start, end]) => end > from && start < to).map(([start, end]) => [Math.max(start, from), Math.min(end, to)]); }
function drawHeld() {
  const canvas = $("held").querySelector("canvas"), width = canvas.clientWidth, ratio = devicePixelRatio || 1;
  canvas.width = width * ratio; canvas.height = 16 * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio); pen.fillStyle = colorOf(null);
  for (const [from, to] of heldIn(...state.view)) pen.fillRect(at(from) * width / 100, 4, Math.max(1, (at(to) - at(from)) * width / 100), 8);
}
function ticksOf() {
  const width = $("scale").clientWidth || 600, [from, to] = state.view, raw = (to - from) / Math.max(1, width / 95), power = 10 ** Math.floor(Math.log10(raw));
  const step = power * (raw / power <= 1 ? 1 : raw / power <= 2 ? 2 : raw / power <= 5 ? 5 : 10), ticks = [];
  for (let t = Math.ceil(from / step) * step; t <= to && ticks.length < 60; t += step) ticks.push(t);
  return ticks;
}
function drawLines() {
  space.querySelector("svg")?.remove();
  const row = rows[numberOf.get(state.pick)];
  if (!row || row.group) return;
  const i = row.batches[0], cell = document.querySelector("#r-" + CSS.escape(state.pick) + " .time");
  if (!cell) return;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), left = cell.offsetLeft, width = cell.clientWidth, x = (t) => left + at(t) * width / 100;
  svg.setAttribute("class", "lines"); svg.setAttribute("aria-hidden", "true");
  const line = (a, b, dashed) => {
    const ka = numberOf.get("b" + a), kb = numberOf.get("b" + b);
    if (ka === undefined || kb === undefined) return;
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path"), x1 = x(endOf(a)), x2 = x(B.opened[b]), y1 = ka * ROW + 13, y2 = kb * ROW + 13, bend = Math.max(12, Math.abs(x2 - x1) / 2);
    path.setAttribute("d", `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`);
    path.setAttribute("fill", "none"); path.setAttribute("stroke", "currentColor"); path.setAttribute("stroke-width", "1.4");
    if (dashed) path.setAttribute("stroke-dasharray", "4 3");
    svg.append(path);
  };
  for (const s of B.came_from[i]) line(s, i, false);
  for (const f of (after.get(i) || []).slice(0, 60)) line(i, f, true);
  space.append(svg);
}
function drawOverview() {
  const width = overview.clientWidth, height = 52, ratio = devicePixelRatio || 1;
  overview.width = width * ratio; overview.height = height * ratio;
  const pen = overview.getContext("2d");
  pen.scale(ratio, ratio);
  const columns = Math.max(1, width | 0), loaders = DATA.loaders.length, counts = Array.from({ length: loaders }, () => new Uint32Array(columns)), total = new Uint32Array(columns);
  for (let i = 0; i < N; i++) {
    if (B.started[i] === null) continue;
    const from = Math.min(columns - 1, Math.round(B.started[i] / END * columns)), to = Math.max(from, Math.min(columns, Math.round(endOf(i) / END * columns)) - 1);
    for (let x = from; x <= to; x++) { counts[B.loader[i]][x]++; total[x]++; }
  }
  const most = total.reduce((a, b) => Math.max(a, b), 1);
  const base = new Float32Array(columns);
  for (let l = 0; l < loaders; l++) {
    pen.fillStyle = colorOf(l);
    for (let x = 0; x < columns; x++) if (counts[l][x]) { const h = counts[l][x] / most * (height - 10); pen.fillRect(x, height - 2 - base[x] - h, 1, h); base[x] += h; }
  }
  pen.fillStyle = colorOf(null);
  for (let x = 0; x < columns; x++) if (!total[x]) pen.fillRect(x, height - 2, 1, 1.5);
  const [from, to] = state.view.map((t) => t / END * width);
  pen.fillStyle = colorOf(null) + "55"; pen.fillRect(0, 0, from, height); pen.fillRect(to, 0, width - to, height);
  pen.fillStyle = colorOf(null); pen.font = "11px system-ui"; pen.textAlign = "right"; 
  const words = "batches running, at most " + number.format(most), wide = pen.measureText(words).width;
  pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--bg"); pen.fillRect(width - wide - 12, 0, wide + 12, 16);
  pen.fillStyle = colorOf(null); pen.fillText(words, width - 8, 12);
}
function link(i) { return el("a", { href: "#detail", onclick: (event) => { event.preventDefault(); show(i); grid.focus({ preventScroll: true }); } }, B.label[i]); }
function links(list) { if (!list.length) return null; const out = document.createDocumentFragment(); list.slice(0, 12).forEach((i, k) => { if (k) out.append(", "); out.append(link(i)); }); if (list.length > 12) out.append(" and " + (list.length - 12) + " more"); return out; }
function linked(text, i) { return i === null ? [text] : text.startsWith(B.label[i]) ? [link(i), text.slice(B.label[i].length)] : [text + ": ", link(i)]; }
function heldWords(i) {
  const held = B.started[i] === null ? 0 : heldIn(B.started[i], endOf(i)).reduce((sum, [from, to]) => sum + to - from, 0);
  return held * 20 >= endOf(i) - B.started[i] && held ? ", for " + span(held) + " of this a resolver held the event loop, so that it may have been done earlier" : "";
}
function describe() {
  const row = rows[numberOf.get(state.pick)], list = el("dl");
  const add = (term, ...what) => { if (what.some((w) => w !== "" && w !== null)) list.append(el("dt", {}, term), el("dd", {}, ...what)); };
  if (!row) { detail.replaceChildren(el("span", { class: "grey" }, "Nothing is shown.")); return; }
  const i = row.batches[0], found = finding[i];
  if (row.group) {
    add("asked by", el("code", {}, askedBy(row)));
    add("batches", number.format(row.batches.length));
    add("ran", span(ranOf(row)));
  } else {
    add("asked by", el("code", {}, DATA.asked[B.asked[i]]), B.steps[i] ? " " + B.steps[i] : "");
    add(B.steps[i] ? "resolve called at" : "at", el("code", {}, B.places[i].map((p) => DATA.places[p]).join(" ← ")));
    add("keys", el("code", {}, B.sample[i].join(", ") + (B.keys[i] > B.sample[i].length && B.sample[i].length ? ", …" : "")));
    if (B.values[i].length) add("values", el("code", {}, B.values[i].join(", ")));
    add("times", "opened at " + span(B.opened[i]) + (B.closed[i] === null ? ", never closed" : ", gathered keys for " + span(B.closed[i] - B.opened[i])) + (B.started[i] === null ? ", never started" : ", then waited " + span(B.started[i] - B.closed[i]) + " to start, ran " + span(endOf(i) - B.started[i])) + heldWords(i));
    add("closed because", DATA.because[B.because[i]]);
    add("why not in the batch before", ...linked(B.why_not[i], B.before[i]));
    add("keys came from", links(B.came_from[i]));
    add("then followed", links(after.get(i) || []));
    if (B.inside[i] !== null) add("loaded inside of", link(B.inside[i]));
    add("it", B.ended_how[i]);
    add("round", String(B.round[i]));
  }
  if (found >= 0) add("finding", DATA.findings[found].message + (DATA.findings[found].expected ? " (expected: " + DATA.findings[found].expected + ")" : ""));
  add("batch function", el("code", {}, DATA.loaders[B.loader[i]].source));
  const chip = el("span", { class: "chip" });
  chip.style.setProperty("--c", "var(--h" + B.loader[i] % 7 + ")");
  detail.replaceChildren(el("strong", {}, chip, el("code", {}, nameOf(row)), " " + number.format(keysOf(row)) + (keysOf(row) === 1 ? " key" : " keys")), list);
}
function pick(id) {
  state.pick = id;
  const k = numberOf.get(id);
  if (k !== undefined) {
    if (k * ROW < body.scrollTop) body.scrollTop = k * ROW;
    else if ((k + 1) * ROW > body.scrollTop + body.clientHeight) body.scrollTop = (k + 1) * ROW - body.clientHeight;
  }
  draw(); describe();
}
function toggle(row, open) {
  const is = state.open.has(row.id);
  if (open === undefined ? is : !open) state.open.delete(row.id); else state.open.add(row.id);
  rebuild();
}
function show(i) {
  if (!numberOf.has("b" + i)) {
    const reset = () => { state.filter = ""; state.bad = false; $("filter").value = ""; $("bad").checked = false; rebuild(); };
    if (!rows.some((row) => row.batches.includes(i))) reset();
    const row = rows.find((each) => each.group && each.batches.includes(i));
    if (row) toggle(row, true);
  }
  pick("b" + i);
}
function zoom(from, to) {
  const least = END / 1e5, width = Math.min(END, Math.max(least, to - from)), start = Math.min(Math.max(0, from), END - width);
  state.view = [start, start + width];
  draw();
}
function scaleBy(factor) { const [from, to] = state.view, middle = (from + to) / 2, half = (to - from) * factor / 2; zoom(middle - half, middle + half); }
function shift(share) { const [from, to] = state.view, by = (to - from) * share; zoom(from + by, to + by); }
function zoomToPick() { const row = rows[numberOf.get(state.pick)]; if (row) { const from = Math.min(...row.batches.map((i) => B.opened[i])), to = Math.max(...row.batches.map(endOf)); zoom(from - (to - from) * 0.1, to + (to - from) * 0.1); } }
function step(by) { if (!rows.length) return; const k = Math.min(rows.length - 1, Math.max(0, (numberOf.get(state.pick) ?? 0) + by)); pick(rows[k].id); }
function hunt(by) {
  const from = numberOf.get(state.pick) ?? -1;
  for (let n = 1; n <= rows.length; n++) { const k = ((from + by * n) % rows.length + rows.length) % rows.length; if (rows[k].batches.some((i) => isBad(i) || finding[i] >= 0)) { pick(rows[k].id); return; } }
}
function gridKey(event) {
  const row = rows[numberOf.get(state.pick)], page = Math.max(1, Math.floor(body.clientHeight / ROW) - 1);
  const i = row ? row.batches[0] : 0;
  const keys = {
    ArrowDown: () => step(1), ArrowUp: () => step(-1), PageDown: () => step(page), PageUp: () => step(-page), Home: () => step(-1e9), End: () => step(1e9),
    ArrowRight: () => row?.group && toggle(row, true),
    ArrowLeft: () => { if (row?.group) toggle(row, false); else if (row?.level === 2) { let k = numberOf.get(row.id); while (rows[k].level === 2) k--; pick(rows[k].id); } },
    Enter: () => row?.group && toggle(row), p: () => row && B.came_from[i].length && show(B.came_from[i][0]), c: () => row && after.has(i) && show(after.get(i)[0]),
    n: () => hunt(1), N: () => hunt(-1), z: zoomToPick,
  };
  if (keys[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); keys[event.key](); }
}
function pageKey(event) {
  if (event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  const keys = { "+": () => scaleBy(0.5), "=": () => scaleBy(0.5), "-": () => scaleBy(2), 0: () => zoom(0, END), "[": () => shift(-0.25), "]": () => shift(0.25), "/": () => $("filter").focus(), t: toggleTheme, "?": () => $("help").showModal() };
  if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
}
grid.addEventListener("keydown", gridKey);
document.addEventListener("keydown", pageKey);
body.addEventListener("scroll", draw);
addEventListener("resize", draw);
$("order").value = state.order;
$("order").addEventListener("change", () => { state.order = $("order").value; state.open.clear(); rebuild(); describe(); });
$("filter").addEventListener("input", () => { state.filter = $("filter").value.toLowerCase(); rebuild(); describe(); });
$("filter").addEventListener("keydown", (event) => { if (event.key === "Escape") { $("filter").value = ""; state.filter = ""; rebuild(); describe(); } else if (event.key === "ArrowDown") { event.preventDefault(); grid.focus(); } });
$("bad").addEventListener("change", () => { state.bad = $("bad").checked; rebuild(); describe(); });
$("out").addEventListener("click", () => scaleBy(2)); $("in").addEventListener("click", () => scaleBy(0.5)); $("all").addEventListener("click", () => zoom(0, END));
$("theme").addEventListener("click", toggleTheme); $("why").addEventListener("click", () => $("help").showModal()); $("close").addEventListener("click", () => $("help").close());
for (const button of document.querySelectorAll("[data-show]")) { button.hidden = false; button.addEventListener("click", () => { const i = Number(button.dataset.show); const row = rows.find((each) => each.batches.includes(i)); if (row) pick(row.id); else show(i); grid.focus(); grid.scrollIntoView({ block: "nearest" }); }); }
let drag = null;
overview.addEventListener("pointerdown", (event) => { drag = event.offsetX; overview.setPointerCapture(event.pointerId); });
overview.addEventListener("pointerup", (event) => { if (drag !== null && Math.abs(event.offsetX - drag) > 4) { const width = overview.clientWidth; zoom(Math.min(drag, event.offsetX) / width * END, Math.max(drag, event.offsetX) / width * END); } drag = null; });
overview.addEventListener("dblclick", () => zoom(0, END));
document.querySelector("#loaders tbody")?.addEventListener("click", (event) => {
  const line = event.target.closest("tr"), cell = line && line.firstElementChild;
  if (!cell) return;
  state.order = "loader"; $("order").value = "loader"; rebuild();
  const row = rows.find((each) => B.name[each.batches[0]] === cell.textContent);
  if (row) { pick(row.id); grid.focus(); grid.scrollIntoView({ block: "nearest" }); }
});
function sortable(table) {
  table.querySelectorAll("th").forEach((head, column) => {
    const sort = el("button", { type: "button" }, head.textContent);
    head.replaceChildren(sort);
    let up = false;
    sort.addEventListener("click", () => {
      const lines = [...table.tBodies[0].rows], value = (line) => { const cell = line.cells[column].textContent; const n = Number(cell.replace(/[, ]|us|ms|s/g, "")); const unit = / ms$/.test(cell) ? 1e3 : / s$/.test(cell) ? 1e6 : 1; return Number.isNaN(n) ? cell : n * unit; };
      up = !up;
      lines.sort((a, b) => { const x = value(a), y = value(b); return (x < y ? 1 : x > y ? -1 : 0) * (up ? 1 : -1); });
      table.tBodies[0].append(...lines);
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "descending" : "ascending");
    });
  });
}
document.querySelectorAll("#loaders, #fields").forEach(sortable);
themed.push(draw);
document.querySelectorAll(".scripted").forEach((node) => { node.hidden = false; });
$("held").hidden = $("heldkey").hidden = !DATA.busy.length;
applyTheme();
rebuild();
describe();
document.documentElement.dataset.ready = "true";
