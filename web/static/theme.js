// Runs before the first paint, so that a chosen theme never flashes in the other one. The setting itself: src/theme.ts.
(function () {
  var chosen = null;
  try {
    chosen = localStorage.getItem("backtape-theme");
  } catch (error) {
    // Storage may be forbidden: then the system's setting holds.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
