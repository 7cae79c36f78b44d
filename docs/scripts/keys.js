// On a narrow screen Material's menu is opened, and its folders are left, by labels that Tab passes over.
// Here they are buttons: Enter is Material's own, the space bar and Escape are ours.
"use strict";
(() => {
  const drawer = document.getElementById("__drawer");
  const opener = document.querySelector(".md-header label[for=__drawer]");
  const menu = document.querySelector(".md-sidebar--primary");
  if (!drawer || !opener || !menu) return;
  for (const label of [opener, ...menu.querySelectorAll("label.md-nav__title[for^=__nav]")]) {
    label.tabIndex = 0;
    label.setAttribute("role", "button");
    label.setAttribute("aria-label", label === opener ? "Menu" : "Back from " + label.textContent.trim());
    label.addEventListener("keydown", (event) => {
      if (event.key !== " ") return;
      event.preventDefault();
      label.click();
    });
  }
  drawer.addEventListener("change", () => {
    opener.setAttribute("aria-expanded", String(drawer.checked));
    if (drawer.checked) setTimeout(() => menu.querySelector("a[href]").focus(), 50);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !drawer.checked) return;
    drawer.click();
    opener.focus();
  });
})();
