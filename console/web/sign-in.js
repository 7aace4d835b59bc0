"use strict";
// The key lives in sessionStorage: this tab's alone, gone with it, never part of an address. Every look at the API sends it
// as a header; the answer takes this page's place.
const KEPT = "observatory.key", MOST = 200000;
const form = document.getElementById("ask"), words = document.getElementById("words"), field = document.getElementById("key");

async function look(key) {
  const headers = { Authorization: "Bearer " + key, Accept: "text/html;q=0.9, application/json" };
  const answer = await fetch(location.href, { headers, cache: "no-store", credentials: "omit" });
  if (answer.status === 401) {
    sessionStorage.removeItem(KEPT);
    throw new Error("This key is not known here.");
  }
  sessionStorage.setItem(KEPT, key);
  if ((answer.headers.get("content-type") || "").startsWith("text/html")) showPage(await answer.text(), key);
  else await showText(answer);
}

function showPage(text, key) {
  const page = new DOMParser().parseFromString(text, "text/html"); // what is parsed so never runs
  document.title = page.title;
  const place = scrollY;
  document.body.replaceWith(page.body);
  scrollTo(0, place);
  const refresh = page.querySelector('meta[http-equiv="refresh"]');
  if (refresh) setTimeout(() => look(key).catch(() => location.reload()), 1000 * Number(refresh.content));
}

async function showText(answer) {
  const main = document.createElement("main"), shown = document.createElement("pre"), decoder = new TextDecoder();
  main.append(shown);
  document.body.replaceChildren(main);
  const json = /json/.test(answer.headers.get("content-type"));
  let text = "";
  for (const reader = answer.body.getReader(); ;) {
    const { done, value } = await reader.read();
    text += done ? "" : decoder.decode(value, { stream: true });
    if (!json) shown.textContent = text = text.slice(-MOST); // a live stream has no end
    if (done) break;
  }
  if (json) shown.textContent = pretty(text);
}

function pretty(text) {
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}

function tell(error) {
  form.hidden = false;
  words.textContent = error.message;
  field.focus();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  look(field.value.trim()).catch(tell);
});
const kept = sessionStorage.getItem(KEPT);
if (kept) look(kept).catch(tell);
else form.hidden = false;
