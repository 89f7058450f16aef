const L = DATA.lanes, picture = $("picture"), drawing = picture.querySelector("svg"), detail = $("detail");
const after = L.map(() => []);
L.forEach((lane, k) => lane.before.forEach((b) => after[b].push(k)));
const size = { width: drawing.width.baseVal.value, height: drawing.height.baseVal.value };
let picked = null;
function reach(from, next) { const seen = new Set([from]), todo = [from]; while (todo.length) for (const k of next(todo.pop())) if (!seen.has(k)) { seen.add(k); todo.push(k); } return seen; }
const nodeOf = (k) => drawing.querySelector(`.lane[data-lane="${k}"]`);
function names(list) { return list.map((k) => L[k].name + " (round " + L[k].round + ")").join(", "); }
function wayTo(k) { const before = L[k].before.find((b) => L[b].round === L[k].round - 1); return before === undefined ? [k] : [...wayTo(before), k]; }
function pick(k) {
  picked = k;
  const up = k === null ? null : reach(k, (n) => L[n].before), down = k === null ? null : reach(k, (n) => after[n]);
  const shown = (name) => k === null || (name === "given" ? [...up].some((n) => !L[n].before.length) : up.has(Number(name)) || down.has(Number(name)));
  for (const node of drawing.querySelectorAll(".lane")) { node.classList.toggle("faded", !shown(node.dataset.lane)); node.classList.toggle("pick", node.dataset.lane === String(k)); }
  for (const edge of drawing.querySelectorAll(".edge")) {
    const from = edge.dataset.from, to = Number(edge.dataset.to);
    const on = k === null || (up.has(to) && shown(from) && (from === "given" || up.has(Number(from)))) || (down.has(to) && from !== "given" && down.has(Number(from)));
    edge.classList.toggle("faded", !on);
  }
  if (k === null) { detail.replaceChildren(el("p", { class: "grey" }, "Nothing chosen. Boxes are loaders, one for each depth of the tree; the rows in them are the fields that they fill. A line goes from the field that brings the nodes to the field that needs them.")); picture.removeAttribute("aria-activedescendant"); return; }
  drawing.append(nodeOf(k));
  const lane = L[k], list = el("dl"), add = (term, text) => { if (text) list.append(el("dt", {}, term), el("dd", {}, text)); };
  add("fills", lane.rows.join("; "));
  add("round", lane.round + ", depth " + lane.depth + " of the tree");
  add("calls", lane.note);
  add("comes after", names(lane.before) || DATA.roots.join(", ") + ", which is given");
  add("longest way here", wayTo(k).map((n) => L[n].name).join(" → "));
  add("then follows", names(after[k]));
  add("in other rounds", names(L.map((other, n) => n).filter((n) => n !== k && L[n].name === lane.name)));
  if (lane.repeats) add("again", "its nodes lead to nodes of the same class: one more call for each level that the data has");
  detail.replaceChildren(el("strong", {}, el("code", {}, lane.name)), list);
  const box = nodeOf(k).getBBox(), scale = drawing.clientWidth / size.width || 1;
  if (box.x * scale < picture.scrollLeft || (box.x + box.width) * scale > picture.scrollLeft + picture.clientWidth) picture.scrollLeft = box.x * scale - 40;
  if (box.y * scale < picture.scrollTop || (box.y + box.height) * scale > picture.scrollTop + picture.clientHeight) picture.scrollTop = box.y * scale - 40;
}
function sideways(by) {
  if (picked === null) { pick(L.length ? 0 : null); return; }
  const next = by > 0 ? after[picked] : L[picked].before;
  if (next.length) pick(next[0]);
}
function within(by) {
  if (picked === null) { pick(L.length ? 0 : null); return; }
  const column = L.map((lane, k) => k).filter((k) => L[k].round === L[picked].round).sort((a, b) => nodeOf(a).getBBox().y - nodeOf(b).getBBox().y);
  pick(column[Math.min(column.length - 1, Math.max(0, column.indexOf(picked) + by))]);
}
picture.addEventListener("keydown", (event) => {
  const keys = { ArrowRight: () => sideways(1), ArrowLeft: () => sideways(-1), ArrowDown: () => within(1), ArrowUp: () => within(-1), Enter: () => pick(picked === null && L.length ? 0 : picked), Escape: () => pick(null) };
  if (keys[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); keys[event.key](); }
});
drawing.addEventListener("click", (event) => { const node = event.target.closest(".lane"); pick(node && node.dataset.lane !== "given" ? Number(node.dataset.lane) : null); });
$("find").addEventListener("input", () => {
  const wanted = $("find").value.toLowerCase(), k = wanted ? L.findIndex((lane) => (lane.name + " " + lane.rows.join(" ")).toLowerCase().includes(wanted)) : -1;
  pick(k < 0 ? null : k);
});
$("find").addEventListener("keydown", (event) => { if (event.key === "Escape") { $("find").value = ""; pick(null); } else if (event.key === "Enter") picture.focus(); });
function scaleTo(width) { drawing.setAttribute("width", width); drawing.setAttribute("height", width * size.height / size.width); }
$("fit").addEventListener("click", () => scaleTo(Math.min(size.width, picture.clientWidth - 2)));
$("actual").addEventListener("click", () => scaleTo(size.width));
$("theme").addEventListener("click", toggleTheme);
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") { event.preventDefault(); $("find").focus(); }
  if (event.key === "t") toggleTheme();
});
applyTheme();
pick(null);
document.documentElement.dataset.ready = "true";
