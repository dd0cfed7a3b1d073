// Sorts a table by the column whose header is clicked. Without it, tables are whole too.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const key = (row, i) => row.cells[i].dataset.value ?? row.cells[i].textContent.trim();
  const compare = (a, b) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    return isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
  };
  [...table.tHead.rows[0].cells].forEach((head, i) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      const rows = [...body.rows].map((row) => [key(row, i), row]);
      const known = rows.filter(([k]) => k !== "").sort(([a], [b]) => compare(a, b));
      if (!up) known.reverse();
      const unknown = rows.filter(([k]) => k === "");
      for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      body.append(...[...known, ...unknown].map(([, row]) => row));
    });
  });
}

// Filters the leaderboard: rows of a ticked status that hold all the words.
const filter = document.getElementById("filter");
if (filter) {
  const rows = [...document.querySelector("table.sortable").tBodies[0].rows];
  const wordsOf = (row) =>
    [...row.cells]
      .filter((cell) => !cell.matches(".figure"))
      .map((cell) => cell.textContent.toLowerCase())
      .join("\n");
  const candidates = rows.map((row) => [row, row.dataset.status, wordsOf(row)]);
  const typed = filter.querySelector("[type=search]");
  const ticks = [...filter.querySelectorAll("[type=checkbox]")];
  const hiddenAtFirst = ticks.filter((tick) => "hidden" in tick.dataset);
  const note = filter.querySelector(".hint");
  const apply = () => {
    const words = typed.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = new Set(ticks.filter((tick) => tick.checked).map((tick) => tick.value));
    for (const [row, status, text] of candidates) {
      row.hidden = !shown.has(status) || !words.every((word) => text.includes(word));
    }
    const n = rows.filter((row) => !row.hidden).length;
    filter.querySelector("output").textContent = `${n} of ${rows.length} shown`;
    if (note) note.hidden = hiddenAtFirst.every((tick) => tick.checked);
  };
  filter.addEventListener("input", apply);
  note?.querySelector("button").addEventListener("click", () => {
    for (const tick of hiddenAtFirst) tick.checked = true;
    hiddenAtFirst[0].focus(); // the button goes away
    apply();
  });
  filter.hidden = false;
  apply();
}
