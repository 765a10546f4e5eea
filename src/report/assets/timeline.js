"use strict";
// A video's page: three charts over one axis, the moment that is chosen, the overlay video beside it.
abaw.show = (video) => {
  const { numbers, x, step, timed, moments, tracks } = video;
  const last = x.length - 1;
  const byId = (id) => document.getElementById(id);
  const stack = byId("timeline");
  const overlay = byId("overlay");

  let colours = new Map();
  const colour = (name) => {
    if (!colours.has(name)) colours.set(name, getComputedStyle(stack).getPropertyValue(name).trim());
    return colours.get(name);
  };
  const bands = abaw.bands(video, colour);
  const reading = abaw.reading(video, byId("reading"));

  let track = tracks[0];
  let chosen = 0; // place of the frame that is gone to
  let hovered = null; // place under the mouse
  let view = { min: x[0], max: x[last] }; // what the charts show, or will once they are drawn again

  const clock = (seconds, digits) => {
    const sign = seconds < -1e-9 ? "−" : "";
    const size = Math.abs(seconds) + 0.5 / 10 ** digits;
    const minutes = Math.floor(size / 60);
    const rest = (Math.floor((size % 60) * 10 ** digits) / 10 ** digits).toFixed(digits);
    const padded = rest.padStart(digits ? digits + 3 : 2, "0");
    const hours = Math.floor(minutes / 60);
    return hours ? `${sign}${hours}:${String(minutes % 60).padStart(2, "0")}:${padded}` : `${sign}${minutes}:${padded}`;
  };
  const when = (at) => (timed ? clock(x[at], 2) : `frame ${numbers[at]}`);

  // The frame that is shown at a place of the axis.
  function placeAt(value) {
    let [low, high] = [0, last];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (x[middle] <= value) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  // --- charts ---

  // Labels come every few frames: between near ones the line goes on (undefined), elsewhere it breaks (null).
  function spanned(valueOf) {
    const near = timed ? 1 : 30;
    const values = x.map((_, at) => valueOf(at));
    let before = -1;
    values.forEach((value, at) => {
      if (value === null) return;
      if (before >= 0 && x[at] - x[before] <= near) values.fill(undefined, before + 1, at);
      before = at;
    });
    return values;
  }
  function curves() {
    const over = (valueOf) => x.map((_, at) => valueOf(at));
    const labels = track.labels;
    return {
      affect: [x, over((at) => track.valence(at)), over((at) => track.arousal(at)),
        labels ? spanned((at) => labels.valence(at)) : over(() => null),
        labels ? spanned((at) => labels.arousal(at)) : over(() => null)],
      rows: [x, over(() => null)],
      // The detector skips frames: its line goes on over those, and breaks where the face is gone.
      sure: [x, over((at) => (track.seen(at) ? track.score(at) ?? undefined : null)),
        over((at) => track.likelihood(at, track.expression(at)))],
    };
  }

  const narrow = () => stack.clientWidth < 560;
  const gutter = () => (narrow() ? 46 : 78);
  const line = (name, more) => ({
    stroke: () => colour(name), width: 1.5, points: { size: 4, fill: () => colour(name) }, ...more,
  });
  const INCREMENTS = [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18000];
  const axisX = (show) => ({
    show, stroke: () => colour("--soft"), font: "11px system-ui, sans-serif", size: show ? 30 : 0, space: 52,
    grid: { stroke: () => colour("--grid"), width: 1 }, ticks: { stroke: () => colour("--grid"), width: 1, size: 5 },
    ...(timed ? {
      incrs: INCREMENTS,
      values: (u, splits, axis, space, increment) =>
        splits.map((value) => clock(value, increment < 0.1 ? 2 : increment < 1 ? 1 : 0)),
    } : {}),
  });
  const axisY = (splits) => ({
    stroke: () => colour("--soft"), font: "11px system-ui, sans-serif", size: gutter, gap: 8,
    splits: () => splits, ticks: { show: false }, grid: { stroke: () => colour("--grid"), width: 1 },
    values: (u, values) => values.map((value) => String(value).replace("-", "−")),
  });

  let rowList = bands.rows(track, narrow());
  const markers = (u) => {
    const { ctx } = u;
    const size = 5 * devicePixelRatio;
    ctx.fillStyle = colour("--ink");
    for (const moment of moments) {
      if (tracks[moment.track] !== track) continue;
      const place = u.valToPos(x[moment.at], "x", true);
      if (place < u.bbox.left || place > u.bbox.left + u.bbox.width) continue;
      ctx.beginPath();
      ctx.moveTo(place - size, u.bbox.top - size - 1);
      ctx.lineTo(place + size, u.bbox.top - size - 1);
      ctx.lineTo(place, u.bbox.top);
      ctx.fill();
    }
  };
  const shade = (u) => bands.gaps(u, bands.columns(u), track);
  const options = (height, range, axes, series, hooks) => ({
    width: Math.max(stack.clientWidth, 200), height, padding: [10, 12, 4, 0],
    legend: { show: false }, scales: { x: { time: false }, y: { range } }, axes, series,
    cursor: {
      y: false, sync: { key: "abaw", setSeries: false }, drag: { x: true, y: false, setScale: false, dist: 6 },
      points: { size: 7 }, bind: { dblclick: () => () => { zoomTo(x[0], end()); return null; } },
    },
    hooks: {
      ...hooks,
      setCursor: [(u) => hover(u.cursor.left >= 0 ? placeAt(u.posToVal(u.cursor.left, "x")) : null)],
      setSelect: [(u) => {
        if (u.select.width < 6) return;
        const [from, to] = [u.select.left, u.select.left + u.select.width].map((left) => u.posToVal(left, "x"));
        u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        zoomTo(from, to);
      }],
    },
  });
  const end = () => x[last] + (last > 0 ? 0 : step);
  const heights = () => ({
    affect: narrow() ? 170 : 200, rows: bands.heightOf(rowList) + 14, sure: 110,
  });

  const head = stack.appendChild(document.createElement("div"));
  head.className = "playhead";
  const data = curves();
  const charts = {
    affect: new uPlot(options(heights().affect, [-1.04, 1.04], [axisX(false), axisY([-1, -0.5, 0, 0.5, 1])], [
      {}, line("--valence"), line("--arousal"),
      line("--valence", { dash: [3, 3], width: 2 }), line("--arousal", { dash: [3, 3], width: 2 }),
    ], { drawClear: [shade], draw: [bands.cutLines, markers, placeHead] }), data.affect, stack),
    rows: new uPlot(options(heights().rows, [0, 1], [axisX(false), { ...axisY([]), grid: { show: false } }], [
      {}, { paths: () => null, points: { show: false } },
    ], { draw: [(u) => bands.draw(u, rowList), bands.cutLines] }), data.rows, stack),
    sure: new uPlot(options(heights().sure, [0, 1.04], [axisX(true), axisY([0, 0.5, 1])], [
      {}, line("--ink", { width: 1 }), line("--sure", { width: 1 }),
    ], { drawClear: [shade], draw: [bands.cutLines] }), data.sure, stack),
  };
  const all = Object.values(charts);

  function zoomTo(from, to) {
    const least = Math.min(10 * step, end() - x[0] || step);
    const width = Math.min(Math.max(to - from, least), end() - x[0] || step);
    const min = Math.max(x[0], Math.min(from, end() - width));
    view = { min, max: min + width };
    all.forEach((chart) => chart.setScale("x", { ...view }));
  }
  function zoomBy(factor, around) {
    const { min, max } = view;
    zoomTo(around - (around - min) * factor, around + (max - around) * factor);
  }

  // --- the chosen moment ---

  function placeHead() {
    const { affect } = charts;
    if (affect.scales.x.min === null) return; // not drawn yet
    const left = affect.valToPos(x[chosen], "x");
    const width = affect.bbox.width / devicePixelRatio;
    head.hidden = !(left >= -1 && left <= width + 1);
    head.style.left = `${affect.bbox.left / devicePixelRatio + left}px`;
  }
  function read() {
    const at = hovered ?? chosen;
    byId("when").textContent = when(at);
    reading.show(track, at);
  }
  function hover(at) {
    if (at === hovered) return;
    hovered = at;
    read();
  }
  // Goes to a frame; `from` is who asks, so that the overlay is not moved by itself.
  function goTo(at, from) {
    chosen = Math.min(Math.max(at, 0), last);
    const { min, max } = view;
    if (x[chosen] < min || x[chosen] > max) {
      zoomTo(x[chosen] - (max - min) / 2, x[chosen] + (max - min) / 2);
    }
    placeHead();
    read();
    if (from !== overlay || overlay.paused) {
      stack.setAttribute("aria-valuenow", chosen + 1);
      stack.setAttribute("aria-valuetext", `${when(chosen)}, frame ${numbers[chosen]}: ${reading.words(track, chosen)}`);
    }
    for (const button of byId("moments").children) {
      button.toggleAttribute("aria-current", moments[button.dataset.moment].at === chosen);
    }
    if (overlay && from !== overlay) overlay.currentTime = secondsOf(chosen);
  }
  // Within a frame's time, so that rounding does not show the one before.
  const secondsOf = (at) => (timed ? x[at] - x[0] + 0.4 * step : (at + 0.4) / (video.fps || 25));
  const placeOfSeconds = (seconds) => (timed ? placeAt(x[0] + seconds + 1e-6) : Math.floor(seconds * (video.fps || 25)));

  for (const chart of all) {
    let pressed = 0;
    chart.over.addEventListener("mousedown", (event) => { pressed = event.clientX; });
    chart.over.addEventListener("click", (event) => {
      if (Math.abs(event.clientX - pressed) > 5) return;
      const left = event.clientX - chart.over.getBoundingClientRect().left;
      hovered = null;
      goTo(placeAt(chart.posToVal(left, "x")));
    });
    chart.over.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.shiftKey) return;
      event.preventDefault();
      const left = event.clientX - chart.over.getBoundingClientRect().left;
      zoomBy((event.deltaY || event.deltaX) > 0 ? 1.25 : 0.8, chart.posToVal(left, "x"));
    }, { passive: false });
  }

  const second = () => Math.max(1, Math.round(timed ? 1 / step : 25));
  const nextMoment = (sign) => {
    const ahead = moments.filter((moment) => tracks[moment.track] === track && sign * (moment.at - chosen) > 0);
    const nearest = sign > 0 ? ahead[0] : ahead[ahead.length - 1];
    if (nearest) goTo(nearest.at);
  };
  const keys = {
    ArrowLeft: (event) => goTo(chosen - (event.shiftKey ? second() : 1)),
    ArrowRight: (event) => goTo(chosen + (event.shiftKey ? second() : 1)),
    PageUp: () => goTo(chosen - 10 * second()),
    PageDown: () => goTo(chosen + 10 * second()),
    Home: () => goTo(0),
    End: () => goTo(last),
    "[": () => nextMoment(-1),
    "]": () => nextMoment(1),
    "+": () => zoomBy(0.5, x[chosen]),
    "=": () => zoomBy(0.5, x[chosen]),
    "-": () => zoomBy(2, x[chosen]),
    0: () => zoomTo(x[0], end()),
    " ": () => overlay && (overlay.paused ? overlay.play() : overlay.pause()),
  };
  stack.addEventListener("keydown", (event) => {
    const act = keys[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    hovered = null;
    act(event);
  });
  byId("in").addEventListener("click", () => zoomBy(0.5, x[chosen]));
  byId("out").addEventListener("click", () => zoomBy(2, x[chosen]));
  byId("all").addEventListener("click", () => zoomTo(x[0], end()));

  // --- the plot as a file ---

  const title = () => `${document.querySelector("h1").textContent} · ${track.name} · ${clockOf(view.min)} to ${clockOf(view.max)}`;
  const clockOf = (value) => (timed ? clock(value, 1) : `frame ${numbers[placeAt(value)]}`);
  const fileName = () => `${document.querySelector("h1").textContent} ${track.name}`.replace(/[^\p{L}\p{N}._-]+/gu, "_");
  byId("png").addEventListener("click", () => abaw.plotFile(charts, bands, colour).savePng(title(), fileName()));
  byId("svg").addEventListener("click", () => abaw.plotFile(charts, bands, colour).saveSvg(title(), fileName(), rowList, track));

  // --- overlay ---

  if (overlay && video.overlay) {
    overlay.src = video.overlay;
    const follow = () => goTo(placeOfSeconds(overlay.currentTime), overlay);
    const playing = () => {
      follow();
      if (!overlay.paused) requestAnimationFrame(playing);
    };
    overlay.addEventListener("play", playing);
    overlay.addEventListener("seeked", follow);
  }

  // --- persons, moments, legend ---

  const person = byId("person");
  tracks.forEach((one, at) => {
    let seen = 0;
    for (let frame = one.from; frame < one.from + one.count; frame++) seen += one.seen(frame) ? 1 : 0;
    person.append(new Option(`${one.name} (${seen.toLocaleString("en")} frames)`, at));
  });
  person.addEventListener("change", () => choose(Number(person.value)));
  function choose(at) {
    track = tracks[at];
    person.value = at;
    rowList = bands.rows(track, narrow());
    const next = curves();
    for (const [name, chart] of Object.entries(charts)) chart.setData(next[name], false);
    resize();
    all.forEach((chart) => chart.redraw());
    showMoments();
    showLegend();
    goTo(chosen);
  }

  function showMoments() {
    const place = byId("moments");
    place.replaceChildren();
    moments.forEach((moment, at) => {
      if (tracks[moment.track] !== track) return;
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.moment = at;
      const picture = new Image(96, 96);
      picture.src = moment.picture;
      picture.alt = "";
      picture.loading = "lazy";
      const what = document.createElement("b");
      what.textContent = moment.what;
      const time = document.createElement("span");
      time.textContent = when(moment.at);
      button.append(picture, what, time);
      button.addEventListener("click", () => goTo(moment.at));
      place.append(button);
    });
    if (!place.children.length) place.textContent = "No pictures of this person.";
  }

  function showLegend() {
    const entry = (className, text) => {
      const item = document.createElement("li");
      const mark = document.createElement("i");
      mark.className = className;
      item.append(mark, text);
      return item;
    };
    byId("legend").replaceChildren(
      entry("line valence", "Valence"), entry("line arousal", "Arousal"),
      ...(track.labels ? [entry("line dashed", "Label"), entry("block label", "AU in labels")] : []),
      entry("block active", "AU active"), entry("block probable", "AU probability"),
      entry("line face", "Face score"), entry("line sure", "Expression probability"),
      entry("block hatch", "Face not seen, filled"), ...(video.cuts.length ? [entry("line cut", "Cut")] : []),
      ...(moments.length ? [entry("triangle", "Picture")] : []),
      ...video.names.map((name, at) => entry(`block e${at}`, name)),
    );
  }

  function resize() {
    const width = Math.max(stack.clientWidth, 200);
    rowList = bands.rows(track, narrow());
    const tall = heights();
    for (const [name, chart] of Object.entries(charts)) {
      if (chart.width !== width || chart.height !== tall[name]) chart.setSize({ width, height: tall[name] });
    }
    placeHead();
  }
  new ResizeObserver(resize).observe(stack);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    colours = new Map();
    all.forEach((chart) => chart.redraw());
  });

  stack.setAttribute("aria-valuemin", 1);
  stack.setAttribute("aria-valuemax", last + 1);
  zoomTo(x[0], end());
  showMoments();
  showLegend();
  goTo(0);
  requestAnimationFrame(() => performance.mark("drawn"));
  return { charts, goTo, zoomTo, choose, when, get rows() { return rowList; }, get chosen() { return chosen; }, get track() { return track; } };
};
