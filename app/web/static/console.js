// Files that are dropped or chosen go to POST /ingest one by one; everything else of the page is htmx and HTML.
"use strict";

(() => {
  const SENT_AT_ONCE = 3;
  const list = document.getElementById("added");
  const form = document.getElementById("add-files");
  const veil = document.getElementById("drop-veil");
  const waiting = [];
  let sending = 0;

  // ---- polls

  document.addEventListener("htmx:before:request", (event) => {
    const context = event.detail.ctx;
    const isPoll = context.sourceEvent?.type === "every";
    const hasNothingToAsk = context.sourceElement.id === "added" && !list.querySelector("input[name=id]");
    if ((isPoll && document.hidden) || hasNothingToAsk) event.preventDefault();
  });

  const say = (state, words) => {
    const line = document.querySelector("#status .status");
    line.dataset.state = state;
    line.querySelector(".status-word").textContent = words;
    line.querySelector(".status-count")?.remove();
  };
  document.addEventListener("htmx:error", () => say("down", "The service does not answer"));

  // After "More" the button is gone: go on from the first of the new ones.
  document.addEventListener("htmx:after:swap", (event) => {
    const context = event.detail.ctx;
    if (context.sourceElement.closest?.("#facets, #search")) return foldFacets();
    if (context.target?.id !== "more") return;
    document.querySelector("#results ol:last-of-type a")?.focus();
  });

  const foldFacets = () => {
    const facets = document.getElementById("facets");
    if (!facets || facets.dataset.folded) return;
    facets.dataset.folded = "yes";
    facets.open = !window.matchMedia("(max-width: 55.99rem)").matches;
  };
  foldFacets();

  if (!form) return;

  // ---- one line for each file

  const element = (tag, properties, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  const lineOf = (file) => {
    const chip = element("span", { className: "chip", textContent: "queued" });
    const progress = element("progress", { max: Math.max(file.size, 1), value: 0 });
    progress.setAttribute("aria-label", `Sending ${file.name}`);
    const name = element("b", { textContent: file.name, dir: "auto" });
    const line = element("li", { className: "line" }, name, chip, progress);
    line.dataset.state = "queued";
    return { line, name, chip, progress };
  };

  const refuse = (shown, reason) => {
    shown.line.dataset.state = "refused";
    shown.chip.dataset.state = "failed";
    shown.chip.textContent = "refused";
    shown.progress.replaceWith(element("p", { className: "reason", textContent: reason }));
  };

  const accept = (shown, receipt) => {
    const known = document.getElementById(`added-${receipt.resource_id}`);
    if (known && known !== shown.line) known.remove();
    shown.progress.remove();
    shown.line.id = `added-${receipt.resource_id}`;
    shown.line.dataset.state = receipt.created ? "pending" : "known";
    shown.chip.dataset.state = "pending";
    shown.chip.textContent = receipt.created ? "waiting" : "here already";
    const link = element("a", { href: `/library/${receipt.resource_id}`, textContent: shown.name.textContent });
    shown.name.replaceWith(link);
    if (receipt.created) {
      shown.line.prepend(element("input", { type: "hidden", name: "id", value: receipt.resource_id }));
      list.dispatchEvent(new CustomEvent("accepted"));
    }
    document.body.dispatchEvent(new CustomEvent("added"));
  };

  const inWords = (request) => {
    try {
      const problem = JSON.parse(request.responseText);
      return `${problem.title}: ${problem.detail}${/[.!?]$/.test(problem.detail) ? "" : "."}`;
    } catch {
      return request.status ? `The service answered ${request.status}.` : "The service could not be reached.";
    }
  };

  // ---- sending

  const sendNext = () => {
    while (sending < SENT_AT_ONCE && waiting.length) {
      sending += 1;
      send(waiting.shift());
    }
  };

  const send = ({ file, shown }) => {
    const request = new XMLHttpRequest();
    shown.chip.textContent = "sending";
    shown.chip.dataset.state = "running";
    request.upload.addEventListener("progress", (event) => { shown.progress.value = event.loaded; });
    request.addEventListener("loadend", () => {
      sending -= 1;
      if (request.status === 202) accept(shown, JSON.parse(request.responseText));
      else refuse(shown, inWords(request));
      sendNext();
    });
    const body = new FormData();
    body.append("file", file, file.name);
    request.open("POST", "/ingest");
    request.send(body);
  };

  const take = (files) => {
    const limit = Number(form.dataset.maxBytes);
    for (const file of files) {
      const shown = lineOf(file);
      list.prepend(shown.line);
      const megabytes = (bytes) => `${(bytes / 1048576).toFixed(bytes < 10485760 ? 1 : 0)} MB`;
      if (file.size > limit) {
        refuse(shown, `Too large: it has ${megabytes(file.size)}; the limit is ${megabytes(limit)}.`);
      } else waiting.push({ file, shown });
    }
    sendNext();
  };

  form.elements.file.addEventListener("change", (event) => {
    take([...event.target.files]);
    form.reset();
  });
  form.addEventListener("submit", (event) => event.preventDefault());

  document.addEventListener("htmx:after:request", (event) => {
    const context = event.detail.ctx;
    if (context.sourceElement.id === "add-page" && context.response.status < 400) context.sourceElement.reset();
  });

  // ---- dropping, anywhere on the page

  let depth = 0;
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  const lift = () => { depth = 0; veil.hidden = true; };

  document.addEventListener("dragenter", (event) => {
    if (!carriesFiles(event)) return;
    depth += 1;
    veil.hidden = false;
  });
  document.addEventListener("dragleave", (event) => {
    if (carriesFiles(event) && --depth <= 0) lift();
  });
  document.addEventListener("dragover", (event) => {
    if (carriesFiles(event)) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    lift();
    take([...event.dataTransfer.files]);
  });
})();
