// The patient's page: the explanation takes seconds, so it is asked for when the page is there, and put in place of the link that asks for it.
// Without this script the link leads to a page of its own.
"use strict";

document.addEventListener("DOMContentLoaded", async () => {
  const link = document.getElementById("explain");
  if (!link) return;
  const part = document.getElementById("explanation");
  part.setAttribute("aria-busy", "true");
  link.textContent = "Computing the curve, the contributions and similar patients…";
  try {
    const answer = await fetch(link.href);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("explanation");
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
});
