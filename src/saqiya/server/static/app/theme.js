// Light or dark before the first paint: what was chosen here, else what the system prefers. A plain script, so that it
// runs while the head is read and no page flashes.
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try { return localStorage.getItem("theme"); } catch { return null; }
  };
  const paint = () => { document.documentElement.dataset.theme = chosen() ?? (dark.matches ? "dark" : "light"); };
  dark.addEventListener("change", paint);
  window.addEventListener("storage", paint);
  paint();
})();
