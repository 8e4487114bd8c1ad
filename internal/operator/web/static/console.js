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

// Times are written in UTC; show the viewer's own, and UTC on hover. Evidence stays in UTC, and so does what is printed, also
// where the page renews itself meanwhile.
function localTimes(root) {
  if (printing || document.querySelector("[data-utc]")) return;
  for (const t of root.querySelectorAll("time[datetime]")) {
    const at = new Date(t.dateTime);
    if (!isNaN(at)) t.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
  }
  const zone = document.querySelector("[data-zone]");
  if (zone) zone.textContent = "Times are in your time zone, " + Intl.DateTimeFormat().resolvedOptions().timeZone + ".";
}
let printing = false;
localTimes(document);
addEventListener("beforeprint", () => {
  printing = true;
  for (const t of document.querySelectorAll("time[title]")) t.textContent = t.title;
  const zone = document.querySelector("[data-zone]");
  if (zone) zone.textContent = zone.title;
});
addEventListener("afterprint", () => {
  printing = false;
  localTimes(document);
});

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
  const question = await ask("/passkey/begin?name=" + encodeURIComponent(name));
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
// that somebody is using stays as it is. Pages that nobody looks at do not ask. A page that is not up to date says since when,
// and why: the gateway does not answer, the session has ended, or somebody is using what should change.
const quiet = 45; // seconds without a word: the gateway says every 20 that it is there
const pause = 3000; // before the gateway is asked again
let words = null; // the stream, null while there is none
let alive = new Date(); // when it said something last
let heard = new Date(); // when what is shown was last known to be so
let asking = 0; // timer of the next try while there is no stream
let renewing = false;
let more = false; // something happened that is not shown
const live = () => document.querySelector("[data-live]");
const stale = () => document.getElementById("stale");

if (live()) {
  document.addEventListener("visibilitychange", () => (document.hidden ? hangUp() : listen()));
  document.addEventListener("focusout", () => setTimeout(() => more && follow()));
  setInterval(() => words && new Date() - alive > quiet * 1000 && lose(), 5000);
  listen();
}

function listen() {
  if (words || document.hidden) return;
  alive = new Date();
  words = new EventSource("/live");
  words.onerror = lose;
  words.onmessage = () => {
    alive = new Date();
    follow();
  };
  words.addEventListener("here", () => {
    alive = new Date();
    if (!more) heard = alive;
  });
}

function hangUp() {
  if (words) words.close();
  words = null;
  clearTimeout(asking);
}

function lose() {
  hangUp();
  follow();
}

// follow renews the page, and sees to it that somebody asks again.
async function follow() {
  if (document.hidden) return;
  const outcome = await renew();
  if (outcome === "ended" || outcome === "failed") hangUp();
  if (outcome === "ended" || outcome === "busy" || words || document.hidden) return;
  clearTimeout(asking);
  asking = setTimeout(outcome === "failed" ? follow : listen, pause);
}

// outdated says since when the page is not up to date. What is shown meanwhile looks like what it is: old.
function outdated(why, link) {
  const note = document.createElement("p");
  note.id = "stale";
  note.className = "note bad";
  note.setAttribute("role", "status");
  note.textContent = "Not up to date since " + heard.toLocaleTimeString() + ": " + why + " ";
  if (link) {
    const a = document.createElement("a");
    a.href = link;
    a.textContent = "Sign in again";
    note.append(a);
  }
  if (stale()) stale().replaceWith(note);
  else live().before(note);
  live().classList.add("stale");
}

function current() {
  heard = new Date();
  if (stale()) stale().remove();
  live().classList.remove("stale");
}

// inUse says whether somebody is doing something with a part.
function inUse(part) {
  return document.querySelector("dialog") || part.contains(document.activeElement) || part.querySelector("details[open], :active");
}

