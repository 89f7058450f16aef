"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
function el(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child));
  return node;
}
const system = matchMedia("(prefers-color-scheme: dark)");
let chosenTheme = null;
const themed = [];
function applyTheme() {
  document.documentElement.dataset.theme = chosenTheme || (system.matches ? "dark" : "light");
  for (const then of themed) then();
}
function toggleTheme() {
  chosenTheme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  applyTheme();
}
system.addEventListener("change", applyTheme);
const colorOf = (hue) => getComputedStyle(document.documentElement).getPropertyValue(hue === null ? "--grey" : "--h" + (hue % 7)).trim();
for (const node of document.querySelectorAll(".tools")) node.hidden = false;
