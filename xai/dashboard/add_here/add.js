// Buttons that say where the player stands when they are pressed: its block, head, query and what is pinned are in the
// address of the page, which only the browser sees; how many points it draws, and the frame on which it stands still,
// it knows itself.

// The player of the page: components have surfaces of their own, so it is looked for in each.
function findPlayer() {
  const roots = [...document.querySelectorAll("*")].map((each) => each.shadowRoot ?? null);
  return [document, ...roots].map((root) => root?.querySelector(".player")?.player).find((player) => player?.store);
}

function address() {
  const said = new URLSearchParams(location.search), store = findPlayer()?.store;
  if (!store) return said;
  const { frame, count } = store.chosen;
  said.set("points", count);
  store.playing ? said.delete("frame") : said.set("frame", frame + 1); // a film that runs stands nowhere
  return said;
}

export default function mount({ data, parentElement, setTriggerValue }) {
  const place = parentElement.querySelector(".add-here");
  const said = document.createElement("span");
  said.textContent = "Add to figure:";
  place.replaceChildren(said, ...data.panels.map((panel) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = panel[0].toUpperCase() + panel.slice(1);
    button.title = `Puts the ${panel}, as it is shown now, into the figure that the page Export composes.`;
    button.onclick = () => setTriggerValue("pressed", { panel, address: String(address()) });
    return button;
  }));
}
