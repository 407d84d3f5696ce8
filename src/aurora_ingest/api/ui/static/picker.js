// A text field that offers what is there: the combobox of the ARIA practices, filled by the service.

import { announce, element, set, show } from "./dom.js";
import { wasTakenBack } from "./service.js";
import { count } from "./wording.js";

const REST = 150;

/**
 * @param input the text field.
 * @param list the list below it.
 * @param load is given `(text, signal)` and returns `{ items, more }`, more being what was found but is not listed.
 * @param render returns the nodes of an item.
 * @param pick is given the item that was chosen.
 * @param only whether nothing but items can be chosen: what was typed is taken back when the field is left.
 */
export function picker({ input, list, load, render, pick, name, only = false }) {
  let items = [];
  let active = -1;
  let call = null;
  let timer = null;
  // What has been chosen already is no search: a click on it shows all there is.
  let settled = null;
  set(list, { role: "listbox", "aria-label": name });
  set(input, {
    role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id,
  });

  function close() {
    call?.abort();
    clearTimeout(timer);
    active = -1;
    show(list, false);
    set(input, { "aria-expanded": "false", "aria-activedescendant": null });
  }

  function leave() {
    close();
    if (only && settled !== null) input.value = settled;
  }

  function mark(at) {
    active = at;
    const options = list.querySelectorAll("[role=option]");
    options.forEach((option, place) => set(option, { "aria-selected": place === at ? "true" : "false" }));
    set(input, { "aria-activedescendant": options[at]?.id ?? null });
    options[at]?.scrollIntoView({ block: "nearest" });
  }

  function choose(at) {
    const item = items[at];
    close();
    if (item !== undefined) pick(item);
  }

  function fill(found) {
    items = found.items;
    active = -1;
    const options = items.map((item, at) => element("li", {
      id: `${list.id}-${at}`, role: "option", "aria-selected": "false",
      onpointerdown: (event) => event.preventDefault(), onclick: () => choose(at),
    }, ...render(item)));
    if (items.length === 0) options.push(note(found.nothing));
    else if (found.more > 0) options.push(note(`${count(found.more, "more")}: go on typing`.replace("mores", "more")));
    list.replaceChildren(...options);
    list.scrollTop = 0;
    show(list);
    set(input, { "aria-expanded": "true", "aria-activedescendant": null });
    announce(items.length === 0 ? found.nothing : `${count(items.length + found.more, "choice")}. Arrow keys go through them.`);
  }

  const note = (text) => element("li", { class: "note", role: "presentation" }, text);

  async function open(text, then = () => {}) {
    call?.abort();
    call = new AbortController();
    const { signal } = call;
    try {
      const found = await load(text, signal);
      if (signal.aborted || document.activeElement !== input) return;
      fill(found);
      then();
    } catch (error) {
      if (wasTakenBack(error, signal)) return;
      items = [];
      list.replaceChildren(note(error.message));
      show(list);
      announce(error.message);
    }
  }

  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => open(input.value), REST);
  });
  input.addEventListener("click", () => { if (list.hidden) open(sought()); });
  input.addEventListener("blur", leave);
  input.addEventListener("keydown", (event) => {
    const isOpen = !list.hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const down = event.key === "ArrowDown";
      if (!isOpen) open(sought(), () => mark(down ? 0 : items.length - 1));
      else if (items.length > 0) mark((active + (down ? 1 : active < 0 ? 0 : -1) + items.length) % items.length);
    } else if (event.key === "Enter" && isOpen && (active >= 0 || items.length === 1)) {
      event.preventDefault();
      choose(Math.max(active, 0));
    } else if (event.key === "Escape" && isOpen) {
      event.preventDefault();
      leave();
    }
  });

  const sought = () => (input.value === settled ? "" : input.value);
  return { settle(text) { settled = text; input.value = text; } };
}
