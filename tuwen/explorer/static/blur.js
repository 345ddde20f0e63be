// Pictures that are unsafe or were not scored are blurred until they are clicked, or until the person says otherwise.
// The choice is kept in a cookie for this browser, so that the server draws the next page the same way.
const YEAR_S = 365 * 86400;

export function toggleBlur() {
  const blurred = document.body.classList.contains("unblurred");
  document.body.classList.toggle("blurred", blurred);
  document.body.classList.toggle("unblurred", !blurred);
  document.cookie = `tuwen_blur=${blurred ? "on" : "off"}; path=/; max-age=${YEAR_S}; samesite=strict`;
  for (const button of document.querySelectorAll("header [data-blur]")) button.setAttribute("aria-pressed", String(blurred));
  if (!blurred) document.querySelector("[data-unscored]")?.remove();
}

/** Show the pictures of a card, or blur them again; with no card marked, the one that a page is about. */
export function showPicture(card) {
  const box = document.querySelector("[data-reveal]");
  const pictures = card?.matches("[data-card]") ? [...card.querySelectorAll(".picture")] : [];
  const shown = pictures.some((picture) => picture.classList.contains("shown"));
  for (const picture of pictures) picture.classList.toggle("shown", !shown);
  if (!pictures.length) box?.click();
}

export function startBlur() {
  for (const button of document.querySelectorAll("[data-blur]")) button.addEventListener("click", toggleBlur);
  // The first click on a blurred picture shows it; the second one follows the link.
  document.addEventListener("click", (event) => {
    const picture = event.target.closest?.(".blurred .picture.unsafe:not(.shown), .blurred .picture.unscored:not(.shown)");
    if (!picture || event.ctrlKey || event.metaKey || event.detail === 0) return; // the keyboard opens at once
    event.preventDefault();
    picture.classList.add("shown");
  });
}
