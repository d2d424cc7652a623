// The patient's page: what takes seconds (explanation, features) is asked for when the page is there, and put in place of the link that asks for it.
// Without this script each link leads to a page of its own.
"use strict";

async function load(link) {
  const part = document.querySelector(link.dataset.load);
  part.setAttribute("aria-busy", "true");
  link.textContent += "…";
  try {
    const answer = await fetch(link.href);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector(link.dataset.load);
    const refusal = page.querySelector("main .lead");
    if (fresh) {
      part.replaceWith(document.adoptNode(fresh));
      document.dispatchEvent(new CustomEvent("swapped", { detail: fresh }));
      return;
    }
    link.textContent = refusal ? refusal.textContent : "This did not work; try again";
  } catch {
    link.textContent = "The console did not answer; try again";
  }
  part.removeAttribute("aria-busy");
}

document.addEventListener("DOMContentLoaded", async () => {
  for (const link of [...document.querySelectorAll("a[data-load]")].reverse()) await load(link);
});
