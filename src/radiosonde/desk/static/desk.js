"use strict";
// Live updates, copy buttons, the filter and the keyboard. Every page works without it.
(() => {
  const live = () => {
    const events = new EventSource("/events");
    // Somebody who types, reads a chart or selects text is not interrupted: the update waits.
    const isBusy = () =>
      document.hidden ||
      document.querySelector("[data-brushing]") !== null ||
      !(document.getSelection()?.isCollapsed ?? true) ||
      /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName ?? "");
    // The number of the board that the page shows. It is compared with the latest one until they are equal: an event that comes before htmx
    // listens, or an update that fails, is made up for.
    const shown = () => document.getElementById("look").dataset.number;
    let latest = shown();
    let refused = null;
    const update = () => {
      if (latest !== shown() && latest !== refused && !isBusy()) document.body.dispatchEvent(new CustomEvent("look"));
    };
    const hear = (event) => {
      latest = event.data;
      update();
    };
    events.addEventListener("look", hear);
    events.addEventListener("ready", hear);
    // A page that is refused (a model that is gone) is asked for again when the board changes, not before.
    document.body.addEventListener("htmx:responseError", () => (refused = latest));
    setInterval(update, 2000);
    window.addEventListener("pagehide", () => events.close());
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const text = button.parentElement.querySelector("code").textContent.trimEnd();
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      const range = document.createRange();
      range.selectNodeContents(button.parentElement.querySelector("code"));
      const selection = document.getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });

  const filter = () => {
    const words = (document.getElementById("filter")?.value ?? "").toLowerCase();
    for (const row of document.querySelectorAll("tr[data-name]")) row.hidden = !row.dataset.name.toLowerCase().includes(words);
  };
  document.addEventListener("input", (event) => event.target.id === "filter" && filter());

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const link = { "[": "earlier", "]": "later" }[event.key];
    if (link) document.getElementById(link)?.click();
    if (event.key === "/") {
      const field = document.getElementById("filter");
      if (field) event.preventDefault();
      field?.focus();
    }
  });

  live();
})();
