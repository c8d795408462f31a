/** Light or dark: as the system has it, unless a person chose one. */
const KEY = "opstrand.theme";

/** @returns {"light" | "dark"} */
export function currentTheme() {
  const chosen = localStorage.getItem(KEY);
  if (chosen === "light" || chosen === "dark") return chosen;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

export function applyTheme() {
  document.documentElement.dataset.theme = localStorage.getItem(KEY) ?? "system";
}

/** Change to the other one. */
export function switchTheme() {
  localStorage.setItem(KEY, currentTheme() === "dark" ? "light" : "dark");
  applyTheme();
  dispatchEvent(new Event("opstrand:theme"));
}
