/* What the admin's pages of background tasks do beside showing what they show; without it they do that all the same. */
"use strict";

/* Live: the parts marked data-tasks-live are asked for again, one after the other, and replaced if they have changed. */
(() => {
  const control = document.querySelector("[data-tasks-live-control]");
  if (!control) return;
  const status = control.querySelector("[data-tasks-live-status]");
  const interval = control.querySelector("[data-tasks-live-interval]");
  const pause = control.querySelector("[data-tasks-live-pause]");
  const pauseLabel = pause.textContent;
  const HOLDING = "input.tasks-tick:checked, input.action-select:checked, [name=everything]:checked";
  const etags = new Map();
  let isPaused = false;
  let timer = 0;

  const remembered = (() => {
    try { return localStorage.getItem("tasks-live-interval"); } catch { return null; }
  })();
  if ([...interval.options].some((option) => option.value === remembered)) interval.value = remembered;
  control.querySelector("[data-tasks-live-refresh]").hidden = true;
  control.querySelector("[data-tasks-live-tools]").hidden = false;

  const say = (state) => {
    if (status.dataset.state === state) return;
    status.dataset.state = state;
    status.textContent = status.dataset[state];
  };

  /* Somebody types, chooses rows or walks through a part by keyboard: nothing may move under their hands. */
  const isHeld = () => {
    const focus = document.activeElement;
    const isOurs = Boolean(focus && (control.contains(focus) || focus.matches("[data-tasks-zone]")));
    return document.hidden
      || Boolean(focus && !isOurs && focus.closest("[data-tasks-live], input, select, textarea"))
      || document.querySelector(HOLDING) !== null;
  };

  const refresh = async (section) => {
    const name = section.dataset.tasksLive;
    const url = new URL(location.href);
    url.hash = "";
    url.searchParams.set("_fragment", name);
    const headers = etags.has(name) ? { "If-None-Match": etags.get(name) } : {};
    const answer = await fetch(url, { headers, credentials: "same-origin", redirect: "error", cache: "no-store" });
    if (answer.status === 304) return;
    if (!answer.ok) throw new Error(String(answer.status));
    const text = await answer.text();
    if (isPaused || isHeld()) return;
    etags.set(name, answer.headers.get("ETag"));
    const opened = [...section.querySelectorAll("details[id][open]")].map((each) => each.id);
    section.innerHTML = text;
    for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
    section.dispatchEvent(new CustomEvent("tasks:refreshed", { bubbles: true }));
  };

  const turn = async () => {
    if (isPaused) return;
    if (isHeld()) {
      say("held");
    } else {
      try {
        for (const section of document.querySelectorAll("[data-tasks-live]:not(:has([data-tasks-final]))")) {
          await refresh(section);
        }
        say(isPaused ? "paused" : "live");
      } catch {
        say("lost");
      }
    }
    later();
  };
  const later = (seconds = Number(interval.value)) => {
    clearTimeout(timer);
    if (!isPaused) timer = setTimeout(turn, seconds * 1000);
  };

  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    pause.setAttribute("aria-pressed", String(isPaused));
    pause.textContent = isPaused ? pause.dataset.resume : pauseLabel;
    say(isPaused ? "paused" : "live");
    later(0);
  });
  interval.addEventListener("change", () => {
    try { localStorage.setItem("tasks-live-interval", interval.value); } catch { /* Then it is not remembered. */ }
    later();
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) later(0); });

  /* What is left out of the page at first, so that the page comes at once, is asked for at once. */
  later(document.querySelector("[data-tasks-later]") ? 0 : undefined);
})();

/* Ticking all rows of a page at once. What has been ticked is in document order, and each time looked for anew. */
(() => {
  const label = document.querySelector("[data-tasks-tick-all]");
  if (!label) return;
  label.hidden = false;
  label.querySelector("input").addEventListener("change", (event) => {
    for (const box of document.querySelectorAll("input.tasks-tick")) box.checked = event.target.checked;
  });
})();

/* Moments: in the time zone of the site, as they came, or in that of the browser, or UTC. */
(() => {
  const choice = document.querySelector("[data-tasks-zone]");
  if (!choice) return;
  const pad = (number) => String(number).padStart(2, "0");
  const inZone = (iso) => {
    if (!choice.value) return iso;
    const moment = new Date(iso);
    const offset = choice.value === "utc" ? 0 : -moment.getTimezoneOffset();
    const sign = offset < 0 ? "-" : "+";
    const shifted = new Date(moment.getTime() + offset * 60000).toISOString().slice(0, -1);
    return `${shifted}${sign}${pad(Math.floor(Math.abs(offset) / 60))}:${pad(Math.abs(offset) % 60)}`;
  };
  const show = (part) => {
    for (const time of part.querySelectorAll("time[datetime][title]")) {
      time.title = inZone(time.getAttribute("datetime"));
      if ("tasksExact" in time.dataset) time.textContent = time.title.replace("T", " ").replace(/\.\d+/, "");
    }
  };
  const remembered = (() => {
    try { return localStorage.getItem("tasks-zone"); } catch { return null; }
  })();
  if ([...choice.options].some((option) => option.value === remembered)) choice.value = remembered;
  choice.parentElement.hidden = false;
  if (choice.value) show(document);
  choice.addEventListener("change", () => {
    try { localStorage.setItem("tasks-zone", choice.value); } catch { /* Then it is not remembered. */ }
    show(document);
  });
  document.addEventListener("tasks:refreshed", (event) => show(event.target));
})();

/* Copying: what has data-tasks-copy copies that text, or that of the element which data-tasks-copy-from names. */
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-tasks-copy], [data-tasks-copy-from]");
  if (!button) return;
  event.preventDefault();
  const from = button.dataset.tasksCopyFrom;
  const text = from ? document.getElementById(from).textContent : button.dataset.tasksCopy;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    /* Without https browsers have no clipboard for scripts, but for what is selected. */
    const area = Object.assign(document.createElement("textarea"), { value: text, className: "visually-hidden" });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.classList.add("tasks-copied");
  setTimeout(() => button.classList.remove("tasks-copied"), 1500);
});

/* A slash goes to the search. */
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea, [contenteditable]")) return;
  const search = document.querySelector("#searchbar");
  if (!search) return;
  event.preventDefault();
  search.focus();
});
