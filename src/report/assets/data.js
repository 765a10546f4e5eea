"use strict";
// Turns a video's data script (src/report/track.rs writes it) into arrays.
const abaw = (() => {
  const NO_COORDINATE = -32768;
  const NO_BYTE = 255;
  const NO_UNITS = 65535;
  const PROBABILITY_STEPS = 250;
  const COORDINATE_STEPS = 10000;
  const SEEN = 1;
  const IS_SUBJECT = 2;
  const NOT_USABLE = 4;

  function bytes(base64) {
    const text = atob(base64);
    const array = new Uint8Array(text.length);
    for (let at = 0; at < text.length; at++) array[at] = text.charCodeAt(at);
    return array;
  }

  // Cuts the bytes of `count` rows into one array after the other.
  function cutter(base64, count) {
    const buffer = bytes(base64).buffer;
    let offset = 0;
    return (Kind) => {
      const array = new Kind(buffer, offset, count);
      offset += count * Kind.BYTES_PER_ELEMENT;
      return array;
    };
  }

  const coordinate = (step) => (step === NO_COORDINATE ? null : step / COORDINATE_STEPS);
  const probability = (step) => (step === NO_BYTE ? null : step / PROBABILITY_STEPS);

  class Labels {
    constructor(base64, frames) {
      const next = cutter(base64, frames);
      this.valences = next(Int16Array);
      this.arousals = next(Int16Array);
      this.active = next(Uint16Array);
      this.known = next(Uint16Array);
      this.classes = next(Uint8Array);
    }
    valence(at) { return coordinate(this.valences[at]); }
    arousal(at) { return coordinate(this.arousals[at]); }
    expression(at) { return this.classes[at] === NO_BYTE ? null : this.classes[at]; }
    unit(at, unit) { return this.known[at] >> unit & 1 ? Boolean(this.active[at] >> unit & 1) : null; }
  }

  // One person; `at` counts the frames of the video from 0.
  class Track {
    constructor(script, frames, classes, units) {
      Object.assign(this, { name: script.name, person: script.person, from: script.from, count: script.count });
      const next = cutter(script.planes, script.count);
      this.valences = next(Int16Array);
      this.arousals = next(Int16Array);
      this.active = next(Uint16Array);
      this.flags = next(Uint8Array);
      this.scores = next(Uint8Array);
      this.classes = next(Uint8Array);
      this.likely = Array.from({ length: classes }, () => next(Uint8Array));
      this.probable = Array.from({ length: units }, () => next(Uint8Array));
      this.labels = script.labels ? new Labels(script.labels, frames) : null;
    }
    has(at) { return at >= this.from && at < this.from + this.count; }
    seen(at) { return this.has(at) && Boolean(this.flags[at - this.from] & SEEN); }
    isSubject(at) { return this.has(at) && Boolean(this.flags[at - this.from] & IS_SUBJECT); }
    usable(at) { return this.seen(at) && !(this.flags[at - this.from] & NOT_USABLE); }
    valence(at) { return this.has(at) ? coordinate(this.valences[at - this.from]) : null; }
    arousal(at) { return this.has(at) ? coordinate(this.arousals[at - this.from]) : null; }
    score(at) { return this.has(at) ? probability(this.scores[at - this.from]) : null; }
    expression(at) {
      const found = this.has(at) ? this.classes[at - this.from] : NO_BYTE;
      return found === NO_BYTE ? null : found;
    }
    likelihood(at, expression) {
      return this.has(at) && expression !== null ? probability(this.likely[expression][at - this.from]) : null;
    }
    probability(at, unit) { return this.has(at) ? probability(this.probable[unit][at - this.from]) : null; }
    unit(at, unit) {
      const units = this.has(at) ? this.active[at - this.from] : NO_UNITS;
      return units === NO_UNITS ? null : Boolean(units >> unit & 1);
    }
  }

  // Numbers of the frames, from 1, and their places on the axis: seconds, or frames where there are no times.
  function axis(script) {
    const numbers = [];
    for (const [first, count] of script.frames) {
      for (let nth = 0; nth < count; nth++) numbers.push(first + nth);
    }
    if (!script.time) {
      const apart = numbers.slice(1).map((number, at) => number - numbers[at]).sort((a, b) => a - b);
      return { numbers, x: numbers.slice(), step: apart[apart.length >> 1] || 1, timed: false };
    }
    const { start, step, tenths } = script.time;
    const after = tenths ? new Uint32Array(bytes(tenths).buffer) : null;
    const x = numbers.map((_, at) => start + (after ? after[at] / 1e4 : at * step));
    return { numbers, x, step, timed: true };
  }

  return {
    video(script) {
      const { numbers, x, step, timed } = axis(script);
      const { expressions, weak, units, cuts, moments, overlay, fps } = script;
      const tracks = script.tracks.map((track) => new Track(track, x.length, expressions.length, units.length));
      const shown = { numbers, x, step, timed, fps, expressions, units, cuts, moments, overlay, tracks };
      // As they are shown; marks and files have the plain names.
      shown.names = expressions.map((name, at) => (weak.includes(at) ? `${name} (weak)` : name));
      abaw.timeline = abaw.show(shown);
      abaw.marks(shown, abaw.timeline, script.marking);
    },
  };
})();
