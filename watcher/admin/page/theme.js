// Runs before the first paint, so that a chosen theme does not flash. Without a choice the system decides.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem('watcher-theme');
  } catch {
    // Storage may be switched off.
  }
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
})();
