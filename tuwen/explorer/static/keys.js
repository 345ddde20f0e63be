// Keys: arrows move among cards, v shows one picture, / searches, b blurs, n and p turn pages, ? explains.
import { showPicture, toggleBlur } from "./blur.js";

const cards = () => [...document.querySelectorAll("[data-card]")];

/** The card above, below, before or after another one, as the eye sees them. */
function neighbour(from, key) {
  const all = cards();
  const at = all.indexOf(from);
  if (at < 0) return all[0];
  if (key === "ArrowLeft") return all[at - 1];
  if (key === "ArrowRight") return all[at + 1];
  const here = from.getBoundingClientRect();
  const down = key === "ArrowDown";
  let best, distance = Infinity;
  for (const card of all) {
    const there = card.getBoundingClientRect();
    const rows = down ? there.top - here.top : here.top - there.top;
    if (rows < 8) continue;
    const apart = rows * 4 + Math.abs(there.left - here.left);
    if (apart < distance) [best, distance] = [card, apart];
  }
  return best;
}

function follow(selector) {
  const link = document.querySelector(selector);
  link?.click();
  return link;
}

export function startKeys() {
  const help = document.querySelector("#help");
  for (const button of document.querySelectorAll("[data-help]")) button.addEventListener("click", () => help.showModal());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    if (event.target.closest("input, select, textarea, [contenteditable], [data-keys]")) return;
    if (event.key.startsWith("Arrow")) {
      const next = neighbour(document.activeElement, event.key);
      if (!next) return;
      event.preventDefault();
      next.focus();
      next.scrollIntoView({ block: "nearest" });
    } else if (event.key === "/") {
      event.preventDefault();
      const box = document.querySelector("input[type=search]");
      box?.focus();
      box?.select();
    } else if (event.key === "b") toggleBlur();
    else if (event.key === "v") showPicture(document.activeElement);
    else if (event.key === "n") follow("a[rel=next]");
    else if (event.key === "p") follow("a[rel=prev]") ?? history.back();
    else if (event.key === "?") help.showModal();
  });
}