// renew asks for the page and shows it. It tells what came of that: "shown", "failed", "ended" with the session, or "busy".
async function renew() {
  more = true;
  if (renewing) return "busy";
  renewing = true;
  more = false;
  try {
    const answer = await fetch(location.href, { headers: { "Postern-By-Itself": "1" } });
    if (answer.redirected) {
      outdated("your session has ended.", "/sign-in?next=" + encodeURIComponent(location.pathname + location.search));
      return "ended";
    }
    const next = answer.ok && new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(live().id);
    if (!next) {
      outdated("the gateway answers with an error (" + answer.status + ").");
      return "failed";
    }
    show(next);
    return "shown";
  } catch {
    outdated("the gateway does not answer.");
    return "failed";
  } finally {
    renewing = false;
    if (more && !inUse(live())) setTimeout(follow);
  }
}

// show puts what the gateway answered in place of what is shown, unless somebody is using that.
function show(next) {
  const part = live();
  localTimes(next);
  part.classList.remove("stale"); // so that only content counts as a difference
  if (next.innerHTML === part.innerHTML) return current();
  if (inUse(part)) {
    more = true;
    return outdated("it stays as it is while you use it.");
  }
  part.replaceWith(document.adoptNode(next));
  current();
}

// A search that is not at its end goes on while its reader waits: the rest of the list comes when the gateway has looked
// further back.
searchOn();

async function searchOn() {
  const found = document.getElementById("found");
  const rest = found && found.querySelector("[data-search-on] a");
  if (!rest || document.hidden) return rest && document.addEventListener("visibilitychange", searchOn, { once: true });
  try {
    const answer = await fetch(rest.href, { headers: { "Postern-By-Itself": "1" } });
    if (!answer.ok || answer.redirected) return;
    const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("found");
    if (!next) return;
    localTimes(next);
    const into = found.querySelector("tbody");
    const rows = next.querySelector("tbody");
    if (into && rows) {
      into.append(...rows.children);
      rest.closest("[data-search-on]").remove();
      const further = next.querySelector(".more");
      if (further) found.append(further);
    } else if (into) {
      rest.closest("[data-search-on]").replaceWith(...next.querySelectorAll(".more"));
    } else {
      found.replaceWith(document.adoptNode(next));
    }
    if (document.querySelectorAll("#found tbody tr").length < 50) searchOn();
  } catch {
    // The link is still there.
  }
}

// In the settings pane what is not about the mail that is chosen is out of sight, unless it says something. The action
// that was chosen for either mail is chosen again when that comes back.
const pane = document.querySelector("form.pane");
if (pane) {
  const scope = pane.elements.scope;
  const chosen = {};
  const says = (field) => (field.type === "checkbox" ? field.checked : field.value.trim() !== "");
  const show = () => {
    for (const part of pane.querySelectorAll("[data-scope]")) {
      const other = scope.value !== "disabled" && part.dataset.scope !== scope.value;
      const field = part.querySelector("input, select, textarea");
      const kept = part.classList.contains("deed") ? field.checked : part.closest(".deed") || says(field) || field.ariaInvalid;
      part.hidden = other && !kept;
    }
    for (const area of pane.querySelectorAll("fieldset.part")) {
      area.hidden = false;
      area.hidden = [...area.querySelectorAll("input, select, textarea")].every((field) => field.closest("[hidden]"));
    }
  };
  const fit = () => {
    const deeds = [...pane.querySelectorAll(".deed > input[name=action]")];
    const works = (deed) => deed.parentElement.dataset.scope;
    const now = deeds.find((deed) => deed.checked);
    if (now) chosen[works(now)] = now;
    if (now && scope.value !== "disabled" && works(now) !== scope.value) {
      const fitting = deeds.filter((deed) => works(deed) === scope.value);
      const next = chosen[scope.value] || (fitting.length === 1 && fitting[0]);
      now.checked = false;
      if (next) next.checked = true;
    }
    show();
  };
  scope.addEventListener("change", fit);
  pane.addEventListener("change", show);
  addEventListener("pageshow", show);
  show();
}
