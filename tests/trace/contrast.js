// The worst contrast of all texts that are shown, and where it is.
const parse = (color) => color.match(/[\d.]+/g).map(Number);
const light = (color) => { const [r, g, b] = parse(color).map((c) => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const behind = (node) => { while (node) { const color = getComputedStyle(node).backgroundColor; if (parse(color)[3] !== 0) return color; node = node.parentElement; } return "rgb(255, 255, 255)"; };
let worst = [99, ""];
for (const node of document.querySelectorAll("h1, h2, p, li, button, td, th, dt, dd, label, .row > *, .head > *, .note, .badge, .legend span")) {
  if (!node.textContent.trim() || !node.offsetParent) continue;
  const one = light(getComputedStyle(node).color), two = light(behind(node)), ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
  if (ratio < worst[0]) worst = [ratio, node.outerHTML.slice(0, 200)];
}
return worst;
