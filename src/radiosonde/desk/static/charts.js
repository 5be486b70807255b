"use strict";
// Charts that can be read and zoomed. The page holds the same charts as SVG: they are shown until this has run, without it, and in print.
(() => {
  const PALETTE = 6;
  const SYNC = "desk";
  const UNITS = {
    share: (v) => (v === 0 ? "0 %" : Math.abs(v) < 0.0001 ? "<0.01 %" : `${Number((100 * v).toPrecision(2))} %`),
    s: (v) => (v === 0 ? "0 s" : v >= 60 ? `${Number((v / 60).toPrecision(3))} min` : v >= 1 ? `${Number(v.toPrecision(3))} s` : v >= 1e-3 ? `${Number((v * 1e3).toPrecision(3))} ms` : `${Number((v * 1e6).toPrecision(3))} µs`),
    bytes: (v) => (v >= 1e9 ? `${Number((v / 1e9).toPrecision(3))} GB` : `${Number((v / 1e6).toPrecision(3))} MB`),
  };
  const words = (unit) => UNITS[unit] ?? ((v) => Number(v.toPrecision(4)).toLocaleString("en").replaceAll(",", "\u202f"));
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const time = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ");
  let drawn = [];

  const marks = (list) => (plot) => {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const mark of list) {
      const left = plot.valToPos(mark.from, "x", true);
      if (mark.kind === "version") {
        ctx.strokeStyle = colour("--accent");
        ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
        ctx.lineWidth = 1.5 * devicePixelRatio;
        ctx.beginPath();
        ctx.moveTo(left, bbox.top);
        ctx.lineTo(left, bbox.top + bbox.height);
        ctx.stroke();
      } else {
        const width = Math.max(plot.valToPos(mark.to, "x", true) - left, 2);
        const isIncident = mark.kind === "incident";
        ctx.fillStyle = colour(isIncident ? "--red" : "--rule");
        ctx.globalAlpha = isIncident ? 0.75 : 0.6;
        ctx.fillRect(left, bbox.top, width, isIncident ? 4 * devicePixelRatio : bbox.height);
        ctx.globalAlpha = 1;
        if (isIncident && left > bbox.left) {
          ctx.strokeStyle = colour("--red");
          ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
          ctx.lineWidth = devicePixelRatio;
          ctx.beginPath();
          ctx.moveTo(left, bbox.top);
          ctx.lineTo(left, bbox.top + bbox.height);
          ctx.stroke();
        }
      }
    }
    ctx.restore();
  };

  const stacked = (rows) => {
    const total = rows[0].map(() => 0);
    return rows.map((row) => row.map((value, at) => (rows.every((each) => each[at] === null) ? null : (total[at] += value ?? 0))));
  };

  const zoom = (page, from, to) => {
    const query = new URL(page, location.href);
    query.searchParams.set("from", new Date(from * 1000).toISOString().slice(0, 16));
    query.searchParams.set("to", new Date(to * 1000 + 59999).toISOString().slice(0, 16));
    location.assign(query);
  };

  const draw = (figure, chart, data, page) => {
    const say = words(chart.unit);
    const values = chart.stacked ? stacked(chart.y) : chart.y;
    const order = values.map((_, at) => at);
    if (chart.stacked) order.reverse(); // the highest area is drawn first, the others over it
    const out = document.createElement("div");
    out.className = "readout";
    const room = document.createElement("div");
    figure.append(room, out);
    figure.classList.add("live");
    const series = order.map((at) => {
      const line = colour(`--c${at % PALETTE}`);
      return { label: chart.labels[at], stroke: line, width: chart.stacked ? 0 : 1.5, fill: chart.stacked ? line : undefined, points: { show: values[at].filter((v) => v !== null).length < 3 } };
    });
    const axis = { stroke: () => colour("--soft"), grid: { stroke: () => colour("--rule"), width: 1 }, ticks: { show: false }, font: "11.5px system-ui, sans-serif" };
    const plot = new uPlot(
      {
        width: Math.max(figure.clientWidth, 120),
        height: 150,
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
        legend: { show: false },
        cursor: { sync: { key: SYNC, setSeries: false }, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
        scales: { x: { range: () => [data.from, data.to] }, y: { range: (_, low, high) => uPlot.rangeNum(Math.min(low ?? 0, 0), high || 1, 0.06, true).map((v, at) => (at === 0 && (low ?? 0) >= 0 ? 0 : v)) } },
        axes: [{ ...axis, size: 26, space: 70, values: (_, ticks, __, ___, step) => ticks.map((t) => (step >= 86400 || t % 86400 === 0 ? new Date(t * 1000).toLocaleDateString("en", { month: "short", day: "numeric", timeZone: "UTC" }) : time(t).slice(11))) }, { ...axis, size: 62, space: 28, values: (_, ticks) => ticks.map(say) }],
        series: [{}, ...series],
        hooks: {
          drawClear: [marks(data.marks)],
          setCursor: [
            (self) => {
              const at = self.cursor.idx;
              out.replaceChildren();
              if (at === null || at === undefined) return;
              const when = document.createElement("b");
              when.textContent = time(chart.x[at]);
              out.append(when);
              chart.y.forEach((row, number) => {
                if (row[at] === null || row[at] === undefined) return;
                const part = document.createElement("b");
                part.textContent = `${chart.labels[number] ? `${chart.labels[number]} ` : ""}${say(row[at])}`;
                out.append(part);
              });
            },
          ],
          setSelect: [
            (self) => {
              if (self.select.width < 6) return;
              zoom(page, self.posToVal(self.select.left, "x"), self.posToVal(self.select.left + self.select.width, "x"));
            },
          ],
        },
      },
      [chart.x, ...order.map((at) => values[at])],
      room,
    );
    room.addEventListener("pointerdown", () => (figure.dataset.brushing = ""));
    window.addEventListener("pointerup", () => delete figure.dataset.brushing);
    // The canvas shows what the SVG says in words, which stays for screen readers.
    room.setAttribute("role", "img");
    room.setAttribute("aria-label", figure.querySelector("svg")?.getAttribute("aria-label") ?? chart.title);
    drawn.push({ plot, figure });
  };

  const start = async () => {
    for (const { plot } of drawn) plot.destroy();
    drawn = [];
    const charts = document.getElementById("charts");
    if (!charts || typeof uPlot === "undefined") return;
    const answer = await fetch(charts.dataset.series);
    if (!answer.ok) return;
    const data = await answer.json();
    for (const chart of data.charts) {
      const figure = charts.querySelector(`figure[data-chart="${CSS.escape(chart.id)}"]`);
      if (figure && !figure.classList.contains("live")) draw(figure, chart, data, charts.dataset.page);
    }
    document.documentElement.dataset.charts = String(drawn.length);
  };

  new ResizeObserver(() => {
    for (const { plot, figure } of drawn) plot.setSize({ width: Math.max(figure.clientWidth, 120), height: 150 });
  }).observe(document.documentElement);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => location.reload());
  document.addEventListener("htmx:afterSettle", (event) => event.target.id === "main" && start());
  document.readyState === "loading" ? document.addEventListener("DOMContentLoaded", start) : start();
})();
