// A picture dropped on the page, or pasted into it, is looked for.
async function send(file) {
  const form = new FormData();
  form.append("picture", file);
  const answer = await fetch("/dropped", { method: "POST", body: form, headers: { "X-Part": "1" } });
  if (answer.ok) location.assign(await answer.text());
  else {
    const told = document.createElement("div");
    told.innerHTML = await answer.text(); // our own server's, escaped there
    document.querySelector("main").prepend(told);
  }
}

const pictureOf = (data) => [...(data?.files ?? [])].find((file) => file.type.startsWith("image/"));

export function startUpload() {
  const box = document.querySelector("[data-drop]");
  document.addEventListener("dragover", (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    box?.classList.add("over");
  });
  document.addEventListener("dragleave", () => box?.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    const file = pictureOf(event.dataTransfer);
    box?.classList.remove("over");
    if (!file) return;
    event.preventDefault();
    send(file);
  });
  document.addEventListener("paste", (event) => {
    const file = pictureOf(event.clipboardData);
    if (file) send(file);
  });
}
