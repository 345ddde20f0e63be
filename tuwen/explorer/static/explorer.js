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
// On a narrow screen filters are closed until somebody opens them.
if (matchMedia("(max-width: 52rem)").matches) document.querySelector(".filters")?.removeAttribute("open");
