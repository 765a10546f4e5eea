"use strict";
// What the chosen person shows at one moment, in numbers and small pictures.
abaw.reading = (video, place) => {
  const { expressions, units } = video;
  const TRAIL = 24;
  const html = (name, className, ...children) => {
    const element = document.createElement(name);
    element.className = className;
    element.append(...children);
    return element;
  };
  const signed = (value) => (value === null ? "-" : (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2));
  const percent = (value) => (value === null ? "-" : `${Math.round(value * 100)} %`);

  // The plane of valence and arousal, the last frames as a trail.
  const [trail, label, dot] = [".trail-line", ".label-dot", ".dot"].map((part) => place.querySelector(part));
  const valence = html("dd", "");
  const arousal = html("dd", "");
  const score = html("dd", "");
  const frame = html("dd", "");
  const pairs = [["Frame", frame], ["Valence", valence], ["Arousal", arousal], ["Face", score]];
  const facts = html("dl", "now", ...pairs.flatMap(([name, value]) => [html("dt", "", name), value]));

  const bar = (name, className) => {
    const fill = html("i", className);
    const number = html("span", "number");
    const row = html("li", "", html("span", "label", name), html("span", "bar", fill), number);
    return { row, fill, number };
  };
  const bars = video.names.map((name, at) => bar(name, `e${at}`));
  const chips = units.map((number) => bar(`AU${number}`, ""));
  place.querySelector(".reading-top").append(facts);
  place.append(
    html("ul", "bars small", ...bars.map((one) => one.row)),
    html("ul", "bars small units", ...chips.map((one) => one.row)),
  );

  function dotAt(circle, x, y) {
    circle.style.display = x === null || y === null ? "none" : "";
    if (x !== null && y !== null) {
      circle.setAttribute("cx", x);
      circle.setAttribute("cy", -y);
    }
  }

  return {
    signed,
    percent,
    show(track, at) {
      const labels = track.labels;
      frame.textContent = video.numbers[at];
      valence.textContent = signed(track.valence(at));
      arousal.textContent = signed(track.arousal(at));
      score.textContent = !track.has(at) ? "not there" : track.seen(at) ? percent(track.score(at)) : "not seen";
      if (track.seen(at) && track.score(at) === null) score.textContent = "seen";
      dotAt(dot, track.valence(at), track.arousal(at));
      dotAt(label, labels ? labels.valence(at) : null, labels ? labels.arousal(at) : null);
      const points = [];
      for (let back = Math.max(0, at - TRAIL); back <= at; back++) {
        if (track.valence(back) !== null) points.push(`${track.valence(back)},${-track.arousal(back)}`);
      }
      trail.setAttribute("points", points.join(" "));
      bars.forEach((one, expression) => {
        const likely = track.likelihood(at, expression);
        one.fill.style.width = `${(likely ?? 0) * 100}%`;
        one.number.textContent = percent(likely);
        one.row.classList.toggle("chosen", track.expression(at) === expression);
        one.row.classList.toggle("labelled", labels !== null && labels.expression(at) === expression);
      });
      chips.forEach((one, unit) => {
        const probable = track.probability(at, unit);
        one.fill.style.width = `${(probable ?? 0) * 100}%`;
        one.number.textContent = percent(probable);
        one.row.classList.toggle("chosen", track.unit(at, unit) === true);
        one.row.classList.toggle("labelled", labels !== null && labels.unit(at, unit) === true);
      });
    },
    words(track, at) {
      const found = track.expression(at);
      if (found === null) return track.seen(at) ? "not usable" : "nobody";
      return `${expressions[found]} ${percent(track.likelihood(at, found))}, valence ${signed(track.valence(at))}, ` +
        `arousal ${signed(track.arousal(at))}`;
    },
  };
};
