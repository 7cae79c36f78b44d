"use strict";
(() => {
  // The table of compositions: sorted and narrowed down as data, and drawn a page at a time, so that ten thousand open.

  const table = document.getElementById("long");
  if (!table) return;
  const PAGE = 250;
  const UNKNOWN = "–";
  const form = document.querySelector(".filters");
  const more = document.getElementById("more");
  const headings = [...table.tHead.rows[0].cells];
  const numeric = headings.map((heading) => heading.classList.contains("n"));
  const group = headings.findIndex((heading) => heading.textContent.startsWith("Space group"));
  const plain = (text) => text.replace(/[₀-₉]/g, (digit) => String.fromCharCode(digit.charCodeAt(0) - 0x2050));
  const rows = JSON.parse(document.getElementById("rows").textContent).map(([link, flags, ...cells]) => {
    const texts = cells.map((cell) => (Array.isArray(cell) ? cell[0] : cell));
    return { link, flags, texts, keys: cells.map((cell) => (Array.isArray(cell) ? cell[1] : cell)),
      name: plain(texts[0]), words: plain(texts.join(" ")).toLowerCase() };
  });
  let fitting = rows;
  let drawn = 0;

  // A space group as it is printed: the digit after an underscore lowered, that after a minus sign with a bar.
  function typeset(symbol) {
    return symbol.split(/([_-]\d)/).map((part) => {
      if (!/^[_-]\d$/.test(part)) return part;
      const mark = document.createElement(part[0] === "_" ? "sub" : "span");
      mark.textContent = part[1];
      if (part[0] === "-") {
        mark.className = "bar";
        mark.setAttribute("aria-label", "minus " + part[1]);
      }
      return mark;
    });
  }

  function line(row) {
    const made = document.createElement("tr");
    row.texts.forEach((text, column) => {
      const cell = made.insertCell();
      if (numeric[column]) cell.className = "n";
      if (column === 0 && row.link) {
        const link = document.createElement("a");
        link.href = row.link;
        link.textContent = text;
        cell.append(link);
      } else {
        cell.append(...(column === group ? typeset(text) : [text]));
      }
    });
    return made;
  }

  function draw(count) {
    table.tBodies[0].append(...fitting.slice(drawn, drawn + count).map(line));
    drawn = Math.min(drawn + count, fitting.length);
    const left = fitting.length - drawn;
    more.hidden = left === 0;
    more.textContent = "Show " + Math.min(left, PAGE) + " more of " + left;
    document.getElementById("shown").textContent = fitting.length + " of " + rows.length;
  }

  // An element is looked for in the name: O finds SrTiO3, and neither Os nor "not begun".
  function has(row, word) {
    return /^[A-Z][a-z]?$/.test(word) ? new RegExp(word + "(?![a-z])").test(row.name) : row.words.includes(word.toLowerCase());
  }

  function narrow() {
    const words = document.getElementById("words").value.split(/[\s,]+/).filter(Boolean);
    const flags = [...form.querySelectorAll("input:checked")].map((box) => box.value);
    fitting = rows.filter((row) => words.every((word) => has(row, word)) && flags.every((flag) => row.flags.includes(flag)));
    drawn = 0;
    table.tBodies[0].replaceChildren();
    draw(PAGE);
  }

  const order = new Intl.Collator("en", { numeric: true }).compare;
  function compare(a, b) {
    return typeof a === "number" ? a - b : order(a, b);
  }
  const unknown = (key) => key === null || key === UNKNOWN; // comes last, whichever way the others go

  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const up = heading.getAttribute("aria-sort") !== "ascending";
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      rows.sort(({ keys: { [column]: a } }, { keys: { [column]: b } }) =>
        unknown(a) - unknown(b) || (unknown(a) ? 0 : (up ? 1 : -1) * compare(a, b)));
      narrow();
    });
  });
  form.addEventListener("input", narrow);
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => draw(PAGE));
  draw(PAGE);
})();
