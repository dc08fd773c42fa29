"""The page of a flame graph, without its data: markup, style and script of our own."""

from __future__ import annotations

__all__ = ["PAGE"]

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>{{title}}</title>
<style>
:root {
  color-scheme: light dark;
  --page: #fbfaf8; --text: #22252a; --faint: #6b7078; --line: #dcd9d2; --field: #fff;
  --user-hue: 32; --kernel-hue: 205; --light: 70%; --strong: 78%; --ink: #1d1a16;
  --found: #c026d3; --found-ink: #fff; --focus: #1d4ed8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #17191d; --text: #e6e4df; --faint: #9a9fa8; --line: #33373f; --field: #20242a;
    --light: 52%; --strong: 48%; --ink: #14110d; --found: #e879f9; --found-ink: #2a0633; --focus: #93c5fd;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 14px/1.4 system-ui, sans-serif; }
header {
  position: sticky; top: 0; z-index: 2; display: flex; flex-wrap: wrap; gap: 8px 12px; align-items: center;
  padding: 10px 16px; background: var(--page); border-bottom: 1px solid var(--line);
}
h1 { margin: 0 auto 0 0; font-size: 15px; font-weight: 600; }
h1 small { font-weight: 400; color: var(--faint); margin-left: 8px; }
input, header button {
  font: inherit; color: inherit; padding: 4px 10px;
  background: var(--field); border: 1px solid var(--line); border-radius: 6px;
}
input { width: min(280px, 60vw); }
header button { cursor: pointer; }
header button:disabled { color: var(--faint); cursor: default; }
#matched { color: var(--faint); min-width: 11em; font-variant-numeric: tabular-nums; }
main { padding: 12px 16px 56px; }
#graph { position: relative; overflow: hidden; }
#graph button {
  position: absolute; height: 19px; margin: 0; padding: 0 4px; border: 0; border-radius: 2px; overflow: hidden;
  font: 12px/19px ui-monospace, monospace; text-align: left; white-space: nowrap; text-overflow: ellipsis;
  color: var(--ink); cursor: pointer; background: hsl(var(--hue) var(--strong) calc(var(--light) + var(--shade) * 1%));
}
#graph button.thin { padding: 0; }
#graph button.above { opacity: .55; }
#graph button.found { background: var(--found); color: var(--found-ink); }
#graph button:hover { filter: brightness(1.1); }
:focus-visible { outline: 2px solid var(--focus); outline-offset: 1px; z-index: 1; }
footer {
  position: fixed; inset: auto 0 0; display: flex; flex-wrap: wrap; justify-content: space-between; gap: 2px 24px;
  padding: 8px 16px; background: var(--page); border-top: 1px solid var(--line); color: var(--faint);
}
#told { color: var(--text); overflow-wrap: anywhere; }
kbd { font: 12px ui-monospace, monospace; border: 1px solid var(--line); border-radius: 4px; padding: 0 4px; }
.key { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin: 0 4px 0 10px; }
</style>
</head>
<body>
<header>
<h1>Flame graph<small id="total"></small></h1>
<span id="matched" role="status"></span>
<input id="search" type="search" placeholder="Search functions"
  aria-label="Search functions, by a part of their names or /regular expression/">
<button id="reset" type="button" disabled>Reset</button>
</header>
<main><div id="graph" role="tree" aria-label="Functions, below those that called them"></div></main>
<footer>
<span id="told">&nbsp;</span>
<span><i class="key" style="background: hsl(var(--user-hue) var(--strong) var(--light))"></i>user space
<i class="key" style="background: hsl(var(--kernel-hue) var(--strong) var(--light))"></i>kernel
&nbsp; <kbd>/</kbd> search <kbd>Enter</kbd> zoom <kbd>Esc</kbd> back <kbd>&larr;&uarr;&darr;&rarr;</kbd> move</span>
</footer>
<script id="data" type="application/json">{{data}}</script>
<script>
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const find = name => document.getElementById(name);
const graph = find("graph"), search = find("search"), reset = find("reset");
const ROW = 20;

// Each bar knows where it begins, in what all weighs, and which it lies below.
const bars = [], path = [], ends = [];
for (let i = 0; i < data.bars.length; i += 4) {
  const [depth, name, weight, kernel] = data.bars.slice(i, i + 4);
  const above = depth ? path[depth - 1] : null;
  const start = above ? ends[depth - 1] : 0;
  const bar = { number: bars.length, depth, name: data.names[name], weight, kernel, above, start, below: [] };
  if (above) { above.below.push(bar); ends[depth - 1] += weight; }
  path[depth] = bar;
  ends[depth] = start;
  bars.push(bar);
}
const root = bars[0];
let zoomed = root, focused = root, pattern = null;

