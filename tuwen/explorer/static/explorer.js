// What the pages do beyond links and forms: without it all of them still work.
import { startParts } from "./parts.js";
import { startBlur } from "./blur.js";
import { startKeys } from "./keys.js";
import { startUpload } from "./upload.js";
import { startChoosing } from "./choose.js";

startParts(document);
startBlur();
startKeys();
startUpload();
startChoosing();
// On a narrow screen the pages' names scroll: the one that is open is in sight, and the edge fades where more follow.
const names = document.querySelector("nav.pages");
const open = names?.querySelector("[aria-current]");
if (open) names.scrollLeft = open.offsetLeft - names.offsetLeft - (names.clientWidth - open.offsetWidth) / 2;
const fade = () => {
  names.classList.toggle("more-before", names.scrollLeft > 1);
  names.classList.toggle("more-behind", names.scrollLeft + names.clientWidth < names.scrollWidth - 1);
};
if (names) {
  names.addEventListener("scroll", fade, { passive: true });
  new ResizeObserver(fade).observe(names);
}
// Nor is there room for all that the search box can say.
const box = document.querySelector("input[data-short]");
if (box && matchMedia("(max-width: 52rem)").matches) box.placeholder = box.dataset.short;
// On a narrow screen filters are closed until somebody opens them.
if (matchMedia("(max-width: 52rem)").matches) document.querySelector(".filters")?.removeAttribute("open");
