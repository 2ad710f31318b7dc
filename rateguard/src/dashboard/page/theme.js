// Applies the theme that the operator has chosen. The script is not a module, because a module runs after the first paint.
(() => {
  const KEY = "rateguard-theme";

  // A browser can forbid the storage. The choice then lasts until the page is closed.
  function read() {
    try {
      return localStorage.getItem(KEY) ?? "";
    } catch {
      return "";
    }
  }

  function write(theme) {
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // See `read`.
    }
  }

  function apply(theme) {
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  }

  apply(read());
  addEventListener("DOMContentLoaded", () => {
    const select = document.getElementById("theme");
    select.value = document.documentElement.dataset.theme ?? "";
    select.addEventListener("change", () => {
      apply(select.value);
      write(select.value);
    });
  });
})();
