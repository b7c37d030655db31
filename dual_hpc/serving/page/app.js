// The page: sends a recording, plays it from the user's own disk, and shows the answer along with it.
import { clock, draw } from "./timeline.js";

const $ = (id) => document.getElementById(id);
const page = { model: null, file: null, request: null, answer: null, media: null, playable: false, position: 0, address: null, made: [] };

function percent(share) { return `${Math.round(100 * share)} %`; }
function size(bytes) {
  const [unit, length] = bytes >= 1e9 ? ["GB", 1e9] : bytes >= 1e6 ? ["MB", 1e6] : ["kB", 1e3];
  return `${Number((bytes / length).toPrecision(3))} ${unit}`;
}
function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}
function fail(text) {
  $("error").textContent = text;
  $("error").hidden = !text;
}

async function askModel() {
  try {
    const reply = await fetch("model");
    if (!reply.ok) throw new Error((await reply.text()).slice(0, 200));
    const model = page.model = await reply.json();
    $("about").textContent = `Model ${model.model} reads ${model.reads.join(", ")} and tells ${model.labels.join(", ")} apart.`;
    $("limit").textContent = `up to ${size(model.max_upload)}`;
    $("unsure").hidden = !model.confidence;
    const fields = $("form").elements;
    if (typeof model.window === "number") fields.window.placeholder = model.window;
    if (model.hop) fields.hop.placeholder = model.hop;
    fields.window.max = model.max_seconds;
  } catch (error) {
    fail(`The server does not answer (${error.message}). Is it still running, and the tunnel to it open?`);
  }
}

// ---- sending

function send(file) {
  if (!file) return;
  page.request?.abort();
  fail("");
  page.file = file;
  $("again").disabled = false;
  const limit = page.model?.max_upload ?? Infinity;
  if (file.size > limit) return fail(`${file.name} has ${size(file.size)}; this server takes recordings up to ${size(limit)}.`);
  if (file.size === 0) return fail(`${file.name} is empty.`);
  const form = new FormData();
  form.append("stream", "true");
  form.append("files", "true");
  for (const field of $("options").querySelectorAll("input")) {
    if (!field.checkValidity()) { $("options").open = true; field.reportValidity(); return; }
    if (field.value.trim()) form.append(field.name, field.value.trim());
  }
  form.append("file", file, file.name);

  $("result").hidden = true;
  const request = page.request = new XMLHttpRequest();
  const lines = [];
  let read = 0;
  const take = () => {
    const end = request.responseText.lastIndexOf("\n") + 1;
    for (const line of request.responseText.slice(read, end).split("\n")) if (line) lines.push(JSON.parse(line));
    read = end;
  };
  request.open("POST", "predict");
  request.upload.onprogress = (event) => working(`Sending ${file.name}`, event.loaded / event.total);
  request.upload.onload = () => working(`${file.name} has arrived; the model looks and listens ...`, null);
  request.onprogress = () => {
    if (request.status !== 200) return;
    take();
    const reached = lines.at(-1)?.end, length = page.playable ? page.media.duration : NaN;
    if (reached) working(`Answered up to ${clock(reached)}${length ? ` of ${clock(length)}` : ""}`, length ? Math.min(1, reached / length) : null);
  };
  request.onload = () => {
    done();
    try {
      if (request.status !== 200) return fail(JSON.parse(request.responseText).error);
      take();
      const last = lines.pop();
      if (last?.error) return fail(last.error);
      show({ ...last, windows: lines });
    } catch {
      fail(request.status === 200 ? "The answer ended in the middle. Try again." : `The server refused the recording (status ${request.status}).`);
    }
  };
  request.onerror = () => { done(); fail("The connection to the server broke off. Is it still running, and the tunnel to it open?"); };
  request.onabort = done;
  working(`Sending ${file.name}`, 0);
  play(file);
  request.send(form);
}
function working(text, share) {
  $("work").hidden = false;
  $("doing").textContent = share === null ? text : `${text}: ${percent(share)}`;
  if (share === null) $("progress").removeAttribute("value");
  else $("progress").value = share;
}
function done() {
  $("work").hidden = true;
  page.request = null;
}

// ---- playing

