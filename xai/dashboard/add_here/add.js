// Buttons that say where the player stands when they are pressed: it writes that into the address of the page, which
// only the browser sees.

export default function mount({ data, parentElement, setTriggerValue }) {
  const place = parentElement.querySelector(".add-here");
  const said = document.createElement("span");
  said.textContent = "Add to figure:";
  place.replaceChildren(said, ...data.panels.map((panel) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = panel[0].toUpperCase() + panel.slice(1);
    button.title = `Puts the ${panel}, as it is shown now, into the figure that the page Export composes.`;
    button.onclick = () => setTriggerValue("pressed", { panel, address: location.search });
    return button;
  }));
}
