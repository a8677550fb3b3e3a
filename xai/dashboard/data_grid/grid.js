// A grid of clips. A tile that is there already stays as it is, so that its film does not begin again when others come.

function make(tag, name, parent) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  parent?.append(made);
  return made;
}

function picture(tile, place) {
  if (place.dataset.shown === (tile.still || tile.sentence)) return;
  place.dataset.shown = tile.still || tile.sentence;
  place.replaceChildren();
  place.style.aspectRatio = `${tile.shape[0]} / ${tile.shape[1]}`;
  place.classList.toggle("empty", !tile.still);
  if (!tile.still) {
    make("span", "", place).textContent = tile.sentence ? "no picture" : "";
    return;
  }
  const frame = make("picture", "", place), calm = make("source", "", frame), image = make("img", "", frame);
  calm.media = "(prefers-reduced-motion: reduce)";
  calm.srcset = tile.still;
  image.alt = "";
  image.src = tile.moving;
}

function draw(tile, item) {
  const link = item.firstChild ?? make("a", "", item);
  if (!link.firstChild) {
    make("div", "film", link);
    make("div", "words", link);
  }
  const [film, words] = link.children;
  link.href = tile.link;
  link.setAttribute("aria-label", tile.words);
  link.title = tile.sentence || tile.words;
  link.className = tile.mark;
  picture(tile, film);
  words.replaceChildren();
  make("span", "title", words).textContent = tile.title;
  for (const line of tile.lines) make("span", "line", words).textContent = line;
  if (tile.mark === "wrong") make("span", "flag", words).textContent = "wrong";
}

const AGAIN = 700; // ms until the pictures that are still being made are asked for

export default function mount({ data, parentElement, setTriggerValue }) {
  const list = parentElement.querySelector(".clips");
  const old = new Map([...list.children].map((item) => [item.dataset.number, item]));
  const items = data.tiles.map((tile) => {
    const item = old.get(String(tile.number)) ?? make("li");
    item.dataset.number = tile.number;
    draw(tile, item);
    item.firstChild.onclick = (click) => {
      if (click.button || click.ctrlKey || click.metaKey || click.shiftKey || click.altKey) return; // a tab of its own
      click.preventDefault();
      setTriggerValue("open", tile.number);
    };
    return item;
  });
  list.replaceChildren(...items);
  const timer = data.waiting ? setTimeout(() => setTriggerValue("more", true), AGAIN) : null;
  return () => clearTimeout(timer);
}
