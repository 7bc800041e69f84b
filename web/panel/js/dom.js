// Small hands for the document: find, build, fill. No markup is ever made from text.

const SVG = "http://www.w3.org/2000/svg";

export const one = (selector, root = document) => root.querySelector(selector);
export const all = (selector, root = document) => [...root.querySelectorAll(selector)];

/** Build an element: `build("li", { class: "item" }, "text", other)`. A property that is false, null or undefined is left out. */
export function build(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === false || value == null) continue;
    element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child != null && child !== ""));
  return element;
}

/** Build an icon of the sprite. */
export function icon(name, label) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  if (label) {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
  } else {
    svg.setAttribute("aria-hidden", "true");
  }
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#${name}`);
  svg.append(use);
  return svg;
}

/** Show another icon in an element that has one. */
export function swapIcon(element, name) {
  const use = one(".icon use", element);
  if (use.getAttribute("href") !== `#${name}`) use.setAttribute("href", `#${name}`);
}

/** Set text where it differs, so that screen readers hear only what is new. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Fill every `data-text="key"`. */
export function sayAt(key, text) {
  for (const element of all(`[data-text="${key}"]`)) say(element, text);
}

/** Rebuild the children only when what they show has changed; focus and animations survive. */
export function rebuild(element, shown, children) {
  const key = JSON.stringify(shown);
  if (element.shownAs === key) return;
  element.shownAs = key;
  element.replaceChildren(...children());
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
