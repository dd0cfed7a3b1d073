// The threshold explorer. The counts at each cut come from Python; the formulas on them
// are those of autoimb/_metrics/confusion.py, 0 where a quotient is undefined.
{
  const divide = (a, b) => (b > 0 ? a / b : 0);

  // Every row reaches the last cut.
  const countsOf = (positives, negatives) =>
    positives.map((tp, i) => {
      const fp = negatives[i];
      return { tp, fp, fn: positives.at(-1) - tp, tn: negatives.at(-1) - fp };
    });

  const shareOf = ({ tp, fp, fn, tn }) => divide(tp + fp, tp + fp + fn + tn);

  const metricsOf = ({ tp, fp, fn, tn }, rows) => ({
    precision: divide(tp, tp + fp),
    recall: divide(tp, tp + fn),
    f1: divide(2 * tp, 2 * tp + fp + fn),
    mcc: divide(
      tp * tn - fp * fn,
      Math.sqrt((tp + fp) * (tn + fn)) * Math.sqrt((tp + fn) * (tn + fp)),
    ),
    alerts: 1000 * shareOf(rows),
  });

  const costOf = ({ tp, fp, fn, tn }, [falseAlert, miss]) =>
    1000 * divide(falseAlert * fp + miss * fn, tp + fp + fn + tn);

  // Of equally cheap cuts the one with fewest alerts; sums differ by rounding.
  const cheapestOf = (cuts, prices) => {
    const costs = cuts.map((cut) => costOf(cut, prices));
    const lowest = Math.min(...costs) * (1 + 1e-12);
    return costs.findIndex((cost) => cost <= lowest);
  };

  // The last cut that fulfils a condition, or the first one, without alerts.
  const lastWhere = (values, holds) => Math.max(0, values.findLastIndex(holds));

  const written = (value, decimals) => {
    const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
    return value
      .toLocaleString("en-US", { ...digits, roundingMode: "halfEven" })
      .replace("-", "−");
  };

  // Three digits, as formats.significant writes them.
  const num = (value) => {
    if (!Number.isFinite(value)) return "–";
    if (value === 0) return "0";
    const power = Number(value.toExponential(2).split("e")[1]);
    return written(value, Math.min(Math.max(0, 2 - power), 20));
  };

  const explore = (section, data) => {
    const part = (name) => document.getElementById(`explore-${name}`);
    const cuts = countsOf(data.true_positives, data.false_positives);
    const rows = countsOf(data.positive_alerts, data.negative_alerts);
    const metrics = cuts.map((cut, i) => metricsOf(cut, rows[i]));
    const along = cuts.map(
      ({ tp, fp, fn, tn }) => divide(tp, tp + fn) + divide(fp, fp + tn),
    );
    const prices = () =>
      ["false-alert", "miss"].map((name) => Math.max(0, part(name).valueAsNumber || 0));
    let at = data.tuned;
    let threshold = data.thresholds[at];

    // Writes all that depends on the cut, but not into the box that is being typed in.
    const render = (typed) => {
      const [alerted, found] = [rows[at], metrics[at]];
      for (const name in found) part(name).textContent = num(found[name]);
      for (const name in alerted) part(name).textContent = written(alerted[name], 0);
      part("cost").textContent = num(costOf(cuts[at], prices()));
      part("code").textContent =
        threshold > 1 ? "# no threshold up to 1 raises no alert" : `model.set_threshold(${threshold})`;
      const top = +(alerted.tp + alerted.fp).toFixed(2);
      const boxes = { threshold, top, cut: along[at] };
      for (const name in boxes) if (name !== typed) part(name).value = boxes[name];
      const spoken =
        `threshold ${threshold}: precision ${num(found.precision)}, ` +
        `recall ${num(found.recall)}, ${num(found.alerts)} alerts per 1,000 rows`;
      part("cut").setAttribute("aria-valuetext", spoken);
      if (document.activeElement !== part("cut")) part("spoken").textContent = spoken;
      place("line-cut", at);
    };
    const moveTo = (i, typed = null, value = data.thresholds[i]) => {
      at = i;
      threshold = value;
      render(typed);
    };
    const price = () => {
      const cheapest = cheapestOf(cuts, prices());
      part("cheapest-threshold").textContent = data.thresholds[cheapest];
      part("cheapest-cost").textContent = num(costOf(cuts[cheapest], prices()));
      part("cost").textContent = num(costOf(cuts[at], prices()));
    };
    const place = (name, i) => {
      part(name).setAttribute("x1", along[i]);
      part(name).setAttribute("x2", along[i]);
    };
    const draw = (name) => {
      const points = metrics.map((found, i) => `${along[i]},${1 - found[name]}`);
      part(`line-${name}`).setAttribute("points", points.slice(1).join(" "));
    };

    const on = (name, event, act) => part(name).addEventListener(event, act);
    on("cut", "input", () => {
      const reached = part("cut").valueAsNumber;
      moveTo(along.findIndex((place) => place >= reached), "cut");
    });
    const STEPS = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 };
    on("cut", "keydown", (event) => {
      if (!(event.key in STEPS)) return;
      event.preventDefault(); // the browser's own steps pass over cuts
      moveTo(Math.min(Math.max(0, at + STEPS[event.key]), cuts.length - 1));
    });
    on("threshold", "input", () => {
      const typed = Math.min(Math.max(0, part("threshold").valueAsNumber), 1);
      if (isNaN(typed)) return;
      const i = lastWhere(data.scores, (score) => score >= typed);
      // With every cut at hand, a threshold between two of them is as good as its own.
      moveTo(i, "threshold", data.is_thinned ? data.thresholds[i] : typed);
    });
    on("top", "input", () => {
      const most = part("top").valueAsNumber * (1 + 1e-9); // thirds do not add up to 1
      if (isNaN(most)) return;
      moveTo(lastWhere(rows, ({ tp, fp }) => tp + fp <= most), "top");
    });
    for (const name of ["threshold", "top", "cut"]) on(name, "change", () => render());
    for (const name of ["false-alert", "miss"]) on(name, "input", price);
    on("reset", "click", () => moveTo(data.tuned));
    on("cheapest", "click", () => moveTo(cheapestOf(cuts, prices())));

    for (const name of ["precision", "recall"]) draw(name);
    place("line-tuned", data.tuned);
    render();
    price();
    for (const hint of section.querySelectorAll(".still")) hint.hidden = true;
    for (const control of section.querySelectorAll(".controls")) control.hidden = false;
  };

  const section = document.getElementById("explore");
  const numbers = document.getElementById("explore-data");
  if (section) explore(section, JSON.parse(numbers.textContent));
}
