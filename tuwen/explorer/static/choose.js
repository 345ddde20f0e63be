// Choosing in a list sends its form: at once when the mouse chose, and with keys, which pass what lies between, when
// the person presses Enter or goes on. The page that comes has the focus where it was.
const KEPT = "tuwen_focus";

/** Let the next page, if it is this one again, put the focus on a field of this name. */
export function keepFocus(field) {
  if (!field?.name) return;
  try {
    sessionStorage.setItem(KEPT, JSON.stringify([location.pathname, field.name]));
  } catch { /* a browser that keeps nothing */ }
}

function restoreFocus() {
  const work = location.hash === "#work" && document.querySelector("#work");
  if (work) work.focus(); // what was begun tells how it goes
  let path, name;
  try {
    [path, name] = JSON.parse(sessionStorage.getItem(KEPT)) ?? [];
    sessionStorage.removeItem(KEPT);
  } catch { return; }
  if (path !== location.pathname) return;
  document.querySelector(`main :is(select, input:not([type=hidden]))[name="${CSS.escape(name)}"]`)?.focus();
}

/** Call `send` when a person has chosen in `field`, a <select>. */
export function whenChosen(field, send) {
  let key = "", sent = field.value;
  const go = (next = field) => {
    if (field.value === sent) return;
    sent = field.value;
    keepFocus(next);
    send();
  };
  field.addEventListener("pointerdown", () => { key = ""; });
  field.addEventListener("keydown", (event) => {
    key = event.key;
    if (key !== "Enter" || field.value === sent) return;
    event.preventDefault();
    go();
  });
  field.addEventListener("change", () => (!key || key === "Enter") && go());
  field.addEventListener("blur", (event) => {
    if (document.hasFocus()) go(event.relatedTarget?.matches("select") ? event.relatedTarget : field);
  });
}

export function startChoosing() {
  restoreFocus();
  for (const field of document.querySelectorAll("select[data-submit]")) {
    whenChosen(field, () => field.form.requestSubmit());
  }
  for (const field of document.querySelectorAll("input[type=file][data-submit]")) {
    field.addEventListener("change", () => field.form.requestSubmit());
  }
}
