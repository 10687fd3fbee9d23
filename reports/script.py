"""This module holds the page's script: it shows the values under the pointer. Without it the page lacks nothing else."""

SCRIPT = """
(() => {
  const source = document.getElementById("readouts"), readouts = JSON.parse(source.textContent);
  const digits = (value, least, most) =>
    value.toLocaleString("en-US", {minimumFractionDigits: least, maximumFractionDigits: most});
  const minus = text => text.replace("-", "\\u2212");
  const shown = {
    money: value => minus(digits(value, 2, 2)),
    percent: value => minus(digits(value * 100, 2, 2)) + "%",
    price: value => minus(value.toLocaleString("en-US", {maximumSignificantDigits: 6, minimumFractionDigits: 2})),
    number: value => minus(digits(value, 0, 4)),
  };
  const time = seconds => {
    const text = new Date(seconds * 1000).toISOString();
    const isDay = source.dataset.days === "1" || text.slice(11, 19) === "00:00:00";
    return isDay ? text.slice(0, 10) : text.slice(0, 10) + " " + text.slice(11, 16);
  };
  const nearest = (values, x) => {
    let low = 0, high = values.length - 1;
    while (high - low > 1) { const middle = (low + high) >> 1; if (values[middle] < x) low = middle; else high = middle; }
    return x - values[low] < values[high] - x ? low : high;
  };
  const row = (label, value) => {
    const line = document.createElement("div"), name = document.createElement("span"), strong = document.createElement("b");
    name.textContent = label; strong.textContent = value; line.append(name, strong); return line;
  };
  for (const svg of document.querySelectorAll("svg[data-figure]")) {
    const panels = readouts[svg.dataset.figure];
    if (!panels || !panels.length) continue;
    const figure = svg.closest("figure"), box = document.createElement("div");
    box.className = "readout"; figure.append(box);
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
    line.setAttribute("class", "pointer"); svg.append(line);
    const hide = () => { box.style.display = "none"; line.style.visibility = "hidden"; };
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("pointermove", event => {
      const place = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / place.width;
      const x = (event.clientX - place.left) * scale, y = (event.clientY - place.top) * scale;
      const inside = panels.filter(each => x >= each.left && x <= each.right);
      if (!inside.length || !inside.some(each => y >= each.top && y <= each.bottom)) return hide();
      const main = inside.find(each => y >= each.top && y <= each.bottom), at = nearest(main.x, x);
      box.replaceChildren(row("", time(main.seconds[at])));
      for (const panel of svg.dataset.figure === "trades" ? [main] : inside) {
        const here = panel === main ? at : nearest(panel.x, main.x[at]);
        for (const series of panel.series)
          if (series.values[here] !== null) box.append(row(series.label, shown[series.unit](series.values[here])));
      }
      for (const [name, value] of [["x1", main.x[at]], ["x2", main.x[at]], ["y1", Math.min(...inside.map(each => each.top))],
        ["y2", Math.max(...inside.map(each => each.bottom))]]) line.setAttribute(name, value);
      line.style.visibility = "visible"; box.style.display = "block";
      const frame = figure.getBoundingClientRect(), left = event.clientX - frame.left, width = box.offsetWidth;
      box.style.left = (left + width + 24 > frame.width ? Math.max(0, left - width - 14) : left + 14) + "px";
      box.style.top = (event.clientY - frame.top + 14) + "px";
    });
  }
})();
"""
