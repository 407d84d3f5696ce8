// Making and changing elements; text from the service only ever becomes text.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

/** Makes an HTML element: `class` and other attributes, `on…` listeners; null and false attributes are left out. */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** Makes an SVG element. */
export function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Sets a text, and touches the page only if it is another one. */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Replaces what is inside, unless it reads and looks the same. */
export function put(target, ...children) {
  const draft = element(target.tagName.toLowerCase(), {}, ...children);
  if (![...draft.childNodes].every((node, at) => target.childNodes[at]?.isEqualNode(node)) ||
      draft.childNodes.length !== target.childNodes.length) {
    target.replaceChildren(...draft.childNodes);
  }
}

/** Sets attributes of an element that stays; null takes one away. */
export function set(target, attributes) {
  for (const [key, value] of Object.entries(attributes)) {
    const text = value === null || value === undefined || value === false ? null : value === true ? "" : String(value);
    if (text === null) target.removeAttribute(key);
    else if (target.getAttribute(key) !== text) target.setAttribute(key, text);
  }
}

export function show(target, shown = true) {
  if (target.hidden === shown) target.hidden = !shown;
}

/**
 * Brings the children of a parent in line with items: those that stay are changed in place, so nothing flickers and
 * nothing loses its focus.
 */
export function keyed(parent, items, key, make, change) {
  const before = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    let child = before.get(name);
    before.delete(name);
    if (child === undefined) {
      child = make(item);
      child.dataset.key = name;
    }
    change(child, item);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
  for (const child of before.values()) child.remove();
}

/** Tells people who listen; the same text twice is said twice. */
export function announce(text) {
  const announcer = byId("announcer");
  announcer.textContent = "";
  setTimeout(() => { announcer.textContent = text; }, 50);
}
