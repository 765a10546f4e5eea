"use strict";
// Draws what is no curve: the expression band, the rows of action units, who is there, gaps and cuts.
abaw.bands = (video, colour) => {
  const { x, step, expressions, units, cuts } = video;

  // Which frames each column of pixels shows, [from, to] inclusive, from > to where none. Every frame is
  // in a column, so that nothing is lost however many share one; a frame lasts until the next begins.
  function columns(u) {
    const width = Math.round(u.bbox.width);
    const { min, max } = u.scales.x;
    const from = new Int32Array(width);
    const to = new Int32Array(width);
    const at = (column) => min + ((max - min) * column) / width;
    let last = u.valToIdx(min);
    while (last >= 0 && x[last] > min) last--;
    for (let column = 0; column < width; column++) {
      const holding = last;
      const end = at(column + 1);
      while (last + 1 < x.length && x[last + 1] < end) last++;
      const stale = holding < 0 || at(column) - x[holding] > 2 * step;
      from[column] = last > holding ? holding + 1 : stale ? 1 : holding;
      to[column] = last > holding ? last : stale ? 0 : holding;
    }
    return { width, from, to };
  }

  // Calls `paint(start, width, value)` for runs of columns with equal values; null is left out.
  function runs({ width, from, to }, valueOf, paint) {
    let start = 0;
    let current = null;
    for (let column = 0; column <= width; column++) {
      const value = column < width && from[column] <= to[column] ? valueOf(from[column], to[column]) : null;
      if (value === current) continue;
      if (current !== null) paint(start, column - start, current);
      [start, current] = [column, value];
    }
  }

  // The most frequent class of some frames.
  function most(classOf) {
    const counts = new Int32Array(expressions.length);
    return (from, to) => {
      if (from === to) return classOf(from);
      counts.fill(0);
      let best = null;
      for (let at = from; at <= to; at++) {
        const found = classOf(at);
        if (found !== null && ++counts[found] > (best === null ? 0 : counts[best])) best = found;
      }
      return best;
    };
  }

  function expressionBand(u, view, classOf, top, height, named) {
    const { ctx } = u;
    const left = Math.round(u.bbox.left);
    const size = Math.min(height * 0.5, 11 * devicePixelRatio);
    ctx.font = `600 ${size}px system-ui, sans-serif`;
    ctx.textBaseline = "middle";
    ctx.textAlign = "left";
    runs(view, most(classOf), (start, width, found) => {
      ctx.fillStyle = colour(`--e${found}`);
      ctx.fillRect(left + start, top, width, height);
      const name = expressions[found];
      if (named && width > ctx.measureText(name).width + size) {
        ctx.fillStyle = colour(`--on-e${found}`);
        ctx.fillText(name, left + start + size / 2, top + height / 2 + 1);
      }
    });
  }

  // A probability as a column's height, the highest of its frames; darker where one of them is active.
  function unitRow(u, view, track, unit, top, height) {
    const { ctx } = u;
    const left = Math.round(u.bbox.left);
    ctx.fillStyle = colour("--row");
    ctx.fillRect(left, top, view.width, height);
    const [weak, strong] = [colour("--probable"), colour("--active")];
    for (let column = 0; column < view.width; column++) {
      let highest = 0;
      let active = false;
      for (let at = view.from[column]; at <= view.to[column]; at++) {
        highest = Math.max(highest, track.probability(at, unit) ?? 0);
        active ||= track.unit(at, unit) === true;
      }
      if (highest === 0 && !active) continue;
      const tall = Math.max(Math.round(highest * height), 1);
      ctx.fillStyle = active ? strong : weak;
      ctx.fillRect(left + column, top + height - tall, 1, tall);
    }
  }

  function unitLabels(u, view, labels, unit, top, height) {
    const { ctx } = u;
    const left = Math.round(u.bbox.left);
    const valueOf = (from, to) => {
      let found = null;
      for (let at = from; at <= to; at++) {
        const label = labels.unit(at, unit);
        if (label !== null) found = found === true || label;
      }
      return found;
    };
    runs(view, valueOf, (start, width, active) => {
      ctx.fillStyle = colour(active ? "--label" : "--faint");
      ctx.fillRect(left + start, active ? top : top + height - 1, width, active ? height : 1);
    });
  }

  // Where a person was seen; darker where the chosen track shows that person.
  function presence(u, view, person, track, top, height) {
    const { ctx } = u;
    const left = Math.round(u.bbox.left);
    const shown = (at) => person === track || (track === video.tracks[0] && person.isSubject(at));
    const seen = (from, to) => {
      let found = null;
      for (let at = from; at <= to; at++) if (person.seen(at)) found = found === "--ink" || shown(at) ? "--ink" : "--faint";
      return found;
    };
    runs(view, seen, (start, width, shade) => {
      ctx.fillStyle = colour(shade);
      ctx.fillRect(left + start, top, width, height);
    });
  }

  // Where the track's face was seen; darker where one of the looks was usable.
  function looks(u, view, track, top, height) {
    const { ctx } = u;
    const left = Math.round(u.bbox.left);
    const shadeOf = (from, to) => {
      let found = null;
      for (let at = from; at <= to; at++) if (track.seen(at)) found = found === "--ink" || track.usable(at) ? "--ink" : "--faint";
      return found;
    };
    runs(view, shadeOf, (start, width, shade) => {
      ctx.fillStyle = colour(shade);
      ctx.fillRect(left + start, top, width, height);
    });
  }

  // Where the track has numbers though no face was seen.
  function gaps(u, view, track) {
    const { ctx } = u;
    const { top, height } = u.bbox;
    const left = Math.round(u.bbox.left);
    const known = (at) => track.valence(at) !== null || track.expression(at) !== null || track.unit(at, 0) !== null;
    const hidden = (from, to) => {
      for (let at = from; at <= to; at++) if (track.has(at) && !track.seen(at) && known(at)) return true;
      return null;
    };
    ctx.save();
    runs(view, hidden, (start, width) => {
      ctx.fillStyle = colour("--gap");
      ctx.fillRect(left + start, top, width, height);
      ctx.save();
      ctx.beginPath();
      ctx.rect(left + start, top, width, height);
      ctx.clip();
      ctx.strokeStyle = colour("--hatch");
      ctx.lineWidth = devicePixelRatio;
      ctx.beginPath();
      const apart = 7 * devicePixelRatio;
      // From a place that does not move with the run, so that hatches of neighbours meet.
      for (let at = Math.floor((start - height) / apart) * apart; at < start + width; at += apart) {
        ctx.moveTo(left + at, top + height);
        ctx.lineTo(left + at + height, top);
      }
      ctx.stroke();
      ctx.restore();
    });
    ctx.restore();
  }

  function cutLines(u) {
    const { ctx } = u;
    const { left, top, width, height } = u.bbox;
    ctx.save();
    ctx.strokeStyle = colour("--cut");
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
    ctx.beginPath();
    for (const cut of cuts) {
      const place = Math.round(u.valToPos(x[cut], "x", true)) + 0.5;
      if (place < left || place > left + width) continue;
      ctx.moveTo(place, top);
      ctx.lineTo(place, top + height);
    }
    ctx.stroke();
    ctx.restore();
  }

  function rowName(u, name, top, height) {
    const { ctx } = u;
    ctx.fillStyle = colour("--soft");
    ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.textAlign = "right";
    ctx.textBaseline = "middle";
    ctx.fillText(name, u.bbox.left - 8 * devicePixelRatio, top + height / 2 + 1);
  }

  // The rows from the top: name, height in CSS pixels, how they are drawn.
  function rows(track, narrow) {
    const persons = video.tracks.length > 1 ? video.tracks.slice(1, 9) : [];
    const labels = track.labels;
    const list = [];
    for (const person of persons) {
      list.push({
        name: person.name.replace("Person ", narrow ? "P" : "Person "), height: 7, gap: 5,
        draw: (u, view, top, height) => presence(u, view, person, track, top, height),
      });
    }
    list.push({
      name: "Usable", height: 7, gap: 7,
      draw: (u, view, top, height) => looks(u, view, track, top, height),
    });
    list.push({
      name: narrow ? "Expr." : "Expression", what: "expression", height: 26, gap: labels ? 2 : 10,
      draw: (u, view, top, height) => expressionBand(u, view, (at) => track.expression(at), top, height, true),
    });
    if (labels) {
      list.push({
        name: "Label", height: 10, gap: 10,
        draw: (u, view, top, height) => expressionBand(u, view, (at) => labels.expression(at), top, height, false),
      });
    }
    units.forEach((number, unit) => {
      list.push({
        name: `AU${number}`, what: `AU${number}`, height: labels ? 17 : 14, gap: 4,
        draw: (u, view, top, height) => {
          const below = labels ? Math.round(height * 0.22) : 0;
          unitRow(u, view, track, unit, top, height - below);
          if (labels) unitLabels(u, view, labels, unit, top + height - below + 1, below - 1);
        },
      });
    });
    return list;
  }

  return {
    columns, gaps, cutLines, rows,
    heightOf: (list) => list.reduce((sum, row) => sum + row.height + row.gap, 0),
    draw(u, list) {
      const view = columns(u);
      let top = u.bbox.top;
      for (const row of list) {
        const height = Math.round(row.height * devicePixelRatio);
        row.draw(u, view, Math.round(top), height);
        rowName(u, row.name, top, height);
        top += (row.height + row.gap) * devicePixelRatio;
      }
    },
  };
};
