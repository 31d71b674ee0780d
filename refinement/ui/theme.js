// Light or dark: the system's choice until the reader overrides it; the override is remembered.

const KEY = "shootdown-theme";

function stored() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // A file opened without a server may not store anything.
  }
}

export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

export function startTheme() {
  const chosen = stored();
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
}

export function toggleTheme() {
  const next = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // Then it lasts as long as the page does.
  }
}
