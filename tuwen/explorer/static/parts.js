// Parts of a page that take longer than its first sight: fetched into their place, and dropped when the person moves on.
const leaving = new AbortController();
addEventListener("pagehide", () => leaving.abort());
const WAIT_MS = 1000;

/** Fetch one part. The event "supersede" at its place takes the question back: something else is asked for there. */
async function load(place) {
  if (place.dataset.state) return;
  place.dataset.state = "loading";
  place.setAttribute("aria-busy", "true");
  if (place.dataset.busy) place.textContent = place.dataset.busy;
  const asking = new AbortController();
  for (const [one, event] of [[leaving.signal, "abort"], [place, "supersede"]])
    one.addEventListener(event, () => asking.abort(), { once: true });
  try {
    let answer;
    do {
      answer = await fetch(place.dataset.part, { headers: { "X-Part": "1" }, signal: asking.signal });
      place.innerHTML = await answer.text(); // our own server's, escaped there
      if (answer.status === 202) await new Promise((go) => setTimeout(go, WAIT_MS));
    } while (answer.status === 202 && !asking.signal.aborted);
    place.dataset.state = answer.ok ? "here" : "failed";
    place.dispatchEvent(new CustomEvent("part", { bubbles: true }));
  } catch (error) {
    if (error.name !== "AbortError") place.dataset.state = "";
  } finally {
    if (!asking.signal.aborted) place.removeAttribute("aria-busy");
  }
}

/** Fetch the parts below an element: at once, or, inside closed <details>, when these are opened. */
export function startParts(root) {
  for (const place of root.querySelectorAll("[data-part]")) {
    const closed = place.closest("details:not([open])");
    if (closed) closed.addEventListener("toggle", () => closed.open && startParts(closed), { once: true });
    else load(place);
  }
}
addEventListener("pageshow", (event) => event.persisted && location.reload());
