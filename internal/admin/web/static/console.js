"use strict";
document.documentElement.classList.add("has-script");
// What makes the pages nicer. Every page can be read, and every form sent, without it.

// Forms that stream: each line of the answer is a step, the last one what is to be shown.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.stream) return;
  event.preventDefault();
  const into = document.getElementById(form.dataset.stream);
  const button = form.querySelector("button");
  const steps = document.createElement("ol");
  steps.className = "steps";
  into.replaceChildren(steps);
  button.disabled = true;
  try {
    const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), headers: { Accept: "application/x-ndjson" } });
    if (answer.redirected || !answer.ok) throw new Error("The gateway refused it.");
    await lines(answer.body, (line) => {
      if (line.step) steps.append(stepItem(line.step));
      if (line.problem) into.append(noteOf(line.problem));
      if (line.done) into.insertAdjacentHTML("beforeend", line.done); // made by a template, which escaped what strangers wrote
      localTimes(into);
    });
  } catch (fault) {
    into.append(noteOf("That did not work: " + fault.message));
  }
  button.disabled = false;
});

async function lines(body, each) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    rest += value || "";
    const whole = rest.split("\n");
    rest = whole.pop();
    for (const line of whole) if (line) each(JSON.parse(line));
    if (done) return;
  }
}

function stepItem(step) {
  const item = document.createElement("li");
  item.className = step.good ? "good" : "bad";
  const add = (name, className, text) => {
    if (!text) return;
    const part = document.createElement(name);
    part.className = className;
    part.textContent = text;
    item.append(part, " ");
  };
  add("span", "step", step.step);
  add("code", "", step.host);
  add("span", "wrap", step.text);
  add("code", "", step.reason);
  add("small", "num", step.after_ms + " ms");
  return item;
}

function noteOf(text) {
  const note = document.createElement("p");
  note.className = "note bad";
  note.setAttribute("role", "alert");
  note.textContent = text;
  return note;
}

// Times are written in UTC; show the viewer's own, and UTC on hover.
function localTimes(root) {
  for (const t of root.querySelectorAll("time[datetime]")) {
    const at = new Date(t.dateTime);
    if (!isNaN(at)) t.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
  }
}
localTimes(document);

// An invitation's secret stands behind the # of its link, so that no server and no log sees it before this form is sent.
const setup = document.querySelector("form[data-key-from-link]");
if (setup && location.hash.length > 1) {
  setup.elements.key.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  setup.submit();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.passkey) withPasskey(button, () => provePasskey(button));
  if (button.dataset.passkeyNew) withPasskey(button, () => makePasskey(button));
  if ("print" in button.dataset) print();
  if (button.dataset.confirm && !button.dataset.sure) {
    event.preventDefault();
    confirmed(button);
  }
});

// Passkeys: the browser's own dialog does the work, and the gateway judges what it gives.
async function withPasskey(button, work) {
  button.disabled = true;
  for (const old of document.querySelectorAll(".passkey-fault")) old.remove();
  try {
    const { next, problem } = await work();
    if (problem) throw new Error(problem);
    if (next) location.assign(next);
  } catch (fault) {
    const note = noteOf(fault.name === "NotAllowedError" ? "The browser or the device said no." : fault.message);
    note.classList.add("passkey-fault");
    button.before(note);
  }
  button.disabled = false;
}

async function ask(path, answer) {
  const reply = await fetch(path, { method: "POST", body: answer ? JSON.stringify(answer) : undefined, headers: { "Content-Type": "application/json" } });
  return reply.json();
}

async function provePasskey(button) {
  const question = await ask("/passkey/question");
  if (question.problem) return question;
  const key = await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(question) });
  return ask(button.dataset.passkey + "?next=" + encodeURIComponent(button.dataset.next || "/"), key);
}

async function makePasskey(button) {
  const name = document.getElementById(button.dataset.passkeyNew).value.trim();
  if (!name) return { problem: "Name the device first." };
  const question = await ask("/passkey/begin");
  if (question.problem || question.next) return question;
  const key = await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(question) });
  return ask("/passkey/finish?name=" + encodeURIComponent(name), key);
}

// confirmed asks before what cannot be taken back.
function confirmed(button) {
  const box = document.createElement("dialog");
  const text = document.createElement("p");
  const row = document.createElement("p");
  const yes = document.createElement("button");
  const no = document.createElement("button");
  text.textContent = button.dataset.confirm;
  box.setAttribute("aria-label", button.dataset.confirm);
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
}

// Parts of a page that follow what happens: the gateway says that something did, and the page asks for itself again. A part
// that somebody is using stays as it is. Pages that nobody looks at do not ask.
let renewing = false;
let more = false; // something happened meanwhile
if (document.querySelector("[data-live]")) {
  let words = null;
  const listen = () => {
    if (document.hidden) {
      if (words) words.close();
      words = null;
    } else if (!words) {
      words = new EventSource("/live");
      words.onmessage = renew;
    }
  };
  document.addEventListener("visibilitychange", listen);
  listen();
}

// inUse says whether somebody is doing something with a part.
function inUse(part) {
  return document.querySelector("dialog") || part.contains(document.activeElement) || part.querySelector("details[open]");
}

async function renew() {
  const part = document.querySelector("[data-live]");
  more = renewing;
  if (renewing || inUse(part)) return;
  renewing = true;
  try {
    const answer = await fetch(location.href, { headers: { "Postern-By-Itself": "1" } });
    if (!answer.ok || answer.redirected) return;
    const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(part.id);
    if (!next) return;
    localTimes(next);
    if (next.innerHTML !== part.innerHTML && !inUse(part)) part.replaceWith(document.adoptNode(next));
  } catch {
    // The gateway may be restarting; the next word asks again.
  } finally {
    renewing = false;
    if (more) renew();
  }
}
