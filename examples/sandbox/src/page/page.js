// Keeps the page up to date: fetches it after each change, and replaces the regions that differ.
// Without this script, the page still works, but has to be reloaded by hand.
"use strict";

const live = document.querySelector(".live");
const seen = new Map();

function regions(root) {
  return root.querySelectorAll("[data-live]");
}

function localTimes(root) {
  const today = new Date().toDateString();
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    const style = time.dataset.style;
    const clock = { hour: "2-digit", minute: "2-digit" };
    if (style === "exact") clock.second = "2-digit";
    time.title = at.toLocaleString();
    const day = { month: "short", day: "numeric" };
    time.textContent =
      at.toDateString() === today
        ? at.toLocaleTimeString([], clock)
        : style === "short"
          ? at.toLocaleDateString([], day)
          : at.toLocaleString([], { ...day, ...clock });
  }
}

function countDown() {
  for (const due of document.querySelectorAll("[data-due]")) {
    const left = Math.round((Number(due.dataset.due) - Date.now()) / 1000);
    const two = (number) => String(number).padStart(2, "0");
    due.textContent =
      left > 0 ? `in ${Math.floor(left / 60)}:${two(left % 60)}` : "now";
  }
}

// Returns a name for an element that can have the focus. Its replacement has the same name.
function nameOf(element) {
  const of = element.form?.action ?? element.parentElement?.id;
  return [element.tagName, element.id, element.href, element.dataset.copy, of].join();
}

function replace(old, fresh) {
  const open = new Set([...old.querySelectorAll("details[open][id]")].map((it) => it.id));
  const focus = old.contains(document.activeElement) ? nameOf(document.activeElement) : "";
  const mails = old.querySelectorAll(".mail").length;
  old.replaceChildren(...fresh.childNodes);
  for (const details of old.querySelectorAll("details[id]")) {
    if (open.has(details.id)) details.open = true;
  }
  const focusable = focus ? [...old.querySelectorAll("a, button, summary")] : [];
  focusable.find((it) => nameOf(it) === focus)?.focus({ preventScroll: true });
  localTimes(old);
  const now = old.querySelectorAll(".mail");
  if (now.length > mails) now[now.length - 1].scrollIntoView({ block: "nearest" });
}

let running = false;
let again = false;

async function refresh() {
  if (running) {
    again = true;
    return;
  }
  running = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    // 404: the page says that its mail is gone.
    if (answer.ok || answer.status === 404) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const fresh of regions(page)) {
        const old = document.getElementById(fresh.id);
        if (!old || seen.get(fresh.id) === fresh.innerHTML) continue;
        seen.set(fresh.id, fresh.innerHTML);
        replace(old, fresh);
      }
      countDown();
    }
  } catch {
    // The sandbox has ended, as the event source shows.
  }
  running = false;
  if (again) {
    again = false;
    refresh();
  }
}

function follow() {
  const source = new EventSource("/events");
  const show = (state, text) => {
    live.dataset.state = state;
    live.querySelector(".word").textContent = text;
  };
  source.addEventListener("open", () => {
    show("live", "Live");
    refresh();
  });
  source.addEventListener("change", refresh);
  source.addEventListener("error", () => show("lost", "Reconnecting"));
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const text = document.getElementById(button.dataset.copy).textContent;
  const word = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not copied";
  }
  setTimeout(() => (button.textContent = word), 1500);
});

for (const region of regions(document)) seen.set(region.id, region.innerHTML);
localTimes(document);
countDown();
setInterval(countDown, 1000);
follow();
