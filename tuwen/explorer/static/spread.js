// "Count all rows" answers where the question stands.
import { startParts } from "./parts.js";

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-again]");
  const place = link?.closest("[data-part]");
  if (!place || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  const next = place.cloneNode(false);
  next.removeAttribute("data-state");
  next.dataset.part = link.getAttribute("href");
  place.replaceWith(next);
  startParts(next.parentElement);
});
