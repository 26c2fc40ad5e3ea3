// Makes the page handier; everything can be read without it. Reads only the page itself, asks nobody for anything.
"use strict";
const PAGE = 25;

// Light, dark, or as the system says. A page from disk may be refused a memory: then it forgets.
const root = document.documentElement, theme = document.getElementById("theme");
const THEMES = ["system", "light", "dark"];
function remembered() { try { return localStorage.getItem("apex-theme"); } catch { return null; } }
function setTheme(name) {
  if (name === "system") delete root.dataset.theme; else root.dataset.theme = name;
  theme.textContent = "Theme: " + name;
  try { localStorage.setItem("apex-theme", name); } catch { /* not remembered */ }
}
theme.hidden = false;
setTheme(THEMES.includes(remembered()) ? remembered() : "system");
theme.addEventListener("click", () => setTheme(THEMES[(THEMES.indexOf(root.dataset.theme || "system") + 1) % 3]));

// Tables: sorted by a column, filtered by words, shown in parts.
function made(tag, text, more) { return Object.assign(document.createElement(tag), { textContent: text }, more); }
function compare(left, right, isNumber) {
  const [a, b] = [left.textContent, right.textContent];
  if (!isNumber) return a < b ? -1 : a > b ? 1 : 0;
  return Number(a) - Number(b);
}
function lively(box) {
  const table = box.querySelector("table"), body = table.tBodies[0], all = [...body.rows];
  table.rowsInTime = all;
  const tools = box.querySelector(".tools"), told = made("span", "", { className: "note" });
  let shown = PAGE, rows = all, words = "";
  const more = made("button", "", { type: "button" });
  function draw() {
    const found = words ? rows.filter((row) => row.textContent.toLowerCase().includes(words)) : rows;
    body.replaceChildren(...found.slice(0, shown));
    const left = found.length - Math.min(shown, found.length);
    told.textContent = `${found.length - left} of ${found.length}${words ? ` that match (${all.length} in all)` : ""}`;
    more.textContent = `Show all ${found.length}`;
    more.hidden = left === 0;
  }
  [...table.tHead.rows[0].cells].forEach((head, place) => {
    const isNumber = head.classList.contains("n"), button = made("button", head.textContent, { type: "button" });
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.ariaSort === "ascending" || (isNumber && head.ariaSort !== "descending");
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const isUnknown = (row) => row.cells[place].textContent === "" || row.cells[place].firstElementChild?.className === "unknown";
      const known = all.filter((row) => !isUnknown(row));
      known.sort((a, b) => compare(a.cells[place], b.cells[place], isNumber) * (down ? -1 : 1));
      rows = [...known, ...all.filter(isUnknown)];
      draw();
    });
  });
  if (all.length > 8) {
    const label = made("label", "Filter"), input = made("input", "", { type: "search" });
    label.append(input);
    input.addEventListener("input", () => { words = input.value.trim().toLowerCase(); shown = PAGE; draw(); });
    more.addEventListener("click", () => { shown = Infinity; draw(); });
    told.setAttribute("role", "status");
    tools.append(label, told, more);
    tools.hidden = false;
    draw();
    addEventListener("beforeprint", () => { shown = Infinity; draw(); });
  }
}
const waiting = new Set([...document.querySelectorAll(".table")].filter((box) => box.querySelector("table")));
function liven(box) { if (waiting.delete(box)) lively(box); }
for (const box of waiting) {
  const closed = box.closest("details:not([open])");
  if (closed) closed.addEventListener("toggle", () => liven(box), { once: true }); else liven(box);
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));

// A word beside the pointer. What it says stands in the table behind the drawing, too.
const tip = made("div", "", { id: "tip", hidden: true, ariaHidden: "true" });
document.body.append(tip);
function say(text, event) {
  tip.textContent = text;
  tip.hidden = !text;
  const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 6);
  const above = event.clientY - tip.offsetHeight - 14;
  tip.style.left = Math.max(6, left) + "px";
  tip.style.top = (above < 6 ? event.clientY + 20 : above) + "px";
}
for (const title of document.querySelectorAll("svg.columns title")) {
  title.parentNode.dataset.said = title.textContent;  // instead of the browser's own, which comes late
  title.remove();
}
function place(event, svg) {
  const box = svg.getBoundingClientRect();
  return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
}
function onLine(svg, event) {
  const table = svg.closest("figure").querySelector("table"), days = svg.dataset.days.split(" ").map(Number);
  const at = days.at(-1) * place(event, svg);
  const near = days.reduce((best, day, n) => (Math.abs(day - at) < Math.abs(days[best] - at) ? n : best), 0);
  const row = (table.rowsInTime ?? table.tBodies[0].rows)[near];
  return [...row.cells].map((cell, n) => (n ? `${table.tHead.rows[0].cells[n].textContent}: ${cell.textContent}` : cell.textContent)).join("\n");
}
function onCalendar(svg, event) {
  const marks = svg.querySelectorAll(".marks"), words = { C: "loaded", P: "partly loaded", G: "fewer rows than the broker says", M: "missing", ".": "nobody trades" };
  for (const [row, mark] of marks.entries()) {
    const box = mark.getBoundingClientRect();
    if (event.clientY < box.top || event.clientY > box.bottom) continue;
    const week = Math.floor(place(event, svg) * 54) + Number(svg.dataset.week) + row * 54;
    const day = week * 7 + Math.min(6, Math.floor((event.clientY - box.top) / box.height * 7)) - Number(svg.dataset.offset);
    const state = svg.dataset.states[day];
    return state ? new Date(Date.parse(svg.dataset.from) + day * 864e5).toISOString().slice(0, 10) + ": " + words[state] : "";
  }
  return "";
}
document.querySelectorAll("svg.plot").forEach((svg) => {
  const said = svg.classList.contains("lines") ? onLine : svg.classList.contains("calendar") ? onCalendar : (_, event) => event.target.dataset.said || "";
  svg.addEventListener("pointermove", (event) => say(said(svg, event), event));
  svg.addEventListener("pointerleave", () => { tip.hidden = true; });
});
