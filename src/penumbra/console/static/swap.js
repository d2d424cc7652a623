// Parts of pages: a link or GET form marked data-swap="#part" replaces that part by the same part of the answered page and pushes the address;
// a part marked data-poll="5" is looked at again every 5 s while the page is visible. Times are put into the reader's zone.
// Without this script links, forms and times work as they stand.
"use strict";

let running = null;

function localTimes(root) {
  const words = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  for (const element of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(element.dateTime);
    if (element.dateTime.includes("T") && !Number.isNaN(moment.getTime())) {
      element.title = element.textContent;
      element.textContent = words.format(moment);
    }
  }
}

function announce(part) {
  localTimes(part);
  document.dispatchEvent(new CustomEvent("swapped", { detail: part }));
}

async function swap(address, selector, push) {
  const part = document.querySelector(selector);
  if (running) running.abort();
  const mine = running = new AbortController();
  part.setAttribute("data-busy", "");
  try {
    const answer = await fetch(address, { signal: mine.signal, headers: { "X-Part": selector } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector(selector);
    if (!fresh) { location.assign(address); return; }
    const focus = document.activeElement && part.contains(document.activeElement) ? document.activeElement : null;
    const again = focus && (focus.id ? "#" + CSS.escape(focus.id) : focus.name ? `[name="${CSS.escape(focus.name)}"]` : null);
    part.replaceWith(document.adoptNode(fresh));
    if (push) {
      history.pushState({ selector }, "", address);
      shown = location.pathname + location.search;
    }
    if (again && fresh.querySelector(again)) fresh.querySelector(again).focus();
    else if (focus) { fresh.setAttribute("tabindex", "-1"); fresh.focus({ preventScroll: true }); }
    announce(fresh);
  } catch (error) {
    if (error.name !== "AbortError") location.assign(address);
  } finally {
    part.removeAttribute("data-busy");
  }
}

// What data-keep names around a form or link (the viewer's place, say) is taken from the address as it is now, not as it was when the page was made.
function keep(element, query) {
  const now = new URLSearchParams(location.search);
  for (const name of element.closest("[data-keep]")?.dataset.keep.split(" ") ?? []) {
    if (now.has(name)) query.set(name, now.get(name)); else query.delete(name);
  }
  return query;
}

function addressOf(form) {
  const query = keep(form, new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== "")));
  return form.action.split(/[?#]/)[0] + (query.size ? "?" + query : "");
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-swap]");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
  if (!document.querySelector(link.dataset.swap)) return;
  event.preventDefault();
  const address = new URL(link.href);
  keep(link, address.searchParams);
  swap(address.href, link.dataset.swap, true);
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-swap]");
  if (!form || !document.querySelector(form.dataset.swap)) return;
  event.preventDefault();
  swap(addressOf(form), form.dataset.swap, true);
});

let waiting = 0;
document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-swap]");
  if (!form || event.target.matches("[data-still]") || !document.querySelector(form.dataset.swap)) return;
  clearTimeout(waiting);
  waiting = setTimeout(() => swap(addressOf(form), form.dataset.swap, true), event.target.matches("select, [type=checkbox]") ? 0 : 250);
});

let shown = location.pathname + location.search;
addEventListener("popstate", () => {
  if (location.pathname + location.search !== shown) location.reload(); // a link within the page changes its fragment alone
});

async function look(part) {
  if (document.hidden || !part.id || !part.dataset.poll || part.contains(document.activeElement)) return;
  try {
    const answer = await fetch(location.href);
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(part.id);
    if (!fresh) return;
    if (!fresh.dataset.poll) delete part.dataset.poll; // it is done
    part.toggleAttribute("aria-busy", fresh.hasAttribute("aria-busy"));
    if (fresh.hasAttribute("aria-busy")) part.setAttribute("aria-busy", fresh.getAttribute("aria-busy"));
    part.replaceChildren(...document.adoptNode(fresh).childNodes);
    const looked = part.querySelector(".looked");
    if (looked) looked.textContent = "Last look " + new Date().toLocaleTimeString();
    announce(part);
  } catch { /* the console is away for a moment; the next look tells */ }
}

document.addEventListener("DOMContentLoaded", () => {
  localTimes(document);
  for (const part of document.querySelectorAll("[data-poll]")) setInterval(look, 1000 * Number(part.dataset.poll), part);
});
