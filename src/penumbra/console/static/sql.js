// The editor of statements: completes relations, columns and keywords with what they mean, asks with Ctrl+Enter, and remembers what was asked in this
// browser alone (localStorage). Without this script the page is a text field and a button.
// Keys: Ctrl+Space opens the list, the arrows choose, Enter or Tab takes, Escape closes it. While the list is closed, Tab leaves the field as usual.
"use strict";

(() => {
  const LISTED = 40;
  const REMEMBERED = 30;
  const KEY = "penumbra.sql.history";
  const form = document.getElementById("ask");
  const field = document.getElementById("q");
  const list = document.getElementById("completions");
  const status = document.getElementById("completed");
  let words = null;
  let offered = [];
  let chosen = -1;
  let start = 0;

  const load = async () => {
    if (words) return words;
    const answer = await fetch(form.dataset.words);
    if (!answer.ok) return null;
    words = await answer.json();
    return words;
  };

  // Columns of the relations that the statement names come first, then relations, other columns and keywords.
  const candidates = (text) => {
    const mentioned = new Set((text.match(/\w+/g) || []).map((word) => word.toLowerCase()));
    const found = [];
    for (const [name, relation] of Object.entries(words.relations)) {
      if (!mentioned.has(name)) continue;
      for (const [column, meaning] of Object.entries(relation.columns)) found.push([column, meaning, `column of ${name}`]);
      if (relation.wide) for (const [column, meaning] of Object.entries(words.features)) found.push([column, meaning, "feature"]);
    }
    for (const [name, relation] of Object.entries(words.relations)) found.push([name, relation.comment, "relation"]);
    for (const [name, relation] of Object.entries(words.relations)) {
      if (mentioned.has(name)) continue;
      for (const [column, meaning] of Object.entries(relation.columns)) found.push([column, meaning, `column of ${name}`]);
    }
    for (const word of words.keywords) found.push([word, "", "keyword"]);
    return found;
  };

  const written = (name) => (/^[A-Za-z_]\w*$/.test(name) && !["at", "rows"].includes(name) ? name : `"${name}"`);

  const close = () => {
    list.hidden = true;
    list.replaceChildren();
    offered = [];
    chosen = -1;
    field.removeAttribute("aria-activedescendant");
    field.removeAttribute("aria-controls");
  };

  const choose = (place) => {
    chosen = place;
    [...list.children].forEach((each, number) => each.setAttribute("aria-selected", String(number === place)));
    const item = list.children[place];
    item.scrollIntoView({ block: "nearest" });
    field.setAttribute("aria-activedescendant", item.id);
    status.textContent = item.textContent;
  };

  const open = async (asked) => {
    if (!(await load())) return;
    const before = field.value.slice(0, field.selectionStart);
    const word = (before.match(/"?[\w-]*$/) || [""])[0];
    start = field.selectionStart - word.length;
    const typed = word.replace(/^"/, "").toLowerCase();
    if (!asked && typed.length < 2) return close();
    const seen = new Set();
    const fits = (part) => candidates(field.value).filter(([name]) => part(name.toLowerCase()) && !seen.has(name) && seen.add(name));
    offered = [...fits((name) => name.startsWith(typed)), ...(typed.length > 2 ? fits((name) => name.includes(typed)) : [])].slice(0, LISTED);
    if (!offered.length || (offered.length === 1 && offered[0][0].toLowerCase() === typed)) return close();
    list.replaceChildren(...offered.map(([name, meaning, kind], number) => {
      const item = document.createElement("li");
      item.id = `completion-${number}`;
      item.setAttribute("role", "option");
      const title = document.createElement("b");
      title.textContent = name;
      const help = document.createElement("small");
      help.textContent = meaning ? `${kind}: ${meaning}` : kind;
      item.append(title, " ", help);
      return item;
    }));
    list.hidden = false;
    field.setAttribute("aria-controls", "completions");
    choose(0);
  };

  const take = (place) => {
    const text = written(offered[place][0]);
    const end = field.selectionStart + (text.startsWith('"') && field.value[field.selectionStart] === '"' ? 1 : 0);
    field.setRangeText(text, start, end, "end");
    close();
    field.focus();
  };

  const history = () => {
    try {
      const read = JSON.parse(localStorage.getItem(KEY) || "[]");
      return Array.isArray(read) ? read.filter((each) => typeof each === "string") : [];
    } catch { return []; }
  };

  const remember = (statement) => {
    if (!statement.trim()) return;
    try {
      localStorage.setItem(KEY, JSON.stringify([statement, ...history().filter((each) => each !== statement)].slice(0, REMEMBERED)));
    } catch { /* a browser that keeps nothing */ }
  };

  const show = () => {
    const box = document.getElementById("history");
    const asked = history();
    box.hidden = !asked.length;
    box.querySelector("ol").replaceChildren(...asked.map((statement) => {
      const item = document.createElement("li");
      const link = document.createElement("a");
      const query = new URLSearchParams(new FormData(form));
      query.set("q", statement);
      link.href = `${form.action}?${query}`;
      link.textContent = statement.replace(/\s+/g, " ");
      link.title = statement;
      item.append(link);
      return item;
    }));
  };

  field.setAttribute("aria-autocomplete", "list");
  document.getElementById("keys").hidden = false;

  field.addEventListener("input", () => open(false));
  field.addEventListener("focus", load, { once: true });
  field.addEventListener("blur", () => setTimeout(close, 150));
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      form.requestSubmit();
    } else if (event.key === " " && event.ctrlKey) {
      event.preventDefault();
      open(true);
    } else if (list.hidden) {
      return;
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      choose((chosen + (event.key === "ArrowDown" ? 1 : offered.length - 1)) % offered.length);
    } else if (event.key === "Enter" || (event.key === "Tab" && !event.shiftKey)) {
      event.preventDefault();
      take(chosen);
    } else if (event.key === "Escape") {
      event.preventDefault();
      close();
    }
  });
  list.addEventListener("mousedown", (event) => {
    const item = event.target.closest("li");
    if (!item) return;
    event.preventDefault();
    take([...list.children].indexOf(item));
  });
  form.addEventListener("submit", () => remember(field.value));
  document.querySelector("#history button").addEventListener("click", () => {
    localStorage.removeItem(KEY);
    show();
  });
  if (document.getElementById("answer")) remember(field.value);
  show();
})();
