// Small hands for the document. No markup is ever made from text.

export const one = (selector, root = document) => root.querySelector(selector);
export const all = (selector, root = document) => [...root.querySelectorAll(selector)];

/** Build an element: `build("p", { class: "soft" }, "text", other)`. */
export function build(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child != null && child !== ""));
  return element;
}

/** Build an icon of the sprite in index.html. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#${name}`);
  svg.append(use);
  return svg;
}

export function swapIcon(element, name) {
  const use = one(".icon use", element);
  if (use.getAttribute("href") !== `#${name}`) use.setAttribute("href", `#${name}`);
}

/** Set text where it differs, so that screen readers hear only what is new. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function sayAt(key, text) {
  for (const element of all(`[data-text="${key}"]`)) say(element, text);
}

/** The letters that stand for a person: two in Latin, Greek, Cyrillic, else one. */
export function initials(name) {
  const words = name.trim().split(/\s+/u).filter(Boolean);
  if (!words.length) return "?";
  const first = [...words[0]][0];
  if (!/^[\p{Script=Latin}\p{Script=Greek}\p{Script=Cyrillic}]/u.test(first)) return first;
  const last = words.length > 1 ? [...words.at(-1)][0] : "";
  return (first + (/^\p{L}/u.test(last) ? last : "")).toLocaleUpperCase();
}