function play(file) {
  const sound = file.type.startsWith("audio/") || /\.(wav|flac|mp3|m4a|aac|ogg|oga|opus)$/i.test(file.name);
  const media = page.media = element(sound ? "audio" : "video", { controls: true, preload: "auto", playsInline: true });
  media.setAttribute("aria-label", file.name);
  if (page.address) URL.revokeObjectURL(page.address);
  page.address = URL.createObjectURL(file);
  page.playable = false;
  page.position = 0;
  const hint = element("p");
  media.addEventListener("loadedmetadata", () => {
    page.playable = true;
    media.classList.toggle("sound", !sound && media.videoWidth === 0);
    place();
  });
  media.addEventListener("error", () => {
    page.playable = false;
    media.hidden = true;
    hint.textContent = "This browser cannot play this kind of file. The timeline can still be looked at.";
  });
  for (const name of ["timeupdate", "seeking", "seeked", "pause"]) media.addEventListener(name, follow);
  media.addEventListener("play", () => requestAnimationFrame(tick));
  media.src = page.address;
  $("player").replaceChildren(media, hint);
}
function tick() {
  follow();
  if (page.media && !page.media.paused && !page.media.ended) requestAnimationFrame(tick);
}
function follow() {
  if (!page.playable) return;
  page.position = page.media.currentTime;
  place();
}
function seek(seconds) {
  if (!page.answer) return;
  page.position = Math.min(Math.max(seconds, 0), page.answer.seconds);
  if (page.playable) page.media.currentTime = Math.min(page.position, page.media.duration || page.position);
  place();
}

// ---- showing

function at(rows, seconds) {
  let low = 0, high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle].start <= seconds) low = middle + 1; else high = middle;
  }
  const found = rows[low - 1];
  return found && seconds <= found.end + 1e-3 ? found : null;
}
function unsureStretches(answer) {
  const known = answer.windows.filter((one) => one.unsure !== undefined);
  const found = [];
  for (const part of known.length ? answer.timeline : []) {
    const middle = (part.start + part.end) / 2;
    const over = known.filter((one) => one.start <= middle && middle <= one.end);
    if (over.length && over.every((one) => one.unsure)) found.push(part);
  }
  return found;
}

function show(answer) {
  const windows = answer.windows.filter((one) => one.probabilities);
  answer.timeline ??= windows;  // one answer for the whole clip
  answer.segments ??= windows;
  answer.seconds = Math.max(answer.seconds ?? 0, ...answer.timeline.map((one) => one.end), 0.1);
  page.answer = answer;
  page.drawn = { ...answer, colours: page.model.colours, unsure: unsureStretches(answer) };
  $("name").textContent = answer.input;
  $("bars").replaceChildren(...answer.labels.map((label, number) => {
    const bar = element("div", { className: "bar" });
    bar.style.background = page.model.colours[number];
    return element("li", {}, element("span", { className: "class", textContent: label, title: label }),
      element("div", { className: "track" }, bar), element("span", { className: "share" }));
  }));
  $("segments").replaceChildren(...answer.segments.map((one) => {
    const dot = element("span", { className: "dot" });
    dot.style.background = page.model.colours[answer.labels.indexOf(one.label)];
    const go = element("button", { type: "button", textContent: clock(one.start, 1), onclick: () => seek(one.start) });
    go.setAttribute("aria-label", `go to ${clock(one.start, 1)}`);
    const value = one.probabilities?.[one.label];
    return element("tr", {}, element("td", {}, go), element("td", {}, clock(one.end, 1)), element("td", {}, dot, one.label),
      element("td", {}, value === undefined ? "" : percent(value)));
  }));
  notes(answer);
  downloads(answer);
  $("result").hidden = false;
  redraw();
  $("status").textContent = `The answer for ${answer.input} is there: ${answer.segments.length} segments.`;
}
function notes(answer) {
  const found = new Map();
  for (const one of answer.windows) {
    for (const text of [...(one.warnings ?? []), ...(one.error ? [one.error] : [])]) found.set(text, (found.get(text) ?? 0) + 1);
  }
  const silent = answer.windows.filter((one) => one.label === null).length;
  if (silent) found.set("no speech, no answer", silent);
  if (page.drawn.unsure.length) found.set("hatched edge of a segment: the model is unsure there", 0);
  $("notes").replaceChildren(...[...found].map(([text, count]) =>
    element("li", {}, count && answer.windows.length > 1 ? `${text} (${count} of ${answer.windows.length} windows)` : text)));
}
function downloads(answer) {
  const { files, ...rest } = answer;
  const content = { json: JSON.stringify(rest, null, 1), ...files };
  const stem = answer.input.replace(/\.[^.]*$/, "") || "answer";
  page.made.forEach(URL.revokeObjectURL);
  page.made = [];
  $("downloads").replaceChildren(...Object.entries(content).map(([kind, text]) => {
    const href = URL.createObjectURL(new Blob([text], { type: kind === "json" ? "application/json" : "text/plain" }));
    page.made.push(href);
    return element("a", { href, download: `${stem}.${kind}`, className: "button", textContent: kind.toUpperCase() });
  }));
}

