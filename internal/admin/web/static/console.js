"use strict";
// What makes the pages nicer. Every page can be read, and every form sent, without it.

// Times are written in UTC; show the viewer's own, and UTC on hover.
for (const t of document.querySelectorAll("time[datetime]")) {
  const at = new Date(t.dateTime);
  if (!isNaN(at)) t.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

// An invitation's secret stands behind the # of its link, so that no server and no log sees it before this form is sent.
const setup = document.querySelector("form[data-key-from-link]");
if (setup && location.hash.length > 1) {
  setup.elements.key.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  setup.submit();
}

// Ask before what cannot be taken back.
for (const button of document.querySelectorAll("button[data-confirm]")) {
  button.addEventListener("click", (event) => {
    if (button.dataset.sure) return;
    event.preventDefault();
    const box = document.createElement("dialog");
    const text = document.createElement("p");
    const row = document.createElement("p");
    const yes = document.createElement("button");
    const no = document.createElement("button");
    text.textContent = button.dataset.confirm;
    row.className = "actions";
    yes.textContent = button.textContent;
    yes.className = "danger";
    no.textContent = "No";
    row.append(yes, no);
    box.append(text, row);
    document.body.append(box);
    no.addEventListener("click", () => box.close());
    yes.addEventListener("click", () => {
      button.dataset.sure = "yes";
      box.close();
      button.click();
    });
    box.addEventListener("close", () => box.remove());
    box.showModal();
    no.focus();
  });
}
