// What the pages do beyond links and forms: without it all of them still work.
import { startParts } from "./parts.js";
import { startBlur } from "./blur.js";
import { startKeys } from "./keys.js";
import { startUpload } from "./upload.js";

startParts(document);
startBlur();
startKeys();
startUpload();

for (const field of document.querySelectorAll("select[data-submit], input[type=file][data-submit]")) {
  field.addEventListener("change", () => field.form.requestSubmit());
}
// On a narrow screen filters are closed until somebody opens them.
if (matchMedia("(max-width: 52rem)").matches) document.querySelector(".filters")?.removeAttribute("open");
