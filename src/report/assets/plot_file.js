"use strict";
// The charts as they are shown, for a paper or a slide: as pixels (PNG), or as shapes that a drawing program can change (SVG).
abaw.plotFile = (charts, bands, colour) => {
  const parts = Object.values(charts);
  const ratio = devicePixelRatio;
  const band = 34 * ratio; // of the title
  const width = Math.max(...parts.map((chart) => chart.ctx.canvas.width));
  const height = parts.reduce((sum, chart) => sum + chart.ctx.canvas.height, band);
  const titleFont = `600 ${14 * ratio}px system-ui, sans-serif`;

  function pixels(title) {
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const ctx = canvas.getContext("2d");
    ctx.fillStyle = colour("--surface");
    ctx.fillRect(0, 0, width, height);
    ctx.fillStyle = colour("--ink");
    ctx.font = titleFont;
    ctx.textBaseline = "middle";
    ctx.fillText(title, 12 * ratio, band / 2);
    let top = band;
    for (const chart of parts) {
      ctx.drawImage(chart.ctx.canvas, 0, top);
      top += chart.ctx.canvas.height;
    }
    return canvas;
  }

  const escape = (text) => String(text).replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  const round = (value) => Math.round(value * 100) / 100;

  // Takes the calls that the bands make of a canvas, and keeps them as elements of SVG.
  function recorder(measure) {
    const elements = [];
    const open = [0]; // groups that each `save` has to close
    const saved = [];
    let path = "";
    let dash = [];
    const own = {
      fillStyle: "#000", strokeStyle: "#000", lineWidth: 1, font: "10px sans-serif", textAlign: "left", textBaseline: "alphabetic",
    };
    const anchors = { left: "start", center: "middle", right: "end" };
    const add = (element) => elements.push(element);
    Object.assign(own, {
      save() {
        saved.push({ ...own, dash });
        open.push(0);
      },
      restore() {
        const { dash: before, ...rest } = saved.pop();
        Object.assign(own, rest);
        dash = before;
        add("</g>".repeat(open.pop()));
      },
      beginPath() { path = ""; },
      moveTo(x, y) { path += `M${round(x)} ${round(y)}`; },
      lineTo(x, y) { path += `L${round(x)} ${round(y)}`; },
      rect(x, y, w, h) { path += `M${round(x)} ${round(y)}h${round(w)}v${round(h)}h${-round(w)}z`; },
      setLineDash(lengths) { dash = lengths; },
      clip() {
        recorder.clips = (recorder.clips ?? 0) + 1;
        const id = `clip${recorder.clips}`;
        add(`<clipPath id="${id}"><path d="${path}"/></clipPath><g clip-path="url(#${id})">`);
        open[open.length - 1] += 1;
      },
      stroke() {
        if (path) {
          add(`<path d="${path}" fill="none" stroke="${own.strokeStyle}" stroke-width="${own.lineWidth}"`
            + `${dash.length ? ` stroke-dasharray="${dash.join(" ")}"` : ""}/>`);
        }
      },
      fill() { add(`<path d="${path}" fill="${own.fillStyle}"/>`); },
      fillRect(x, y, w, h) {
        add(`<rect x="${round(x)}" y="${round(y)}" width="${round(w)}" height="${round(h)}" fill="${own.fillStyle}"/>`);
      },
      fillText(text, x, y) {
        const middle = own.textBaseline === "middle" ? ' dominant-baseline="central"' : "";
        add(`<text x="${round(x)}" y="${round(y)}" style="font:${escape(own.font)}" fill="${own.fillStyle}"`
          + ` text-anchor="${anchors[own.textAlign] ?? "start"}"${middle}>${escape(text)}</text>`);
      },
      measureText(text) {
        measure.font = own.font;
        return measure.measureText(text);
      },
    });
    return { ctx: own, elements };
  }

  // A curve of a chart within its view: it goes on over undefined values and breaks at null ones.
  function curve(chart, at) {
    const [x, values] = [chart.data[0], chart.data[at]];
    const { min, max } = chart.scales.x;
    let path = "";
    let pen = "M";
    for (let frame = 0; frame < x.length; frame++) {
      if (values[frame] === undefined || x[frame] < min || x[frame] > max) continue;
      if (values[frame] === null) {
        pen = "M";
        continue;
      }
      path += `${pen}${round(chart.valToPos(x[frame], "x", true))} ${round(chart.valToPos(values[frame], "y", true))}`;
      pen = "L";
    }
    const { stroke, width: thick, dash } = chart.series[at];
    return path && `<path d="${path}" fill="none" stroke="${stroke(chart, at)}" stroke-width="${thick * ratio}"`
      + `${dash ? ` stroke-dasharray="${dash.map((length) => length * ratio).join(" ")}"` : ""}/>`;
  }

  // Names and lines of the two axes, as the chart has them.
  function axes(chart, ctx) {
    const { left, top, width: wide, height: tall } = chart.bbox;
    ctx.font = `${11 * ratio}px system-ui, sans-serif`;
    chart.axes.forEach((axis, number) => {
      if (axis.show === false || !axis._splits) return;
      const vertical = number > 0;
      axis._splits.forEach((value, at) => {
        const place = chart.valToPos(value, vertical ? "y" : "x", true);
        ctx.strokeStyle = colour("--grid");
        ctx.lineWidth = ratio;
        ctx.beginPath();
        ctx.moveTo(vertical ? left : place, vertical ? place : top);
        ctx.lineTo(vertical ? left + wide : place, vertical ? place : top + tall);
        ctx.stroke();
        ctx.fillStyle = colour("--soft");
        ctx.textAlign = vertical ? "right" : "center";
        ctx.textBaseline = "middle";
        ctx.fillText(axis._values?.[at] ?? "", vertical ? left - 8 * ratio : place, vertical ? place : top + tall + 14 * ratio);
      });
    });
  }

  function shapes(title, rowList, track) {
    const measure = document.createElement("canvas").getContext("2d");
    const groups = [];
    let top = band;
    for (const [name, chart] of Object.entries(charts)) {
      const { ctx, elements } = recorder(measure);
      const drawn = {
        ctx, bbox: chart.bbox, scales: chart.scales,
        valToPos: chart.valToPos.bind(chart), valToIdx: chart.valToIdx.bind(chart),
      };
      if (name !== "rows") {
        bands.gaps(drawn, bands.columns(drawn), track);
        axes(chart, ctx);
        chart.series.forEach((_, at) => at > 0 && elements.push(curve(chart, at)));
      } else {
        bands.draw(drawn, rowList);
      }
      bands.cutLines(drawn);
      groups.push(`<g id="${name}" transform="translate(0 ${top})">${elements.join("")}</g>`);
      top += chart.ctx.canvas.height;
    }
    return `<svg xmlns="http://www.w3.org/2000/svg" width="${width / ratio}" height="${height / ratio}" viewBox="0 0 ${width} ${height}">`
      + `<title>${escape(title)}</title><rect width="${width}" height="${height}" fill="${colour("--surface")}"/>`
      + `<text x="${12 * ratio}" y="${band / 2}" dominant-baseline="central" style="font:${titleFont}" fill="${colour("--ink")}">`
      + `${escape(title)}</text>${groups.join("")}</svg>`;
  }

  function save(blob, name) {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
  return {
    savePng: (title, name) => pixels(title).toBlob((blob) => save(blob, `${name}.png`), "image/png"),
    saveSvg: (title, name, rowList, track) =>
      save(new Blob([shapes(title, rowList, track)], { type: "image/svg+xml" }), `${name}.svg`),
  };
};
