import { keepFocus, whenChosen } from "./choose.js";

// The preview follows the form; a selection or a format brings other fields, so these ask for the page anew.
const form = document.querySelector("[data-order]");
const place = document.querySelector("[data-preview]");
let asking = new AbortController();

async function preview() {
  asking.abort();
  asking = new AbortController();
  place.setAttribute("aria-busy", "true");
  try {
    let answer;
    do {
      const query = new URLSearchParams(new FormData(form));
      answer = await fetch(`/releases/preview?${query}`, { headers: { "X-Part": "1" }, signal: asking.signal });
      place.innerHTML = await answer.text(); // our own server's, escaped there
      if (answer.status === 202) await new Promise((go) => setTimeout(go, 1000));
    } while (answer.status === 202);
    place.removeAttribute("aria-busy");
  } catch (error) {
    if (error.name !== "AbortError") place.removeAttribute("aria-busy");
  }
}

if (form) {
  const update = form.querySelector("[data-update]");
  update.hidden = true;
  const { image_format: bytes, short_side: side } = form.elements;
  const suit = () => { if (side) side.disabled = !bytes.value; }; // bytes that stay as they are have no side to limit
  suit();
  for (const field of form.querySelectorAll("[data-reload]")) {
    whenChosen(field, () => {
      form.elements.to.value = "";
      form.elements.to.required = false;
      form.requestSubmit(update);
    });
  }
  form.addEventListener("change", (event) => {
    if (event.target.matches("[data-reload]")) return;
    document.querySelector("[data-told]")?.remove(); // it was about what stood there before
    suit();
    preview();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !event.target.matches("input")) return;
    event.preventDefault(); // Enter in a field shows what would come of it; the button cuts
    preview();
  });
  form.addEventListener("submit", () => form.querySelector("[data-cut]").setAttribute("aria-busy", "true"));
}
// When the work has ended, the list below has something new; what was entered meanwhile stays.
document.querySelector("[data-running]")?.addEventListener("part", () => {
  if (form?.contains(document.activeElement)) keepFocus(document.activeElement);
  if (form) history.replaceState(null, "", `/releases?${new URLSearchParams(new FormData(form))}#work`);
  location.reload();
});