function redraw() {
  if (!page.answer || $("result").hidden) return;
  const style = document.querySelector("input[name=style]:checked").value;
  const head = element("div", { id: "playhead" });
  $("timeline").replaceChildren(draw(page.drawn, Math.max($("timeline").clientWidth, 200), style), head);
  place();
}
function place() {
  const { answer, position } = page;
  if (!answer || $("result").hidden) return;
  const shown = Math.min(position, answer.seconds), part = at(answer.timeline, shown);
  $("playhead").style.left = `${(100 * shown) / answer.seconds}%`;
  $("clock").textContent = clock(position, 1);
  const slider = $("timeline"), label = part?.label ?? "no answer";
  slider.setAttribute("aria-valuemin", "0");
  slider.setAttribute("aria-valuemax", answer.seconds.toFixed(1));
  slider.setAttribute("aria-valuenow", shown.toFixed(1));
  slider.setAttribute("aria-valuetext", `${clock(shown, 1)}, ${label}`);
  const off = (one) => Math.abs((one.start + one.end) / 2 - shown);
  const over = answer.windows.filter((one) => one.start <= shown && shown <= one.end);
  const window = over.reduce((best, one) => (best && off(best) <= off(one) ? best : one), undefined);
  const sure = window?.confidence === undefined ? "" : `confidence ${percent(window.confidence)}`;
  $("sure").textContent = part?.probabilities ? `${sure}${window?.unsure ? " (unsure)" : ""}` : "no answer here";
  [...$("bars").children].forEach((row, number) => {
    const share = part?.probabilities?.[answer.labels[number]] ?? 0;
    row.querySelector(".bar").style.width = `${100 * share}%`;
    row.querySelector(".share").textContent = part?.probabilities ? percent(share) : "";
    row.classList.toggle("top", part?.label === answer.labels[number]);
  });
  const now = $("segments").children[answer.segments.indexOf(at(answer.segments, shown))] ?? null;
  if (now !== page.now) page.now?.classList.remove("now");
  now?.classList.add("now");
  page.now = now;
}

// ---- what the user does

$("file").addEventListener("change", () => { send($("file").files[0]); $("file").value = ""; });
$("again").addEventListener("click", () => send(page.file));
$("form").addEventListener("submit", (event) => { event.preventDefault(); send(page.file); });
$("cancel").addEventListener("click", () => page.request?.abort());
for (const name of ["dragover", "dragenter"]) addEventListener(name, (event) => { event.preventDefault(); $("drop").classList.add("over"); });
for (const name of ["dragleave", "drop"]) addEventListener(name, () => $("drop").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  const files = event.dataTransfer?.files ?? [];
  if (files.length > 1) fail("Drop one recording at a time.");
  else if (files.length === 0) fail("That is not a file. Drop a video or a sound file.");
  else send(files[0]);
});

const line = $("timeline");
function pointed(event) {
  const box = line.getBoundingClientRect();
  return ((event.clientX - box.left) / box.width) * page.answer.seconds;
}
line.addEventListener("pointerdown", (event) => { if (event.button === 0) { line.setPointerCapture(event.pointerId); seek(pointed(event)); } });
line.addEventListener("pointermove", (event) => {
  const seconds = Math.min(Math.max(pointed(event), 0), page.answer.seconds), part = at(page.answer.timeline, seconds);
  const values = Object.entries(part?.probabilities ?? {}).sort((a, b) => b[1] - a[1]).slice(0, 3);
  $("hover").textContent = `${clock(seconds, 1)}  ${values.map(([label, share]) => `${label} ${percent(share)}`).join(", ") || "no answer"}`;
  if (line.hasPointerCapture(event.pointerId)) seek(seconds);
});
line.addEventListener("pointerleave", () => { $("hover").textContent = "\u00a0"; });
line.addEventListener("keydown", (event) => {
  const moves = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity };
  if (!(event.key in moves)) return;
  event.preventDefault();
  seek(page.position + moves[event.key]);
});
for (const choice of document.querySelectorAll("input[name=style]")) choice.addEventListener("change", redraw);
new ResizeObserver(redraw).observe(line);
askModel();
