"use strict";
(() => {
  const $ = (selector) => [...document.querySelectorAll(selector)];
  const touch = matchMedia("(pointer: coarse)").matches;
  const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth";
  const options = { responsive: true, displaylogo: false, displayModeBar: false };

  // Plots: each is drawn when it is first seen, from the JSON that follows its box.

  async function draw(box) {
    if (box.dataset.drawn) return;
    box.dataset.drawn = "yes";
    const figure = JSON.parse(box.nextElementSibling.textContent);
    if (touch) figure.layout.dragmode = false; // a finger on the plot scrolls the page
    await Plotly.newPlot(box, figure.data, figure.layout, options);
    box.on("plotly_click", (event) => {
      const row = event.points[0].customdata;
      if (box.dataset.rows && row >= 0) choose(row, true);
    });
    box.on("plotly_afterplot", () => name(box));
    name(box);
  }

  // The names of the curves hide and show them, in plotly by mouse alone; here they are buttons for keys, too.

  function name(box) {
    for (const toggle of box.querySelectorAll(".legendtoggle")) {
      const entry = toggle.closest(".traces");
      toggle.setAttribute("aria-pressed", String(entry.style.opacity !== "0.5"));
      if (toggle.hasAttribute("tabindex")) continue;
      box.setAttribute("role", "group"); // an image has nothing in it to press
      for (const [attribute, value] of Object.entries({ tabindex: 0, role: "button", "aria-label": entry.textContent })) {
        toggle.setAttribute(attribute, value);
      }
      toggle.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        for (const kind of ["mousedown", "mouseup"]) toggle.dispatchEvent(new MouseEvent(kind, { bubbles: true, view: window }));
      });
    }
  }

  // Choices: of a section's plots the one is shown whose id is made of all that is chosen there.

  for (const section of $("section")) {
    const choices = [...section.querySelectorAll(".costs")];
    for (const choice of choices) {
      choice.addEventListener("change", async () => {
        const id = choices.map((one) => one.querySelector("select, input:checked").value).join("-");
        for (const figure of section.querySelectorAll(".cost")) figure.hidden = figure.id !== id;
        const box = document.getElementById(id).querySelector(".plot");
        await draw(box);
        Plotly.Plots.resize(box);
      });
    }
  }

  // Structures: spheres, sticks and the edges of the cell, all as triangles.

  const scene = document.getElementById("drawing");
  const structures = scene ? JSON.parse(document.getElementById("structures").textContent) : [];

  function icosphere(level) {
    const t = (1 + Math.sqrt(5)) / 2;
    const points = [[-1, t, 0], [1, t, 0], [-1, -t, 0], [1, -t, 0], [0, -1, t], [0, 1, t], [0, -1, -t], [0, 1, -t],
      [t, 0, -1], [t, 0, 1], [-t, 0, -1], [-t, 0, 1]].map(unit);
    let faces = [[0, 11, 5], [0, 5, 1], [0, 1, 7], [0, 7, 10], [0, 10, 11], [1, 5, 9], [5, 11, 4], [11, 10, 2], [10, 7, 6],
      [7, 1, 8], [3, 9, 4], [3, 4, 2], [3, 2, 6], [3, 6, 8], [3, 8, 9], [4, 9, 5], [2, 4, 11], [6, 2, 10], [8, 6, 7], [9, 8, 1]];
    for (let n = 0; n < level; n++) {
      const known = new Map();
      const middle = (a, b) => {
        const key = Math.min(a, b) * 1e5 + Math.max(a, b);
        if (!known.has(key)) known.set(key, points.push(unit(points[a].map((x, i) => x + points[b][i]))) - 1);
        return known.get(key);
      };
      faces = faces.flatMap(([a, b, c]) => {
        const [d, e, f] = [middle(a, b), middle(b, c), middle(c, a)];
        return [[a, d, f], [b, e, d], [c, f, e], [d, e, f]];
      });
    }
    return { points, faces };
  }

  function unit(v) { const n = Math.hypot(...v); return v.map((x) => x / n); }
  function cross(a, b) { return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]; }
  function atom(structure, n) { return structure.xyz.slice(3 * n, 3 * n + 3); }

  function mesh(color) {
    return { type: "mesh3d", x: [], y: [], z: [], i: [], j: [], k: [], color, flatshading: false, hoverinfo: "skip",
      lighting: { ambient: 0.42, diffuse: 0.75, specular: 0.8, roughness: 0.25, fresnel: 0 },
      lightposition: { x: -1e5, y: 1e5, z: -500 } }; // from the upper left, and a little from the front
  }

  function add(part, points, faces) {
    const start = part.x.length;
    for (const [x, y, z] of points) { part.x.push(x); part.y.push(y); part.z.push(z); }
    for (const [a, b, c] of faces) { part.i.push(start + a); part.j.push(start + b); part.k.push(start + c); }
  }

  function spheres(structure) {
    const ball = icosphere(structure.kinds.length > 80 ? 1 : 2);
    const parts = structure.colours.map((colour, kind) => ({ ...mesh(colour), name: structure.species[kind],
      text: [], hoverinfo: "text" }));
    structure.kinds.forEach((kind, n) => {
      const [at, r] = [atom(structure, n), structure.radii[kind]];
      add(parts[kind], ball.points.map((p) => p.map((x, i) => at[i] + r * x)), ball.faces);
      const label = structure.species[kind] + " " + at.map((x) => x.toFixed(2)).join(", ") + " Å";
      for (let m = 0; m < ball.points.length; m++) parts[kind].text.push(label);
    });
    return parts;
  }

  function sticks(structure, radius = 0.09, sides = 10) {
    const part = mesh("#b4bcc3");
    for (let n = 0; n < structure.links.length; n += 2) {
      const [a, b] = [atom(structure, structure.links[n]), atom(structure, structure.links[n + 1])];
      const axis = unit(b.map((x, i) => x - a[i]));
      const across = unit(cross(axis, Math.abs(axis[2]) < 0.9 ? [0, 0, 1] : [1, 0, 0]));
      const other = cross(axis, across);
      const points = [], faces = [];
      for (let s = 0; s < sides; s++) {
        const [u, v] = [Math.cos((2 * Math.PI * s) / sides) * radius, Math.sin((2 * Math.PI * s) / sides) * radius];
        for (const end of [a, b]) points.push(end.map((x, i) => x + u * across[i] + v * other[i]));
        const [p, q] = [2 * s, 2 * ((s + 1) % sides)];
        faces.push([p, q, p + 1], [q, q + 1, p + 1]);
      }
      add(part, points, faces);
    }
    return part;
  }

  function frame(structure) {
    const corner = (s) => [0, 1, 2].map((i) => s.reduce((sum, f, row) => sum + (f - 0.5) * structure.cell[row][i], 0));
    const lines = { type: "scatter3d", mode: "lines", x: [], y: [], z: [], line: { color: "#5b6670", width: 3 },
      hoverinfo: "skip" };
    for (let axis = 0; axis < 3; axis++) {
      for (const [p, q] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
        const ends = [0, 1].map((f) => { const s = [p, q]; s.splice(axis, 0, f); return corner(s); });
        for (const [i, name] of ["x", "y", "z"].entries()) lines[name].push(ends[0][i], ends[1][i], null);
      }
    }
    const tips = [0, 1, 2].map((axis) => {
      const length = Math.hypot(...structure.cell[axis]);
      return corner([0, 1, 2].map((row) => (row === axis ? 1 + 1.0 / length : -0.25 / Math.hypot(...structure.cell[row]))));
    });
    const letters = { type: "scatter3d", mode: "text", text: ["a", "b", "c"], hoverinfo: "skip",
      textfont: { color: "#1d2329", size: 15 }, x: tips.map((t) => t[0]), y: tips.map((t) => t[1]), z: tips.map((t) => t[2]) };
    return [lines, letters];
  }

  function layout(structure) {
    // A cube that holds the structure however it is turned.
    const corners = [[1, 1, 1], [1, 1, -1], [1, -1, 1], [-1, 1, 1]].map((s) =>
      Math.hypot(...[0, 1, 2].map((i) => s.reduce((sum, f, row) => sum + (f / 2) * structure.cell[row][i], 0))));
    const reach = Math.max(...corners) + Math.max(...structure.radii);
    const axis = { visible: false, showspikes: false, range: [-reach, reach] };
    const far = 2 / Math.hypot(...view);
    const eye = { x: view[0] * far, y: view[1] * far, z: view[2] * far };
    return { margin: { l: 0, r: 0, t: 0, b: 0 }, showlegend: false, paper_bgcolor: "rgba(0,0,0,0)", uirevision: "kept",
      scene: { aspectmode: "manual", aspectratio: { x: ZOOM, y: ZOOM, z: ZOOM }, xaxis: axis, yaxis: axis, zaxis: axis, uirevision: "kept", dragmode: "orbit",
        camera: { eye, projection: { type: "orthographic" } } } };
  }

  const ZOOM = 1.65; // without perspective it is this that makes the cell fill its box, not the distance of the eye
  const view = scene ? JSON.parse(scene.dataset.view) : [1, 1, 1];
  let queue = Promise.resolve();

  function choose(row, scroll = false) {
    const structure = structures[row];
    if (!structure) return;
    for (const button of $("[data-row]")) button.setAttribute("aria-pressed", String(Number(button.dataset.row) === row));
    for (const line of $("#ranking tbody tr")) {
      const own = line.querySelector(".pick");
      line.classList.toggle("chosen", own !== null && Number(own.dataset.row) === row);
      if (own && Number(own.dataset.row) === row) {
        document.getElementById("chosen-group").replaceChildren(
          ...[...line.querySelector(".group").childNodes].map((node) => node.cloneNode(true)));
      }
    }
    document.getElementById("chosen-rank").textContent = String(row + 1);
    scene.setAttribute("aria-label", structure.title + "; arrow keys turn it, plus and minus zoom");
    document.getElementById("facts").replaceChildren(...structure.facts.map(([term, text]) => {
      const [line, dt, dd] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
      dt.textContent = term;
      dd.textContent = text;
      line.append(dt, dd);
      return line;
    }));
    document.getElementById("species").replaceChildren(...structure.species.map((symbol, kind) => {
      const item = document.createElement("li");
      const dot = document.createElement("span");
      dot.className = "dot";
      dot.style.background = structure.colours[kind];
      item.append(dot, symbol);
      return item;
    }));
    if (scroll) document.getElementById("panel").scrollIntoView({ block: "nearest", behavior });
    queue = queue.then(() => Plotly.react(scene, [...frame(structure), sticks(structure), ...spheres(structure)], layout(structure), options))
      .then(() => { scene.dataset.shown = String(row); });
  }

  function turn(event) {
    const steps = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, 0.15], ArrowDown: [0, -0.15] };
    const zooms = { "+": 1.15, "=": 1.15, "-": 1 / 1.15 };
    const { camera: { eye: { x, y, z } }, aspectratio } = scene.layout.scene;
    if (event.key in zooms) {
      const size = aspectratio.x * zooms[event.key];
      Plotly.relayout(scene, { "scene.aspectratio": { x: size, y: size, z: size } });
    } else if (event.key in steps) {
      const r = Math.hypot(x, y, z);
      const phi = Math.atan2(y, x) - steps[event.key][0];
      const theta = Math.min(1.5, Math.max(-1.5, Math.asin(z / r) + steps[event.key][1]));
      Plotly.relayout(scene, { "scene.camera.eye": { x: r * Math.cos(theta) * Math.cos(phi),
        y: r * Math.cos(theta) * Math.sin(phi), z: r * Math.sin(theta) } });
    } else {
      return;
    }
    event.preventDefault();
  }

  if (scene) {
    scene.addEventListener("keydown", turn);
    for (const button of $("button[data-row]")) {
      button.addEventListener("click", (event) => {
        event.stopPropagation();
        choose(Number(button.dataset.row), true);
      });
    }
    for (const line of $("#ranking tbody tr")) {
      const own = line.querySelector(".pick");
      if (own) line.addEventListener("click", () => choose(Number(own.dataset.row), true));
    }
  }

  // Sorting: a button in each heading; a second press turns the order round.

  for (const button of $(".sortable:not(#long) th button")) {
    button.addEventListener("click", () => {
      const heading = button.closest("th");
      const table = heading.closest("table");
      const column = [...heading.parentElement.children].indexOf(heading);
      const up = heading.getAttribute("aria-sort") !== "ascending";
      for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (line) => {
        const cell = line.children[column];
        return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
      };
      const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
      const body = table.tBodies[0];
      const lines = [...body.children].sort((a, b) => (up ? 1 : -1) * compare(key(a), key(b)));
      body.replaceChildren(...lines);
    });
  }

  // Paper is narrower than most screens, and a plot does not find that out by itself.

  const plotted = () => $(".plot").filter((box) => box.dataset.drawn && !box.closest("[hidden]"));
  addEventListener("beforeprint", () => {
    for (const part of $("details")) part.open = true;
    for (const box of plotted()) Plotly.relayout(box, { autosize: false, width: 680, height: Math.min(340, box.clientHeight) });
  });
  addEventListener("afterprint", () => {
    for (const box of plotted()) Plotly.relayout(box, { autosize: true, width: null, height: null });
  });
  if (scene) choose(0);
  queue.then(async () => {
    for (const box of $(".plot")) if (!box.closest("[hidden]")) await draw(box);
    document.documentElement.dataset.ready = "yes";
  });
})();