function amount(weight) {
  const number = weight.toLocaleString("en");
  if (data.unit === "bytes") {
    const power = weight < 1024 ? 0 : Math.min(Math.floor(Math.log2(weight) / 10), 5);
    return power ? (weight / 1024 ** power).toFixed(1) + " " + "KMGTP"[power - 1] + "iB" : number + " B";
  }
  const scale = { ns: 1, us: 1e3, ms: 1e6 }[data.unit];
  if (!scale) return number + " " + data.what;
  const span = weight * scale;
  for (const [size, unit] of [[1e9, "s"], [1e6, "ms"], [1e3, "us"]])
    if (span >= size) return (span / size).toFixed(3) + " " + unit;
  return span + " ns";
}
const share = weight => (root.weight ? 100 * weight / root.weight : 0).toFixed(2) + " %";
const tell = bar => bar.name + " \\u2014 " + amount(bar.weight) + ", " + share(bar.weight);
const matches = bar => pattern !== null && pattern.test(bar.name);

// A shade of its own for each name, always the same.
function shade(name) {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = hash * 31 + name.charCodeAt(i) | 0;
  return [(hash >>> 3) % 21 - 10, (hash >>> 9) % 13 - 6];
}

function draw() {
  const width = graph.clientWidth, scale = zoomed.weight ? width / zoomed.weight : 0;
  const shown = [];
  for (let bar = zoomed.above; bar; bar = bar.above) shown.unshift([bar, 0, width]);
  const rest = [zoomed];
  while (rest.length) {
    const bar = rest.pop();
    const wide = bar === zoomed ? width : bar.weight * scale;
    if (wide < 0.7) continue;
    shown.push([bar, (bar.start - zoomed.start) * scale, wide]);
    for (let i = bar.below.length - 1; i >= 0; i--) rest.push(bar.below[i]);
  }
  let deepest = 0;
  const made = document.createDocumentFragment();
  for (const [bar, left, wide] of shown) {
    const box = document.createElement("button"), [turn, light] = shade(bar.name);
    box.type = "button";
    box.dataset.bar = bar.number;
    box.tabIndex = bar === focused ? 0 : -1;
    box.setAttribute("role", "treeitem");
    box.setAttribute("aria-level", bar.depth + 1);
    box.setAttribute("aria-label", tell(bar));
    box.title = tell(bar);
    box.style.left = left + "px";
    box.style.width = Math.max(wide - 1, 0.7) + "px";
    box.style.top = bar.depth * ROW + "px";
    box.style.setProperty("--hue", `calc(var(--${bar.kernel ? "kernel" : "user"}-hue) + ${turn})`);
    box.style.setProperty("--shade", light);
    if (wide >= 28) box.textContent = bar.name; else box.className = "thin";
    if (bar.depth < zoomed.depth) box.classList.add("above");
    if (matches(bar)) box.classList.add("found");
    made.append(box);
    deepest = Math.max(deepest, bar.depth);
  }
  graph.replaceChildren(made);
  graph.style.height = (deepest + 1) * ROW + "px";
  reset.disabled = zoomed === root && !search.value;
}

function zoom(bar, focus) {
  zoomed = focused = bar;
  draw();
  if (focus) move(bar);
}

function move(bar) {
  const box = bar && graph.querySelector(`[data-bar="${bar.number}"]`);
  if (!box) return;
  graph.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
  box.tabIndex = 0;
  box.focus();
  focused = bar;
}

function look() {
  const text = search.value.trim();
  pattern = null;
  if (text) {
    const whole = /^\\/(.+)\\/$/.exec(text);
    try {
      pattern = new RegExp(whole ? whole[1] : text.replace(/[.*+?^${}()|[\\]\\\\]/g, "\\\\$&"), "i");
    } catch {
      find("matched").textContent = "no regular expression";
      draw();
      return;
    }
  }
  // A bar that lies within a found one is counted with it.
  let weight = 0;
  const inside = [root];
  while (pattern && inside.length) {
    const bar = inside.pop();
    if (matches(bar)) weight += bar.weight; else inside.push(...bar.below);
  }
  find("matched").textContent = pattern ? share(weight) + " matched" : "";
  draw();
}

const barOf = event => bars[event.target.closest("[data-bar]")?.dataset.bar];
graph.addEventListener("click", event => { const bar = barOf(event); if (bar) zoom(bar, true); });
for (const kind of ["mouseover", "focusin"])
  graph.addEventListener(kind, event => { const bar = barOf(event); if (bar) find("told").textContent = tell(bar); });
graph.addEventListener("keydown", event => {
  const bar = barOf(event);
  if (!bar) return;
  const beside = step => bar.above?.below[bar.above.below.indexOf(bar) + step];
  const next = {
    ArrowUp: () => bar.above, ArrowDown: () => bar.below.reduce((a, b) => !a || b.weight > a.weight ? b : a, null),
    ArrowLeft: () => beside(-1), ArrowRight: () => beside(1), Home: () => root,
  }[event.key];
  if (next) { event.preventDefault(); move(next()); }
});
document.addEventListener("keydown", event => {
  if (event.key === "/" && event.target !== search) { event.preventDefault(); search.focus(); search.select(); }
  if (event.key !== "Escape") return;
  if (search.value) { search.value = ""; look(); } else if (zoomed.above) zoom(zoomed.above, true);
});
search.addEventListener("input", look);
reset.addEventListener("click", () => { search.value = ""; zoom(root, false); look(); });
addEventListener("resize", draw);
find("total").textContent = amount(root.weight);
draw();
</script>
</body>
</html>
"""
