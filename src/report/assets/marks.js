"use strict";
// Marks: what a person finds in a stretch of the timeline. They are kept in the browser, and saved as a file that
// `abaw import-labels --format report` reads (its form: src/export/marks.rs).
abaw.marks = (video, timeline, marking) => {
  const { numbers, x, timed, fps, expressions, units } = video;
  const { charts, when } = timeline;
  const last = x.length - 1;
  const byId = (id) => document.getElementById(id);
  const [stack, what, value, annotator, status] = ["timeline", "mark-what", "mark-value", "annotator", "mark-status"].map(byId);
  const colour = (name) => getComputedStyle(stack).getPropertyValue(name).trim();
  const ANNOTATOR_KEY = `${marking.format}/annotator`;
  const CURVES = ["valence", "arousal"];

  // A mark has a person, the positions of its first and last frame, what it marks, and, if it is a curve, points of
  // [position, height]. The list and its marks are never changed, so that an earlier list is a state to go back to.
  let marks = [];
  const past = [];
  const future = [];
  let begun = null; // where a mark began that the keyboard is making: place and height
  let drawn = null; // what the mouse is drawing

  // --- the list ---

  const personOf = (track) => (track === video.tracks[0] ? "subject" : track.person);
  const isOf = (one, other) =>
    one.person === other.person && one.what === other.what && (one.what !== "action_unit" || one.label === other.label);

  function height(curve, at) {
    const after = curve.findIndex(([place]) => place > at);
    if (after === 0) return curve[0][1];
    if (after < 0) return curve[curve.length - 1][1];
    const [[begin, from], [end, to]] = [curve[after - 1], curve[after]];
    return from + ((to - from) * (x[at] - x[begin])) / (x[end] - x[begin]);
  }
  function part(mark, from, to) {
    if (!mark.curve) return { ...mark, from, to };
    const inner = mark.curve.filter(([at]) => at > from && at < to);
    const ends = [...new Set([from, to])].map((at) => [at, height(mark.curve, at)]);
    return { ...mark, from, to, curve: [ends[0], ...inner, ...ends.slice(1)] };
  }
  // The list without the frames `from` to `to` of those marks that are meant.
  const without = (list, from, to, isMeant) =>
    list.flatMap((mark) => {
      if (!isMeant(mark) || mark.to < from || mark.from > to) return [mark];
      return [
        ...(mark.from < from ? [part(mark, mark.from, from - 1)] : []),
        ...(mark.to > to ? [part(mark, to + 1, mark.to)] : []),
      ];
    });
  // A mark takes the place of what was marked there; equal neighbours become one.
  function added(list, mark) {
    const touches = (other) => isOf(mark, other) && other.label === mark.label && other.present === mark.present
      && !mark.curve && other.to >= mark.from - 1 && other.from <= mark.to + 1;
    const joined = list.filter(touches);
    const from = Math.min(mark.from, ...joined.map((other) => other.from));
    const to = Math.max(mark.to, ...joined.map((other) => other.to));
    const others = without(list.filter((other) => !touches(other)), from, to, (other) => isOf(mark, other));
    return [...others, { ...mark, from, to }];
  }

  function change(list, told) {
    past.push(marks);
    future.length = 0;
    marks = list;
    changed(told);
  }
  function step(from, to, told) {
    if (!from.length) return;
    to.push(marks);
    marks = from.pop();
    changed(told);
  }
  const undo = () => step(past, future, "Undone.");
  const redo = () => step(future, past, "Done again.");
  function changed(told) {
    tell(keep() ? told : `${told} This browser does not keep marks: save them before you leave the page.`);
    show();
  }
  const tell = (words) => { status.textContent = words; };

  // --- the file ---

  const rounded = (seconds) => Math.round(seconds * 1e6) / 1e6;
  const beginOf = (at) => rounded(x[at]);
  const endOf = (at) => (!timed ? numbers[at] + 1 : rounded(at < last ? x[at + 1] : x[last] + 1 / (fps || 25)));
  const file = () => ({
    format: marking.format, version: marking.version, annotator: annotator.value.trim(), saved: new Date().toISOString(),
    run: marking.run, settings_hash: marking.settings_hash, video: marking.video, axis: timed ? "seconds" : "frames",
    marks: marks.map(({ person, from, to, what, label, present, curve }) => ({
      person, begin: beginOf(from), end: endOf(to), what, label, present,
      curve: curve?.map(([at, height]) => [beginOf(at), Math.round(height * 1e4) / 1e4]),
    })),
  });
  // One mark a line, for those who open the file.
  const text = () => {
    const { marks: list, ...head } = file();
    const lines = list.map((mark) => `  ${JSON.stringify(mark)}`).join(",\n");
    return `${JSON.stringify(head).slice(0, -1)},"marks":[\n${lines}\n]}\n`;
  };
  // The frame that begins nearest; one after the last for the end.
  function nearest(place) {
    let [low, high] = [0, last + 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (x[middle] < place) low = middle + 1;
      else high = middle;
    }
    const begins = (at) => (at > last ? endOf(last) : x[at]);
    return low > 0 && place - begins(low - 1) <= begins(low) - place ? low - 1 : low;
  }
  function read(content) {
    const found = JSON.parse(content);
    if (found.format !== marking.format || found.version !== marking.version) throw new Error("no marks of this program");
    if (found.video !== marking.video) throw new Error(`marks of another video, ${found.video}`);
    if (found.axis !== (timed ? "seconds" : "frames")) throw new Error("marks of another axis");
    return found.marks.map(({ person, begin, end, what, label, present, curve }) => {
      const mark = { person, from: nearest(begin), to: nearest(end) - 1, what, label, present,
        curve: curve?.map(([place, height]) => [Math.min(nearest(place), last), height]) };
      if (!(mark.from >= 0 && mark.to >= mark.from && mark.to <= last)) throw new Error("a mark outside of the video");
      return mark;
    });
  }
  // The browser may refuse to keep anything, or be full.
  function keep() {
    try {
      localStorage.setItem(marking.key, JSON.stringify(file()));
      return true;
    } catch {
      return false;
    }
  }
  function kept(key) {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  }
  function restore() {
    const before = kept(marking.key);
    try {
      marks = before ? read(before) : [];
      if (marks.length && JSON.parse(before).settings_hash !== marking.settings_hash) {
        tell("The run predicts otherwise than when these marks were made: check what is marked as predicted.");
      }
    } catch (error) {
      tell(`The marks that this browser kept cannot be read: ${error.message}.`);
    }
  }
  function save() {
    if (!annotator.value.trim()) {
      annotator.focus();
      tell("Write your name first: it tells annotators apart.");
      return;
    }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text()], { type: "application/json" }));
    link.download = `${marking.slug}.${annotator.value.trim().replace(/[^\p{L}\p{N}_-]+/gu, "-")}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    tell(`Saved as ${link.download}.`);
  }
  async function open(chosen) {
    try {
      const content = await chosen.text();
      const list = read(content);
      annotator.value = JSON.parse(content).annotator;
      change(list, `${chosen.name}: ${list.length} marks.`);
    } catch (error) {
      tell(`${chosen.name} cannot be opened: ${error.message}.`);
    }
  }

  // --- what is marked ---

  const group = (name, options) => {
    const element = document.createElement("optgroup");
    element.label = name;
    element.append(...options.map(([text, code]) => new Option(text, JSON.stringify(code))));
    return element;
  };
  const unit = (present) => (number) =>
    [`AU${number} ${present ? "active" : "not active"}`, { what: "action_unit", label: `AU${number}`, present }];
  what.append(
    group("Expression", expressions.map((label) => [label, { what: "expression", label }])),
    group("Action unit", units.map(unit(true))),
    group("No action unit", units.map(unit(false))),
    group("Curve", [["Valence", { what: "valence" }], ["Arousal", { what: "arousal" }]]),
    group("All", [["As predicted, where nothing else is marked", { what: "as_predicted" }], ["Nothing: erase", { what: "nothing" }]]),
  );
  const chosenKind = () => JSON.parse(what.value);
  const isCurve = () => CURVES.includes(chosenKind().what);
  const level = () => Math.min(Math.max(Number(value.value) || 0, -1), 1);
  const kindName = ({ what, label, present }) => {
    if (what === "action_unit") return `${label} ${present ? "active" : "not active"}`;
    return { expression: label, valence: "Valence", arousal: "Arousal", as_predicted: "As predicted" }[what];
  };
  const span = (from, to) => (from === to ? when(from) : `${when(from)} to ${when(to)}`);

  // Marks frames as what is chosen; `curve` has the heights of a curve.
  function mark(one, other, curve) {
    const person = personOf(timeline.track);
    if (person === null || person === undefined) {
      tell("Choose the subject or a person to mark.");
      return;
    }
    const [from, to] = [Math.min(one, other), Math.max(one, other)];
    const kind = chosenKind();
    if (kind.what === "nothing") {
      change(without(marks, from, to, (mark) => mark.person === person), `Erased: ${span(from, to)}.`);
      return;
    }
    const next = { person, from, to, ...kind, ...(curve ? { curve } : {}) };
    const list = added(marks, next);
    const told = `${kindName(next)}: ${span(from, to)}.`;
    change(list, isHalf(list, next) ? `${told} A label needs valence and arousal: mark the other, too, or take it as predicted.` : told);
  }
  function isHalf(list, { person, what, from, to }) {
    if (!CURVES.includes(what)) return false;
    const completes = (mark) => mark.person === person && mark.what !== what && [...CURVES, "as_predicted"].includes(mark.what);
    const left = list.filter(completes).reduce((frames, mark) => frames.filter((at) => at < mark.from || at > mark.to),
      Array.from({ length: to - from + 1 }, (_, nth) => from + nth));
    return left.length > 0;
  }

  // --- keyboard ---

  function beginOrEnd() {
    const here = [timeline.chosen, level()];
    if (begun === null) {
      begun = here;
      tell(`${chosenName()} begins at ${when(here[0])}: go on to its last frame and press M; Escape drops it.`);
      show();
      return;
    }
    const ends = begun[0] <= here[0] ? [begun, here] : [here, begun];
    begun = null;
    mark(ends[0][0], ends[1][0], isCurve() ? (ends[0][0] === ends[1][0] ? [here] : ends) : undefined);
    show();
  }
  const chosenName = () => what.selectedOptions[0].textContent;
  function drop() {
    if (begun === null && drawn === null) return false;
    begun = drawn = null;
    tell("Dropped.");
    show();
    return true;
  }
  function remove(list) {
    if (list.length) change(marks.filter((mark) => !list.includes(mark)), `Removed: ${list.map(kindName).join(", ")}.`);
  }
  // What was begun reaches to the chosen frame, which the timeline's own keys, the mouse and the overlay move.
  const grow = () => { if (begun !== null) show(); };
  stack.addEventListener("click", grow);
  byId("overlay")?.addEventListener("timeupdate", grow);
  const here = () => marks.filter((mark) =>
    mark.person === personOf(timeline.track) && mark.from <= timeline.chosen && mark.to >= timeline.chosen);
  const raise = (by) => {
    value.value = Math.min(Math.max(Math.round((level() + by) * 100) / 100, -1), 1);
    tell(`${chosenName()} ${value.value}.`);
  };
  const keys = {
    m: beginOrEnd, M: beginOrEnd, Delete: () => remove(here()), Backspace: () => remove(here()), Escape: drop,
    ArrowUp: () => (isCurve() ? raise(0.05) : false), ArrowDown: () => (isCurve() ? raise(-0.05) : false),
  };
  stack.addEventListener("keydown", (event) => {
    const act = !(event.ctrlKey || event.metaKey || event.altKey) && keys[event.key];
    if (act && act() !== false) event.preventDefault();
    grow();
  });
  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey || event.target.matches("input")) return;
    const key = event.key.toLowerCase();
    const act = key === "y" || (key === "z" && event.shiftKey) ? redo : key === "z" ? undo : null;
    if (!act) return;
    event.preventDefault();
    act();
  });

  // --- mouse, pen, finger ---

  const isDrawing = () => byId("mark-draw").getAttribute("aria-pressed") === "true";
  const FEWEST_PIXELS = 4;
  function placeAt(chart, event) {
    const box = chart.over.getBoundingClientRect();
    const left = Math.min(Math.max(event.clientX - box.left, 0), box.width);
    const place = chart.posToVal(left, "x");
    let [low, high] = [0, last];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (x[middle] <= place) low = middle;
      else high = middle - 1;
    }
    const top = Math.min(Math.max(chart.posToVal(event.clientY - box.top, "y"), -1), 1);
    return { at: low, height: chart === charts.affect ? Math.round(top * 100) / 100 : level() };
  }
  // Heights between two events of the mouse are on a straight line.
  function draw({ at, height }) {
    const before = drawn.at;
    const rise = at === before ? 0 : (height - drawn.height) / (x[at] - x[before]);
    for (let place = before; place !== at; place += Math.sign(at - before)) {
      if (place !== before) drawn.heights.set(place, drawn.height + rise * (x[place] - x[before]));
    }
    drawn.heights.set(at, height);
    Object.assign(drawn, { at, height });
  }
  // The fewest points whose straight lines are near all heights (Douglas and Peucker, 1973).
  const NEAR = 0.005;
  function simplified(points) {
    const isKept = new Uint8Array(points.length);
    isKept[0] = isKept[points.length - 1] = 1;
    const stretches = [[0, points.length - 1]];
    while (stretches.length) {
      const [first, end] = stretches.pop();
      let [farthest, distance] = [-1, NEAR];
      for (let nth = first + 1; nth < end; nth++) {
        const off = Math.abs(points[nth][1] - height([points[first], points[end]], points[nth][0]));
        if (off > distance) [farthest, distance] = [nth, off];
      }
      if (farthest < 0) continue;
      isKept[farthest] = 1;
      stretches.push([first, farthest], [farthest, end]);
    }
    return points.filter((_, nth) => isKept[nth]);
  }
  const chartOf = (target) => Object.values(charts).find((chart) => chart.over.contains(target));
  // Before the charts see it: where marks are drawn, dragging does not zoom.
  stack.addEventListener("pointerdown", (event) => {
    const chart = isDrawing() && event.button === 0 && chartOf(event.target);
    if (!chart) return;
    const begin = placeAt(chart, event);
    drawn = { chart, from: begin.at, ...begin, heights: new Map([[begin.at, begin.height]]), pressed: event.clientX, moved: false };
    stack.setPointerCapture(event.pointerId);
  }, true);
  stack.addEventListener("pointermove", (event) => {
    if (!drawn) return;
    drawn.moved ||= Math.abs(event.clientX - drawn.pressed) >= FEWEST_PIXELS;
    if (!drawn.moved) return;
    draw(placeAt(drawn.chart, event));
    show();
  }, true);
  stack.addEventListener("pointerup", () => {
    if (!drawn) return;
    const { from, at, heights, moved } = drawn;
    drawn = null;
    if (!moved) {
      timeline.goTo(at);
      return;
    }
    const [first, end] = [Math.min(from, at), Math.max(from, at)];
    const points = [...heights].filter(([place]) => place >= first && place <= end).sort(([a], [b]) => a - b);
    mark(first, end, isCurve() ? simplified(points) : undefined);
  }, true);
  stack.addEventListener("pointercancel", () => { drop(); }, true);
  for (const type of ["mousedown", "click"]) {
    stack.addEventListener(type, (event) => {
      if (!isDrawing() || !chartOf(event.target) && event.target !== stack) return;
      event.stopPropagation();
      event.preventDefault();
      stack.focus({ preventScroll: true });
    }, true);
  }

  // --- pictures ---

  // Left and right of frames on a chart, in pixels of its canvas; null if they are not on it.
  function sides(u, from, to) {
    const { left, width } = u.bbox;
    const end = to < last ? x[to + 1] : timed ? x[last] + (x[last] - x[0]) / Math.max(last, 1) : x[last] + 1;
    const [begin, stop] = [u.valToPos(x[from], "x", true), u.valToPos(end, "x", true)];
    const [first, after] = [Math.max(begin, left), Math.min(Math.max(stop, begin + 2 * devicePixelRatio), left + width)];
    return first < after ? [first, after - first] : null;
  }
  const shown = () => marks.filter((mark) => mark.person === personOf(timeline.track));
  function box(u, [left, width], top, height, fill) {
    const { ctx } = u;
    const line = 1.5 * devicePixelRatio;
    ctx.setLineDash([]);
    ctx.fillStyle = fill;
    ctx.fillRect(left, top, width, height);
    ctx.strokeStyle = colour("--ink");
    ctx.lineWidth = line;
    ctx.strokeRect(left + line / 2, top + line / 2, Math.max(width - line, 0), height - line);
  }
  function drawRows(u) {
    let top = u.bbox.top;
    for (const row of timeline.rows) {
      const height = row.height * devicePixelRatio;
      for (const mark of shown()) {
        const place = mark.label && row.what === (mark.what === "expression" ? "expression" : mark.label) && sides(u, mark.from, mark.to);
        if (!place) continue;
        const fill = mark.what === "expression" ? colour(`--e${expressions.indexOf(mark.label)}`)
          : colour(mark.present ? "--accent" : "--surface");
        box(u, place, top, Math.round(height * 0.6), fill);
      }
      top += (row.height + row.gap) * devicePixelRatio;
    }
  }
  function drawCurves(u) {
    const { ctx } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    ctx.clip();
    ctx.setLineDash([]);
    const line = (points, name) => {
      for (const [shade, width] of [["--surface", 6], [name, 3.5]]) {
        ctx.strokeStyle = ctx.fillStyle = colour(shade);
        ctx.lineWidth = width * devicePixelRatio;
        ctx.beginPath();
        points.forEach(([at, height]) => ctx.lineTo(u.valToPos(x[at], "x", true), u.valToPos(height, "y", true)));
        ctx.stroke();
        points.forEach(([at, height]) => {
          const size = width * devicePixelRatio;
          ctx.fillRect(u.valToPos(x[at], "x", true) - size / 2, u.valToPos(height, "y", true) - size / 2, size, size);
        });
      }
    };
    for (const mark of shown()) {
      if (mark.curve) line(mark.curve, `--${mark.what}`);
      const place = mark.what === "as_predicted" && sides(u, mark.from, mark.to);
      if (place) box(u, place, u.bbox.top, 7 * devicePixelRatio, colour("--accent"));
    }
    if (drawn?.moved && isCurve()) line([...drawn.heights].sort(([a], [b]) => a - b), `--${chosenKind().what}`);
    ctx.restore();
  }
  // The stretch that is being marked.
  function drawBegun(u) {
    const range = drawn?.moved ? [drawn.from, drawn.at] : begun && [begun[0], timeline.chosen];
    const place = range && sides(u, Math.min(...range), Math.max(...range));
    if (!place) return;
    u.ctx.save();
    u.ctx.globalAlpha = 0.25;
    u.ctx.fillStyle = colour("--accent");
    u.ctx.fillRect(place[0], u.bbox.top, place[1], u.bbox.height);
    u.ctx.restore();
  }
  charts.affect.hooks.draw.push(drawCurves, drawBegun);
  charts.rows.hooks.draw.push(drawRows, drawBegun);
  charts.sure.hooks.draw.push(drawBegun);

  function showList() {
    const list = byId("mark-list");
    if (!byId("mark-details").open) return;
    const button = (words, name, act) => {
      const element = document.createElement("button");
      element.type = "button";
      element.textContent = words;
      if (name) element.setAttribute("aria-label", name);
      element.addEventListener("click", act);
      return element;
    };
    const inOrder = [...marks].sort((one, other) => one.from - other.from);
    list.replaceChildren(...inOrder.map((mark) => {
      const item = document.createElement("li");
      const who = mark.person === "subject" ? "Subject" : `Person ${mark.person}`;
      const words = `${kindName(mark)}, ${span(mark.from, mark.to)}, ${who}`;
      item.append(
        button(words, "", () => {
          const at = video.tracks.findIndex((track) => personOf(track) === mark.person);
          if (at >= 0 && video.tracks[at] !== timeline.track) timeline.choose(at);
          timeline.goTo(mark.from);
        }),
        button("Remove", `Remove ${words}`, () => remove([mark])),
      );
      return item;
    }));
  }
  function show() {
    byId("mark-count").textContent = marks.length === 1 ? "1 mark" : `${marks.length || "No"} marks`;
    byId("mark-undo").disabled = !past.length;
    byId("mark-redo").disabled = !future.length;
    byId("mark-here").textContent = begun === null ? "Begin" : "End";
    byId("mark-level").hidden = !isCurve();
    showList();
    Object.values(charts).forEach((chart) => chart.redraw(false));
  }

  // --- controls ---

  const onClick = (id, act) => byId(id).addEventListener("click", act);
  onClick("mark-draw", () => {
    byId("mark-draw").setAttribute("aria-pressed", String(!isDrawing()));
    stack.classList.toggle("marking", isDrawing());
    tell(isDrawing() ? "Drag over the charts to mark; on the first chart, to draw valence or arousal." : "Dragging zooms again.");
  });
  onClick("mark-here", beginOrEnd);
  onClick("mark-undo", undo);
  onClick("mark-redo", redo);
  onClick("mark-save", save);
  onClick("mark-open", () => byId("mark-file").click());
  byId("mark-file").addEventListener("change", ({ target }) => {
    if (target.files.length) open(target.files[0]).finally(() => { target.value = ""; });
  });
  byId("mark-details").addEventListener("toggle", showList);
  what.addEventListener("change", show);
  byId("person").addEventListener("change", () => { drop(); show(); });
  annotator.value = kept(ANNOTATOR_KEY) || "";
  annotator.addEventListener("change", () => {
    keep();
    try {
      localStorage.setItem(ANNOTATOR_KEY, annotator.value.trim());
    } catch {
      // The name is asked for again on the next page.
    }
  });
  // The same page in another window.
  addEventListener("storage", (event) => {
    if (event.key !== marking.key) return;
    restore();
    past.length = future.length = 0;
    show();
  });
  restore();
  show();
};
