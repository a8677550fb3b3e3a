// The film: the frames travel once and stay in the browser, however often the joints change. Components of one page
// share a document; whoever shows these frames finds them under their name.
const shelf = (globalThis.kinescopeFilms ??= new Map());

export default function mount({ data }) {
  if (!shelf.has(data.name)) {
    const pictures = data.pictures.map((source) => Object.assign(new Image(), { src: source }));
    shelf.clear(); // a tab places joints on one film at a time
    shelf.set(data.name, pictures);
    document.dispatchEvent(new CustomEvent("kinescope-film", { detail: data.name }));
  }
  return () => shelf.delete(data.name);
}
